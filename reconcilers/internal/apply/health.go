package apply

import (
	"context"
	"fmt"
	"strings"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/runtime/statusreaders"
	"github.com/fluxcd/pkg/ssa/utils"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/interlock-dev/interlock/reconcilers/internal/render"
	"github.com/interlock-dev/interlock/reconcilers/internal/stamps"
)

// Unhealthy is an object that is not as it should be.
type Unhealthy struct {
	// Object, for messages: Deployment "shop/shop".
	Object string
	// Failed: it says of itself that it will not become healthy.
	Failed bool
	// Message says what is the matter.
	Message string
}

func (u Unhealthy) String() string { return u.Object + ": " + u.Message }

// Health looks at every object once, by kstatus, and returns those that are not healthy. It does not wait. Pods are
// read with live, to say why a workload is not healthy.
func (a *Applier) Health(ctx context.Context, live client.Reader, objects []*unstructured.Unstructured) ([]Unhealthy, error) {
	var out []Unhealthy
	for _, u := range objects {
		now := &unstructured.Unstructured{}
		now.SetGroupVersionKind(u.GroupVersionKind())
		err := a.client.Get(ctx, client.ObjectKeyFromObject(u), now)
		if apierrors.IsNotFound(err) {
			out = append(out, Unhealthy{Object: render.Describe(u), Message: "is not there; it was deleted after it was applied"})
			continue
		}
		if err != nil {
			return nil, a.explain(err)
		}
		result, err := compute(now)
		if err != nil {
			return nil, fmt.Errorf("%s: its status can not be read: %w", render.Describe(u), err)
		}
		if result.Status == status.CurrentStatus {
			continue
		}
		message := result.Message
		if why := podTrouble(ctx, live, now); why != "" {
			message += "; " + why
		}
		out = append(out, Unhealthy{Object: render.Describe(u), Failed: result.Status == status.FailedStatus, Message: message})
	}
	return out, nil
}

func compute(u *unstructured.Unstructured) (*status.Result, error) {
	if utils.IsJob(u) {
		// A Job is healthy when it is complete, not when it has started.
		r := statusreaders.ComputeJobStatus(u)
		return &r, nil
	}
	return status.Compute(u)
}

// podTrouble says why the pods of a workload do not run: the first waiting reason that is more than "it is starting".
func podTrouble(ctx context.Context, live client.Reader, u *unstructured.Unstructured) string {
	if !stamps.IsWorkload(u) || u.GetKind() == "Pod" || u.GetKind() == "CronJob" {
		return ""
	}
	match, found, err := unstructured.NestedStringMap(u.Object, "spec", "selector", "matchLabels")
	if err != nil || !found || len(match) == 0 {
		return ""
	}
	pods := &corev1.PodList{}
	if err := live.List(ctx, pods, client.InNamespace(u.GetNamespace()), client.Limit(50),
		client.MatchingLabelsSelector{Selector: labels.SelectorFromSet(match)}); err != nil {
		return ""
	}
	for i := range pods.Items {
		if why := trouble(&pods.Items[i]); why != "" {
			return why
		}
	}
	return ""
}

// trouble says what keeps one pod from running; "" if nothing speaks against it yet.
func trouble(p *corev1.Pod) string {
	for _, statuses := range [][]corev1.ContainerStatus{p.Status.InitContainerStatuses, p.Status.ContainerStatuses} {
		for _, s := range statuses {
			w := s.State.Waiting
			if w == nil || w.Reason == "" || w.Reason == "ContainerCreating" || w.Reason == "PodInitializing" {
				continue
			}
			text := fmt.Sprintf("pod %s: container %s: %s: %s", p.Name, s.Name, w.Reason, clip(w.Message, 200))
			if t := s.LastTerminationState.Terminated; t != nil {
				text += fmt.Sprintf(" (last exit code %d; see kubectl logs --previous -n %s %s -c %s)", t.ExitCode, p.Namespace, p.Name, s.Name)
			}
			return text
		}
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Message != "" {
			return fmt.Sprintf("pod %s: %s: %s", p.Name, c.Reason, clip(c.Message, 200))
		}
	}
	return ""
}

func clip(s string, limit int) string {
	if len(s) > limit {
		return strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return s
}
