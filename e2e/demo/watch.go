package main

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/interlock-dev/interlock/e2e/internal/harness"
	"github.com/interlock-dev/interlock/e2e/load"
)

// watch shows a shop again and again while something happens to it.
type watch struct {
	screen *screen
	title  string
	shop   *harness.Shop
	load   *load.Load
	start  time.Time
	step   atomic.Value
}

func (d *demo) newWatch(title string, s *harness.Shop, l *load.Load) *watch {
	w := &watch{screen: d.screen, title: title, shop: s, load: l, start: time.Now()}
	w.setStep("")
	return w
}

// watch shows the shop while f runs.
func (d *demo) watch(ctx context.Context, title string, s *harness.Shop, l *load.Load, f func(context.Context) error) error {
	return d.newWatch(title, s, l).during(ctx, f)
}

func (w *watch) setStep(s string) { w.step.Store(s) }

func (w *watch) during(ctx context.Context, f func(context.Context) error) error {
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			if ctx.Err() == nil { // else nothing can be read any more
				w.screen.show(w.look(ctx))
			}
			w.screen.keep()
			return err
		case <-tick.C:
			w.screen.show(w.look(ctx))
		}
	}
}

// look reads what it can; what can not be read at the moment is left out.
func (w *watch) look(ctx context.Context) view {
	v := view{title: w.title, elapsed: time.Since(w.start), step: w.step.Load().(string), pods: map[string]podCount{}}
	if w.load != nil {
		v.counts = w.load.Counts()
	}
	if w.shop.Repo != nil {
		if b, err := w.shop.Bundle(ctx); err == nil {
			v.bundle = b
		}
		if m, err := w.shop.Migration(ctx, "shop"); err == nil {
			v.migration = m
		}
	}
	pods, err := w.shop.Kube.CoreV1().Pods(w.shop.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=shop"})
	if err != nil {
		return v
	}
	for _, p := range pods.Items {
		image := p.Spec.Containers[0].Image
		tag := image[strings.LastIndex(image, ":")+1:]
		count := v.pods[tag]
		count.there++
		if ready(p) {
			count.ready++
		}
		v.pods[tag] = count
	}
	return v
}

func ready(p corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue && p.DeletionTimestamp == nil
		}
	}
	return false
}
