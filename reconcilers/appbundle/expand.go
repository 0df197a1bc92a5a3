package appbundle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fluxcd/pkg/runtime/conditions"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/reconcilers/internal/halt"
	"github.com/interlock-dev/interlock/reconcilers/internal/render"
	"github.com/interlock-dev/interlock/reconcilers/schemamigration"
)

const (
	// migrationsLabel marks the ConfigMaps with migration files: the series, as it appears in a label.
	migrationsLabel = "interlock.dev/migrations"
	// maxConfigMap is how much fits into a ConfigMap with room for its metadata; etcd takes 1.5 MiB.
	maxConfigMap = 900 << 10
)

// migrationName is the name of a bundle's SchemaMigration for a series. It is also part of ConfigMaps' names.
func migrationName(bundle, series string) string {
	const limit = 253 - 1 - 8
	name := bundle + "-" + series
	if len(name) <= limit {
		return name
	}
	return v1alpha1.SeriesKey(name)
}

// announce says that a revision is on its way before anything of it touches the cluster, so that whoever waits for
// Ready does not take the old one for the new.
func (r *Reconciler) announce(ctx context.Context, s *scope) error {
	st := &s.obj.Status
	fresh := s.revision != st.LastAppliedRevision || s.obj.Generation != st.ObservedGeneration
	st.LastAttemptedRevision = s.revision
	if !fresh || !conditions.IsTrue(s.obj, v1alpha1.ReadyCondition) {
		return nil
	}
	st.Phase = PhaseExpand
	message := fmt.Sprintf("%s is on its way", s.revision)
	conditions.MarkReconciling(s.obj, ReasonProgressing, "%s", message)
	conditions.MarkUnknown(s.obj, v1alpha1.ReadyCondition, ReasonProgressing, "%s", message)
	return s.status.Write(ctx, s.obj)
}

// expand hands the migrations to a SchemaMigration for each series, and waits until code of this revision may start.
func (r *Reconciler) expand(ctx context.Context, s *scope) error {
	for _, o := range s.owned {
		if err := r.applyMigration(ctx, s, o); err != nil {
			return err
		}
	}
	for _, o := range s.owned {
		v := judgeSchema(o.sm, o.newest(), o.digest)
		if v.phase != "" {
			s.phase = v.phase
		}
		switch {
		case v.stalled:
			return &halt.Halt{Reason: ReasonSchemaStalled, Message: v.message, Stalled: true}
		case v.failed:
			return halt.Retry(soon, ReasonSchemaNotReady, errors.New(v.message))
		case !v.ready:
			return wait(ReasonSchemaNotReady, "%s", v.message)
		}
	}
	for _, o := range s.owned {
		for _, phase := range []string{PhaseExpand, PhaseBackfill} {
			if n, took := work(o.sm, phase, s.revision); n > 0 {
				s.leave(phase, fmt.Sprintf("series %s is ready for code of %d: %d %s steps", o.spec.Series, o.newest(), n, strings.ToLower(phase)), r.Clock.Now(), took)
			}
		}
	}
	s.phase = PhaseExpand
	return nil
}

// work counts the steps of a phase that a SchemaMigration ran for a revision, and how long they took.
func work(sm *v1alpha1.SchemaMigration, phase, revision string) (steps int, took time.Duration) {
	for _, receipt := range sm.Status.History {
		if receipt.Phase == phase && receipt.Revision == revision {
			steps++
			took += time.Duration(receipt.DurationMillis) * time.Millisecond
		}
	}
	return steps, took
}

// schemaVerdict is what a SchemaMigration's status means for the bundle.
type schemaVerdict struct {
	ready, stalled bool
	// failed: something went wrong and is tried again.
	failed         bool
	phase, message string
}

// underWay are the reasons for which a SchemaMigration is not Ready although nothing went wrong.
var underWay = []string{schemamigration.ReasonProgressing, schemamigration.ReasonContractFirst, schemamigration.ReasonBusy,
	schemamigration.ReasonLocked, schemamigration.ReasonSuspended}

// judgeSchema says whether code of a version may start. Ready counts only if it speaks of this generation, this target
// and these files.
func judgeSchema(sm *v1alpha1.SchemaMigration, target int64, digest string) schemaVerdict {
	v := schemaVerdict{phase: PhaseExpand}
	name := sm.Name
	current := sm.Status.ObservedGeneration == sm.Generation
	speaks := current && sm.Status.TargetVersion == target && sm.Status.SourceDigest == digest
	ready := conditions.Get(sm, v1alpha1.ReadyCondition)
	switch {
	case current && conditions.IsTrue(sm, v1alpha1.StalledCondition):
		v.stalled = true
		v.message = fmt.Sprintf("SchemaMigration %s: %s", name, conditions.GetMessage(sm, v1alpha1.StalledCondition))
	case speaks && ready != nil && ready.Status == metav1.ConditionTrue:
		v.ready = true
		v.phase = ""
	case current && ready != nil:
		v.failed = ready.Status == metav1.ConditionFalse && !slices.Contains(underWay, ready.Reason)
		if sm.Status.Phase == PhaseBackfill {
			v.phase = PhaseBackfill
		}
		v.message = fmt.Sprintf("SchemaMigration %s: %s", name, ready.Message)
	default:
		v.message = fmt.Sprintf("SchemaMigration %s has not taken up version %d yet", name, target)
	}
	return v
}

// applyMigration applies the ConfigMap with the files and the SchemaMigration that reads it, and reads that back.
func (r *Reconciler) applyMigration(ctx context.Context, s *scope, o *ownedSeries) error {
	name := migrationName(s.obj.Name, o.spec.Series)
	if o.sm != nil && !metav1.IsControlledBy(o.sm, s.obj) {
		return stall(ReasonSeriesConflict, "SchemaMigration %q exists and does not belong to this bundle; delete it, or give the series another name", name)
	}
	files := map[string]any{}
	size := 0
	for _, f := range o.files {
		files[f.Name] = f.Source
		size += len(f.Name) + len(f.Source)
	}
	if size > maxConfigMap {
		return stall(ReasonMigrationsTooLarge, "series %s: its migrations have %d KiB, and %d fit into a ConfigMap; squash the old ones into one file, or move bulk data out",
			o.spec.Series, size>>10, maxConfigMap>>10)
	}
	cm := s.ownedObject("v1", "ConfigMap", name+"-"+o.digest[:8])
	cm.SetLabels(map[string]string{v1alpha1.BundleLabel: render.LabelValue(s.obj.Name), migrationsLabel: v1alpha1.SeriesKey(o.spec.Series)})
	cm.Object["immutable"], cm.Object["data"] = true, files
	sm := s.ownedObject(v1alpha1.GroupVersion.String(), "SchemaMigration", name)
	sm.Object["spec"] = migrationSpec(o, cm.GetName(), s.revision)
	for _, u := range []*unstructured.Unstructured{cm, sm} {
		if _, err := s.own.Apply(ctx, []*unstructured.Unstructured{u}); err != nil {
			return err
		}
	}
	var err error
	if o.sm, err = r.readMigration(ctx, s.obj.Namespace, name); err == nil && o.sm == nil {
		return wait(ReasonSchemaNotReady, "SchemaMigration %s was deleted right after it was applied", name)
	}
	return err
}

func migrationSpec(o *ownedSeries, configMap, revision string) map[string]any {
	approval := o.spec.Contract.Approval
	if approval == "" {
		approval = v1alpha1.ApprovalAuto
	}
	return map[string]any{
		"databaseRef":   map[string]any{"name": o.spec.DatabaseRef.Name},
		"series":        o.spec.Series,
		"configMapRef":  map[string]any{"name": configMap},
		"targetVersion": o.newest(),
		"revision":      revision,
		"contract":      map[string]any{"approval": string(approval), "soak": o.spec.Contract.Soak.Duration.String()},
		// Written out, because suspending the bundle sets it.
		"suspend": false,
	}
}

// ownedObject is an object that goes when the bundle goes.
func (s *scope) ownedObject(apiVersion, kind, name string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetAPIVersion(apiVersion)
	u.SetKind(kind)
	u.SetNamespace(s.obj.Namespace)
	u.SetName(name)
	u.SetLabels(map[string]string{v1alpha1.BundleLabel: render.LabelValue(s.obj.Name)})
	u.SetOwnerReferences([]metav1.OwnerReference{*metav1.NewControllerRef(s.obj, v1alpha1.GroupVersion.WithKind("AppBundle"))})
	return u
}

// contract shows what contract steps wait for. Ready does not depend on it.
func (r *Reconciler) contract(_ context.Context, s *scope) error {
	if len(s.owned) == 0 {
		return nil
	}
	s.contracted = judgeContracted(s.owned)
	if s.contracted.Status != metav1.ConditionTrue {
		return nil
	}
	for _, o := range s.owned {
		if n, took := work(o.sm, PhaseContract, s.revision); n > 0 {
			s.leave(PhaseContract, fmt.Sprintf("series %s: %d contract steps, the fence is at %d", o.spec.Series, n, o.sm.Status.Fence.Committed), r.Clock.Now(), took)
		}
	}
	return nil
}

// judgeContracted is False with the words of the first series that waits.
func judgeContracted(owned []*ownedSeries) *metav1.Condition {
	for _, o := range owned {
		c := conditions.Get(o.sm, v1alpha1.ContractedCondition)
		switch {
		case c == nil:
			return &metav1.Condition{Type: v1alpha1.ContractedCondition, Status: metav1.ConditionUnknown, Reason: ReasonContractPending,
				Message: fmt.Sprintf("SchemaMigration %s has not looked at its contract steps yet", o.sm.Name)}
		case c.Status != metav1.ConditionTrue:
			return &metav1.Condition{Type: v1alpha1.ContractedCondition, Status: c.Status, Reason: c.Reason, Message: c.Message}
		}
	}
	return &metav1.Condition{Type: v1alpha1.ContractedCondition, Status: metav1.ConditionTrue, Reason: ReasonContracted,
		Message: "every contract step of the revision is applied"}
}

// schemaStatus is how far each series is.
func (s *scope) schemaStatus() []v1alpha1.BundleSchema {
	out := make([]v1alpha1.BundleSchema, 0, len(s.owned))
	for _, o := range s.owned {
		b := v1alpha1.BundleSchema{Series: o.spec.Series, Target: o.newest()}
		if o.sm != nil {
			b.Ready, b.Fence = o.sm.Status.ReadyVersion, o.sm.Status.Fence.Committed
		}
		out = append(out, b)
	}
	return out
}
