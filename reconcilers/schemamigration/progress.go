package schemamigration

import (
	"context"
	"fmt"
	"time"

	"github.com/fluxcd/pkg/runtime/conditions"
	ctrl "sigs.k8s.io/controller-runtime"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/migrations/schema"
	"github.com/interlock-dev/interlock/migrations/schema/run"
)

// showProgress writes Ready=False to the API server before work starts, judged by generation and target, so
// that whoever waits for Ready can not mistake an old one for the new. A contract step that no expand step waits
// behind leaves Ready alone.
func (r *Reconciler) showProgress(ctx context.Context, s *scope, what string) error {
	step := s.running
	message := fmt.Sprintf("%s step %s %s", step.Phase, step.Name, what)
	s.progress = what
	s.obj.Status.ObservedGeneration = s.obj.Generation
	s.fillStatus()
	s.obj.Status.Phase = title(step.Phase)
	s.obj.Status.WaitingOn = clip(message, 256)
	conditions.Delete(s.obj, v1alpha1.StalledCondition)
	if step.Phase == schema.PhaseContract && s.contractMayWait() {
		conditions.MarkFalse(s.obj, v1alpha1.ContractedCondition, ReasonContracting, "%s", message)
		return s.status.Write(ctx, s.obj)
	}
	conditions.MarkReconciling(s.obj, ReasonProgressing, "%s", message)
	conditions.MarkFalse(s.obj, v1alpha1.ReadyCondition, ReasonProgressing, "%s", message)
	return s.status.Write(ctx, s.obj)
}

// progressReporter passes a runner's progress on to status, at most once a second.
func (r *Reconciler) progressReporter(ctx context.Context, s *scope) func(run.Progress) {
	var last time.Time
	return func(p run.Progress) {
		if s.running == nil || r.Clock.Since(last) < time.Second {
			return
		}
		last = r.Clock.Now()
		if err := r.showProgress(ctx, s, describe(p)); err != nil {
			ctrl.LoggerFrom(ctx).Error(err, "progress can not be shown")
		}
	}
}

func describe(p run.Progress) string {
	switch {
	case p.RowsTotal > 0:
		return fmt.Sprintf("%s: %d of about %d rows (%d%%)", p.Message, p.RowsDone, p.RowsTotal, min(100, p.RowsDone*100/p.RowsTotal))
	case p.RowsDone > 0:
		return fmt.Sprintf("%s: %d rows", p.Message, p.RowsDone)
	default:
		return p.Message
	}
}
