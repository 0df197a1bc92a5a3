package appbundle

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fluxcd/pkg/runtime/conditions"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/reconcilers/internal/apply"
	"github.com/interlock-dev/interlock/reconcilers/internal/halt"
)

// applyWorkloads applies everything but Ingresses: definitions, configuration, and, when their stamps may start, the
// workloads. The inventory is written first, so that nothing is forgotten if this pass dies half-way.
func (r *Reconciler) applyWorkloads(ctx context.Context, s *scope) error {
	s.desired = apply.Inventory(s.objects)
	if union := apply.Union(s.obj.Status.Inventory, s.desired); !slices.Equal(union, s.obj.Status.Inventory) {
		s.obj.Status.Inventory = union
		if err := s.status.Write(ctx, s.obj); err != nil {
			return err
		}
	}
	for _, stage := range []apply.Stage{apply.StageDefinitions, apply.StageConfig} {
		if err := r.applyStage(ctx, s, stage); err != nil {
			return err
		}
	}
	if why := tooEarly(s.stamps.Stamps, s.views()); why != "" {
		return wait(ReasonSchemaNotReady, "%s", why)
	}
	return r.applyStage(ctx, s, apply.StageWorkloads)
}

func (r *Reconciler) applyStage(ctx context.Context, s *scope, stage apply.Stage) error {
	counts, err := s.applier.Apply(ctx, stage.Of(s.objects))
	s.counts = s.counts.Add(counts)
	return err
}

// applyIngress applies what exposes hosts, last of all.
func (r *Reconciler) applyIngress(ctx context.Context, s *scope) error {
	if err := r.applyStage(ctx, s, apply.StageIngress); err != nil {
		return err
	}
	s.applied = true
	s.finish(PhaseApply, fmt.Sprintf("%s; as %s", s.counts, s.actor()), r.Clock.Now())
	return nil
}

func (s *scope) actor() string {
	if user := s.identity.User(); user != "" {
		return user
	}
	return "the operator"
}

// settle looks once whether everything is healthy.
func (r *Reconciler) settle(ctx context.Context, s *scope) error {
	unhealthy, err := s.applier.Health(ctx, r.Live, s.objects)
	if err != nil {
		return err
	}
	if err := judgeHealth(unhealthy, r.Clock.Since(s.settlingSince(r.Clock.Now())), s.timeout()); err != nil {
		return err
	}
	s.finish(PhaseSettle, fmt.Sprintf("%d objects are healthy", len(s.objects)), r.Clock.Now())
	return nil
}

// settlingSince is when the wait for health began: when the revision was applied, or, later, when it ceased to be
// healthy. A revision that had its time already stays overdue until it is healthy.
func (s *scope) settlingSince(now time.Time) time.Time {
	since := now
	if receipt := s.receiptOf(PhaseApply); receipt != nil {
		since = receipt.Time.Time
	}
	ready := conditions.Get(s.before, v1alpha1.ReadyCondition)
	switch {
	case ready == nil:
	case ready.Status == metav1.ConditionTrue:
		since = now
	case ready.Reason == ReasonHealthCheckFailed && !ready.LastTransitionTime.Time.Before(since.Truncate(time.Second)):
		return time.Time{}
	case ready.LastTransitionTime.After(since):
		since = ready.LastTransitionTime.Time
	}
	return since
}

// judgeHealth waits for objects that are on their way, and fails for those that say they will not make it or have had
// their time.
func judgeHealth(unhealthy []apply.Unhealthy, elapsed, timeout time.Duration) error {
	if len(unhealthy) == 0 {
		return nil
	}
	failed := slices.DeleteFunc(slices.Clone(unhealthy), func(u apply.Unhealthy) bool { return !u.Failed })
	switch {
	case len(failed) > 0:
		return &halt.Halt{Reason: ReasonHealthCheckFailed, Message: describeUnhealthy(failed), After: 5 * time.Second}
	case elapsed >= timeout:
		return &halt.Halt{Reason: ReasonHealthCheckFailed, After: 5 * time.Second,
			Message: fmt.Sprintf("not healthy after %s: %s; it is waited for further, a newer revision takes over at once", timeout, describeUnhealthy(unhealthy))}
	}
	return wait(ReasonSettling, "%s", describeUnhealthy(unhealthy))
}

func describeUnhealthy(list []apply.Unhealthy) string {
	texts := make([]string, 0, 3)
	for _, u := range list[:min(len(list), 3)] {
		texts = append(texts, u.String())
	}
	if more := len(list) - len(texts); more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(texts, "; ")
}
