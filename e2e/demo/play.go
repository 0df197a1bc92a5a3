package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/interlock-dev/interlock/e2e/internal/harness"
	"github.com/interlock-dev/interlock/e2e/load"
)

const (
	guardedNamespace = "shop"
	usualNamespace   = "shop-usual"

	// calm is how long the load runs before the change and after it, so that both can be compared.
	calm = 5 * time.Second
	// changeLimit is how long the change may take before the demo gives up.
	changeLimit = 10 * time.Minute
)

// play is the demo, point by point.
func (d *demo) play(ctx context.Context) error {
	d.step(1, "a Kubernetes with two nodes, an image registry and a Git server")
	env, err := harness.Start(ctx, d.root, d.screen)
	if err != nil {
		return err
	}
	d.env = env
	d.step(2, "Interlock from its chart, PostgreSQL, cert-manager and an ingress controller")
	if err := env.Install(ctx, d.screen); err != nil {
		return err
	}
	for _, namespace := range []string{guardedNamespace, usualNamespace} {
		if err := env.RemoveShop(ctx, namespace); err != nil {
			return err
		}
	}
	guarded, err := d.bringUpGuarded(ctx)
	if err != nil {
		return err
	}
	if err := d.changeGuarded(ctx, guarded); err != nil {
		return err
	}
	if err := d.usual(ctx); err != nil {
		return err
	}
	if err := d.rollBacks(ctx, guarded); err != nil {
		return err
	}
	return d.finish()
}

// finish shows and writes the report.
func (d *demo) finish() error {
	d.screen.say("")
	for _, line := range d.report.table() {
		d.screen.say("%s", line)
	}
	file := filepath.Join(d.root, ".local", "demo", "report.json")
	if err := d.report.write(file); err != nil {
		return err
	}
	d.screen.say("\n   written to %s", file)
	return d.report.verdict()
}

// bringUpGuarded is version 1 of the shop, brought up by an AppBundle.
func (d *demo) bringUpGuarded(ctx context.Context) (*harness.Shop, error) {
	d.step(3, "version 1 of the shop: an AppBundle creates its schema and brings up three pods behind HTTPS")
	s, err := d.env.NewGuarded(ctx, guardedNamespace, "shop.example.test")
	if err != nil {
		return nil, err
	}
	commit, err := s.Push(ctx, 1, "The shop")
	if err != nil {
		return nil, err
	}
	if err := s.ApplyBundle(ctx, nil); err != nil {
		return nil, err
	}
	if err := d.watch(ctx, "version 1 of the shop", s, nil, func(ctx context.Context) error {
		return s.WaitDone(ctx, commit, changeLimit)
	}); err != nil {
		return nil, err
	}
	if err := s.WaitServing(ctx, time.Minute); err != nil {
		return nil, err
	}
	return s, d.seed(ctx, s)
}

func (d *demo) seed(ctx context.Context, s *harness.Shop) error {
	start := time.Now()
	if err := s.Seed(ctx, d.rows); err != nil {
		return fmt.Errorf("fill the table: %w", err)
	}
	d.screen.say("  %d rows are in the table (%s)", d.rows, time.Since(start).Round(time.Second))
	return nil
}

// changeGuarded pushes the one commit and waits until its contract step is done.
func (d *demo) changeGuarded(ctx context.Context, s *harness.Shop) error {
	d.step(4, "load: %.0f requests per second, reads and writes, every answer checked", d.rate)
	l, err := s.StartLoad(ctx, d.rate)
	if err != nil {
		return err
	}
	defer l.Stop()
	if err := sleep(ctx, calm); err != nil {
		return err
	}
	d.step(5, "one commit: a column renamed, a type changed, a NOT NULL column added, and version 2 of the code")
	start := time.Now()
	commit, err := s.Push(ctx, 2, "Orders: customer_name, total and currency")
	if err != nil {
		return err
	}
	d.step(6, "Interlock finds the order")
	if err := d.watch(ctx, "shop, guarded by Interlock", s, l, func(ctx context.Context) error {
		return s.WaitDone(ctx, commit, changeLimit)
	}); err != nil {
		return err
	}
	took := time.Since(start)
	if err := sleep(ctx, calm); err != nil {
		return err
	}
	result, err := d.judge(ctx, s, l, took)
	if err != nil {
		return err
	}
	d.report.Guarded = result
	b, err := s.Bundle(ctx)
	if err != nil {
		return err
	}
	d.report.Phases = phasesOf(b.Status.History, commit)
	return nil
}

// usual is the same change without Interlock.
func (d *demo) usual(ctx context.Context) error {
	d.step(7, "the same change the usual way: all migrations in one Job, then the roll-out")
	s, err := d.env.NewUsual(ctx, usualNamespace, "shop-usual.example.test")
	if err != nil {
		return err
	}
	if err := s.RollOutUsual(ctx, 1, func(string) {}); err != nil {
		return err
	}
	if err := s.WaitServing(ctx, time.Minute); err != nil {
		return err
	}
	if err := d.seed(ctx, s); err != nil {
		return err
	}
	l, err := s.StartLoad(ctx, d.rate)
	if err != nil {
		return err
	}
	defer l.Stop()
	if err := sleep(ctx, calm); err != nil {
		return err
	}
	start := time.Now()
	w := d.newWatch("shop, the usual way", s, l)
	if err := w.during(ctx, func(ctx context.Context) error { return s.RollOutUsual(ctx, 2, w.setStep) }); err != nil {
		return err
	}
	took := time.Since(start)
	if err := sleep(ctx, calm); err != nil {
		return err
	}
	d.report.Usual, err = d.judge(ctx, s, l, took)
	return err
}

// judge ends a load and compares the rows.
func (d *demo) judge(ctx context.Context, s *harness.Shop, l *load.Load, took time.Duration) (arm, error) {
	r := l.Stop()
	v, err := s.Verify(ctx, l)
	if err != nil {
		return arm{}, err
	}
	result := newArm(r, v, took)
	d.screen.say("  done after %.0f s: %s; %d rows compared, %d lost or wrong; latency p50 %.0f ms, p99 %.0f ms, max %.0f ms",
		result.Seconds, countWords(r), v.Rows, v.Bad(), result.P50Ms, result.P99Ms, result.MaxMs)
	for _, f := range r.Failures[:min(3, len(r.Failures))] {
		d.screen.say("    failed: %s %s: %s", f.Op, f.Kind, cut(f.Detail, width))
	}
	for _, e := range v.Examples[:min(3, len(v.Examples))] {
		d.screen.say("    row: %s", cut(e, 2*width))
	}
	return result, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return errors.New("interrupted")
	case <-time.After(d):
		return nil
	}
}
