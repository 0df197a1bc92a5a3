package main

import (
	"fmt"

	"github.com/fluxcd/pkg/runtime/conditions"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
)

// explainBundle says in sentences where a bundle is.
func explainBundle(b *v1alpha1.AppBundle) []string {
	name := "AppBundle " + b.Name
	if b.Spec.Suspend {
		return []string{name + " is suspended: nothing new starts until spec.suspend is false."}
	}
	lines := []string{name + " " + stateOf(b, b.Generation, b.Status.ObservedGeneration, b.Status.Phase)}
	if b.Status.LastAppliedRevision != "" {
		lines = append(lines, fmt.Sprintf("Revision %s is applied.", b.Status.LastAppliedRevision))
	}
	if b.Status.LastAttemptedRevision != "" && b.Status.LastAttemptedRevision != b.Status.LastAppliedRevision {
		lines = append(lines, fmt.Sprintf("Revision %s is on its way, and what ran before keeps serving.", b.Status.LastAttemptedRevision))
	}
	return append(lines, waiting(b.Status.WaitingOn)...)
}

// explainMigration says in sentences where a series is, who holds it, and what releases it.
func explainMigration(m *v1alpha1.SchemaMigration) []string {
	name := fmt.Sprintf("Series %s (SchemaMigration %s)", m.Spec.Series, m.Name)
	lines := []string{name + " " + stateOf(m, m.Generation, m.Status.ObservedGeneration, m.Status.Phase)}
	lines = append(lines, fmt.Sprintf("Code up to version %d may start; the target is %d.", m.Status.ReadyVersion, m.Status.TargetVersion))
	if f := m.Status.Fence; f.Committed > 0 {
		lines = append(lines, fmt.Sprintf("The fence stands at %d: nothing below it comes back. The oldest revision that works is %s.", f.Committed, f.OldestRevision))
	}
	if c := conditions.Get(m, v1alpha1.ContractedCondition); c != nil && c.Status == metav1.ConditionFalse {
		lines = append(lines, sentence(c.Message))
	} else {
		lines = append(lines, waiting(m.Status.WaitingOn)...)
	}
	for _, h := range m.Status.Holders {
		lines = append(lines, fmt.Sprintf("  - %s %s holds it: %s.", h.Kind, h.Name, h.Reason))
	}
	if more := int(m.Status.HoldersTotal) - len(m.Status.Holders); more > 0 {
		lines = append(lines, fmt.Sprintf("  - and %d more.", more))
	}
	return lines
}

// explainDatabase says in sentences whether a database can be used.
func explainDatabase(d *v1alpha1.Database) []string {
	lines := []string{"Database " + d.Name + " " + stateOf(d, d.Generation, d.Status.ObservedGeneration, "")}
	if d.Spec.Enforcement == v1alpha1.EnforcementAudit {
		lines = append(lines, "Its enforcement is Audit: nothing is held or refused, only reported, and contract steps wait for approval.")
	}
	return lines
}

// stateOf is the first sentence: ready, on the way, or stuck, and why.
func stateOf(obj conditions.Getter, generation, observed int64, phase string) string {
	if observed < generation {
		return "was changed, and Interlock has not looked at it since. Is the operator running?"
	}
	at := ""
	if phase != "" {
		at = " (phase " + phase + ")"
	}
	ready := conditions.Get(obj, v1alpha1.ReadyCondition)
	switch {
	case ready == nil:
		return "has no status yet. Is the operator running?"
	case ready.Status == metav1.ConditionTrue:
		return "is ready" + at + ": " + sentence(ready.Message)
	case conditions.IsTrue(obj, v1alpha1.StalledCondition):
		return "is stuck" + at + " until somebody changes something: " + sentence(ready.Message)
	default:
		return "is not ready yet" + at + ": " + sentence(ready.Message)
	}
}

func waiting(on string) []string {
	if on == "" {
		return nil
	}
	return []string{"It waits: " + sentence(on)}
}

// sentence ends a text with a full stop.
func sentence(text string) string {
	if text == "" || text[len(text)-1] == '.' {
		return text
	}
	return text + "."
}
