package appbundle

import (
	"fmt"
	"strings"

	fluxmeta "github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/reconcilers/internal/halt"
)

// contractPoll is how often a bundle whose contract step waits is looked at, beside being told of changes.
const contractPoll = soon * 5

// summarise computes the status once, from the scope and from how the pass ended.
func (r *Reconciler) summarise(s *scope, err error) {
	st := &s.obj.Status
	if at, ok := fluxmeta.ReconcileAnnotationValue(s.obj.Annotations); ok {
		st.LastHandledReconcileAt = at
	}
	if s.suspended && err == nil {
		s.showSuspended()
		return
	}
	st.ObservedGeneration = s.obj.Generation
	st.Phase, st.WaitingOn = s.phase, ""
	if s.revision != "" {
		st.LastAttemptedRevision = s.revision
	}
	if s.applied {
		st.LastAppliedRevision = s.revision
	}
	if len(s.owned) > 0 && s.owned[len(s.owned)-1].files != nil {
		st.Schema = s.schemaStatus()
	}
	if len(s.obj.Spec.Migrations) == 0 {
		st.Schema = nil
		conditions.Delete(s.obj, v1alpha1.ContractedCondition)
	}
	if s.contracted != nil {
		conditions.Set(s.obj, s.contracted)
	}
	if err != nil {
		s.showHalt(asHalt(err))
		return
	}
	s.showDone()
}

// showSuspended leaves everything as it is and says that nothing more happens.
func (s *scope) showSuspended() {
	s.obj.Status.ObservedGeneration = s.obj.Generation
	s.obj.Status.WaitingOn = "spec.suspend is set"
	conditions.Delete(s.obj, v1alpha1.ReconcilingCondition)
	if !conditions.IsTrue(s.obj, v1alpha1.ReadyCondition) {
		conditions.MarkUnknown(s.obj, v1alpha1.ReadyCondition, ReasonSuspended, "spec.suspend is set; take it out to go on")
	}
}

// showHalt tells how a pass ended early.
func (s *scope) showHalt(h *halt.Halt) {
	s.after = h.After
	if s.after == 0 {
		s.after = s.interval()
	}
	message := clip(h.Message, 8192)
	s.obj.Status.WaitingOn = clip(h.Message, 256)
	switch {
	case h.Waiting:
		conditions.Delete(s.obj, v1alpha1.StalledCondition)
		conditions.MarkReconciling(s.obj, h.Reason, "%s", message)
		conditions.MarkUnknown(s.obj, v1alpha1.ReadyCondition, h.Reason, "%s", message)
	case h.Stalled:
		conditions.Delete(s.obj, v1alpha1.ReconcilingCondition)
		conditions.MarkStalled(s.obj, h.Reason, "%s", message)
		conditions.MarkFalse(s.obj, v1alpha1.ReadyCondition, h.Reason, "%s", message)
	default:
		conditions.Delete(s.obj, v1alpha1.StalledCondition)
		conditions.MarkReconciling(s.obj, h.Reason, "%s", message)
		conditions.MarkFalse(s.obj, v1alpha1.ReadyCondition, h.Reason, "%s", message)
	}
}

// showDone tells that the revision is applied and healthy; a contract step may still wait.
func (s *scope) showDone() {
	conditions.Delete(s.obj, v1alpha1.ReconcilingCondition)
	conditions.Delete(s.obj, v1alpha1.StalledCondition)
	conditions.MarkTrue(s.obj, v1alpha1.ReadyCondition, ReasonApplied, "%s is applied and healthy", s.revision)
	s.after = s.interval()
	if s.phase == PhaseContract {
		s.obj.Status.WaitingOn = clip(s.contracted.Message, 256)
		s.after = min(s.after, contractPoll)
	}
}

// emitEvents tells of every condition that changed its status or reason in this pass, and of every new revision.
func (r *Reconciler) emitEvents(s *scope) {
	for _, t := range []string{v1alpha1.ReadyCondition, v1alpha1.ContractedCondition} {
		now, before := conditions.Get(s.obj, t), conditions.Get(s.before, t)
		newRevision := now != nil && now.Reason == ReasonApplied && s.before.Status.LastAppliedRevision != s.revision
		if now == nil || before != nil && before.Status == now.Status && before.Reason == now.Reason && !newRevision {
			continue
		}
		kind := corev1.EventTypeNormal
		if now.Status == metav1.ConditionFalse && t == v1alpha1.ReadyCondition {
			kind = corev1.EventTypeWarning
		}
		r.Recorder.Event(s.obj, kind, now.Reason, clip(now.Message, 1000))
	}
	if s.counts.Changed+s.counts.Created > 0 && s.before.Status.LastAppliedRevision == s.revision && s.before.Status.ObservedGeneration == s.obj.Generation {
		r.Recorder.Event(s.obj, corev1.EventTypeNormal, EventDriftCorrected, fmt.Sprintf("%s: the cluster was not as %s has it", s.counts, s.revision))
	}
	for _, text := range s.tolerated {
		if s.before.Status.LastAppliedRevision != s.revision {
			r.Recorder.Event(s.obj, corev1.EventTypeWarning, ReasonRollbackRefused, clip(fmt.Sprintf("tolerated, enforcement is Audit: %s", text), 1000))
		}
	}
}

// clip cuts a text to a number of bytes, at a rune.
func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit-3], "") + "…"
}
