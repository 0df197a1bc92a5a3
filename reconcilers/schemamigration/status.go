package schemamigration

import (
	"fmt"
	"slices"
	"strings"
	"time"

	fluxmeta "github.com/fluxcd/pkg/apis/meta"
	"github.com/fluxcd/pkg/runtime/conditions"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/migrations/schema"
	"github.com/interlock-dev/interlock/migrations/schema/journal"
	"github.com/interlock-dev/interlock/migrations/schema/plan"
	"github.com/interlock-dev/interlock/reconcilers/internal/halt"
)

// summarise computes the status once, from the scope and from how the pass ended.
func (r *Reconciler) summarise(s *scope, err error) {
	s.obj.Status.ObservedGeneration = s.obj.Generation
	s.fillStatus()
	if at, ok := fluxmeta.ReconcileAnnotationValue(s.obj.Annotations); ok {
		s.obj.Status.LastHandledReconcileAt = at
	}
	if err != nil {
		s.failed(asHalt(err))
		return
	}
	s.succeeded()
}

// fillStatus copies what the pass found out, as far as it came.
func (s *scope) fillStatus() {
	st := &s.obj.Status
	if s.digest != "" {
		st.SourceDigest = s.digest
	}
	if s.decision.Action == "" {
		return
	}
	st.TargetVersion, st.ReadyVersion, st.ContractedVersion = s.decision.Target, s.decision.Ready, s.decision.Contracted
	st.PlanHash = s.decision.Hash
	st.Fence = v1alpha1.FenceStatus{State: viewFence(s).state, Version: s.state.Fence.Version,
		Committed: s.state.Fence.Committed, OldestRevision: clip(oldestRevision(s, fenceMin(s.state.Fence)), 256)}
	st.Steps = s.listSteps()
	st.HoldersTotal = int32(min(len(s.holders), 1<<30))
	st.Holders = s.holders[:min(len(s.holders), v1alpha1.MaxHolders)]
	for i := range st.Holders {
		st.Holders[i].Reason = clip(st.Holders[i].Reason, 512)
	}
}

// listSteps lists what is pending first, then the newest of what is done.
func (s *scope) listSteps() []v1alpha1.SchemaStep {
	var out []v1alpha1.SchemaStep
	for _, step := range s.decision.Pending {
		out = append(out, v1alpha1.SchemaStep{Version: step.Version, Name: step.Name, Phase: string(step.Phase), State: "Pending"})
		last := &out[len(out)-1]
		switch {
		case s.running != nil && s.running.Version == step.Version:
			last.State, last.Message = "Running", clip(s.progress, 512)
		case s.contract != nil && s.decision.Step != nil && s.decision.Step.Version == step.Version:
			last.State, last.Message = "Waiting", clip(s.contract.message, 512)
		case failedBefore(s.state.Step(step.Version)):
			last.State = "Failed"
		}
	}
	for _, step := range slices.Backward(s.steps) {
		if done := s.state.Step(step.Version); done != nil && done.State == journal.StepVerified {
			out = append(out, v1alpha1.SchemaStep{Version: step.Version, Name: step.Name, Phase: string(done.Phase), State: "Verified"})
		}
	}
	out = out[:min(len(out), v1alpha1.MaxSteps)]
	slices.SortStableFunc(out, func(a, b v1alpha1.SchemaStep) int { return int(a.Version - b.Version) })
	return out
}

func failedBefore(step *journal.Step) bool { return step != nil && step.State == journal.StepFailed }

// failed is the status of a pass that ended early. Ready says what has to happen next.
func (s *scope) failed(h *halt.Halt) {
	s.after = h.After
	s.obj.Status.WaitingOn = clip(h.Message, 256)
	if s.obj.Status.Phase == "" || s.obj.Status.Phase == "Done" {
		s.obj.Status.Phase = "Pending"
	}
	if s.running != nil {
		s.obj.Status.Phase = title(s.running.Phase)
	}
	if s.contracting && s.decision.Action == plan.ActionContract && s.contractMayWait() {
		// What goes wrong about a contract step takes nothing from whoever waits for Ready.
		s.obj.Status.Phase = "Contract"
		s.ready()
		conditions.MarkFalse(s.obj, v1alpha1.ContractedCondition, contractReason(h), "%s", clip(h.Message, 1024))
		return
	}
	conditions.MarkFalse(s.obj, v1alpha1.ReadyCondition, h.Reason, "%s", clip(h.Message, 1024))
	if h.Stalled {
		conditions.MarkStalled(s.obj, h.Reason, "%s", clip(h.Message, 1024))
		conditions.Delete(s.obj, v1alpha1.ReconcilingCondition)
		return
	}
	conditions.Delete(s.obj, v1alpha1.StalledCondition)
	conditions.MarkReconciling(s.obj, h.Reason, "%s", clip(h.Message, 1024))
}

// contractReason is the reason of Contracted after a pass that ended early.
func contractReason(h *halt.Halt) string {
	if h.Reason == ReasonStepFailed {
		return ReasonContractFailed
	}
	return h.Reason
}

// contractMayWait: no expand step waits behind the contract step.
func (s *scope) contractMayWait() bool { return !s.decision.InOrder }

// succeeded is the status of a pass that went through.
func (s *scope) succeeded() {
	conditions.Delete(s.obj, v1alpha1.StalledCondition)
	s.obj.Status.WaitingOn = ""
	if s.after == 0 {
		s.after = settled
	}
	switch {
	case s.decision.Action == plan.ActionContract && !s.contractMayWait():
		message := "an expand step waits behind a contract step that touches the same objects"
		if s.contract != nil {
			message = s.contract.message
		}
		s.obj.Status.Phase = "Expand"
		s.obj.Status.WaitingOn = clip(message, 256)
		s.markContracted()
		conditions.MarkReconciling(s.obj, ReasonContractFirst, "%s", clip(message, 1024))
		conditions.MarkFalse(s.obj, v1alpha1.ReadyCondition, ReasonContractFirst, "%s", clip(s.contractFirst(message), 1024))
		return
	case s.decision.Action == plan.ActionContract:
		s.obj.Status.Phase = "Contract"
		if s.contract != nil {
			s.obj.Status.WaitingOn = clip(s.contract.message, 256)
		}
	default:
		s.obj.Status.Phase = "Done"
	}
	s.markContracted()
	s.ready()
}

// contractFirst says which revision to roll out first.
func (s *scope) contractFirst(message string) string {
	if len(s.holders) == 0 || s.decision.Step == nil {
		return message
	}
	return fmt.Sprintf("%s. A later expand step touches the same objects, so first roll out a revision built for %s@%d that does not yet contain it",
		message, s.obj.Spec.Series, s.decision.Step.NeedsReaders)
}

func (s *scope) ready() {
	conditions.Delete(s.obj, v1alpha1.ReconcilingCondition)
	conditions.Delete(s.obj, v1alpha1.StalledCondition)
	conditions.MarkTrue(s.obj, v1alpha1.ReadyCondition, ReasonMigrated,
		"every expand and backfill step up to %s@%d is applied and verified", s.obj.Spec.Series, s.decision.Target)
}

func (s *scope) markContracted() {
	switch {
	case s.contract != nil:
		conditions.MarkFalse(s.obj, v1alpha1.ContractedCondition, s.contract.reason, "%s", clip(s.contract.message, 1024))
	case s.decision.Action == plan.ActionContract:
		conditions.MarkFalse(s.obj, v1alpha1.ContractedCondition, ReasonContracting, "contract step %s is next", s.decision.Step.Name)
	default:
		conditions.MarkTrue(s.obj, v1alpha1.ContractedCondition, ReasonContracted, "every step up to %s@%d is applied", s.obj.Spec.Series, s.decision.Target)
		s.obj.Status.QuietSince, s.obj.Status.QuietBelow = nil, 0
	}
}

// receipt records a finished phase.
func (s *scope) receipt(now, started time.Time, phase, message string) {
	s.obj.Status.History = v1alpha1.AppendReceipt(s.obj.Status.History, v1alpha1.Receipt{
		Phase: phase, Revision: s.obj.Spec.Revision, Message: clip(message, 1024),
		Time: metav1.NewTime(now), DurationMillis: now.Sub(started).Milliseconds(),
	})
}

// emitEvents tells of every condition that changed its status or reason in this pass.
func (r *Reconciler) emitEvents(s *scope) {
	for _, t := range []string{v1alpha1.ReadyCondition, v1alpha1.ContractedCondition} {
		now, before := conditions.Get(s.obj, t), conditions.Get(s.before, t)
		if now == nil || before != nil && before.Status == now.Status && before.Reason == now.Reason {
			continue
		}
		kind := corev1.EventTypeNormal
		if now.Status == metav1.ConditionFalse && t == v1alpha1.ReadyCondition && now.Reason != ReasonProgressing && now.Reason != ReasonContractFirst {
			kind = corev1.EventTypeWarning
		}
		r.Recorder.Event(s.obj, kind, now.Reason, now.Message)
	}
}

// title is a phase as status shows it.
func title(p schema.Phase) string {
	if p == "" {
		return ""
	}
	return strings.ToUpper(string(p[:1])) + string(p[1:])
}

// clip cuts a text to a number of bytes, at a rune.
func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit-3], "") + "…"
}
