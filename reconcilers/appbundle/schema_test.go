package appbundle

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/runtime/conditions"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
)

// template returns the labels and annotations of the Deployment's pod template.
func (b *bench) template() (labels, annotations map[string]string) {
	b.t.Helper()
	d := &appsv1.Deployment{}
	b.get("shop", d)
	return d.Spec.Template.Labels, d.Spec.Template.Annotations
}

// atVersion1 brings a bundle up with one migration and image r/shop:1.
func atVersion1(t *testing.T) (*bench, string) {
	t.Helper()
	b := newBench(t)
	b.database()
	revision := b.commit(map[string]string{"deploy/d.yaml": deploymentYAML("r/shop:1"), "db/00001_init.sql": initSQL})
	b.bundle(withMigrations)
	b.wants(b.pass(), metav1.ConditionUnknown, ReasonSchemaNotReady, PhaseExpand, "has not taken up version 1")
	b.migrated()
	b.wants(b.pass(), metav1.ConditionUnknown, ReasonSettling, PhaseSettle, "Deployment")
	b.rolledOut()
	b.wantsReady(b.pass(), revision)
	return b, revision
}

func TestWaitsForItsMigrations(t *testing.T) {
	b := newBench(t)
	b.database()
	revision := b.commit(map[string]string{"deploy/a.yaml": configMapYAML("a", "1"), "deploy/d.yaml": deploymentYAML("r/shop:1"), "db/00001_init.sql": initSQL})
	b.bundle(withMigrations)
	b.pass()
	sm := b.migration()
	if sm.Spec.Series != "shop" || sm.Spec.DatabaseRef.Name != "shop" || *sm.Spec.TargetVersion != 1 || sm.Spec.Revision != revision || sm.Spec.Contract.Approval != v1alpha1.ApprovalAuto {
		t.Errorf("spec %+v", sm.Spec)
	}
	cm := &corev1.ConfigMap{}
	if b.get(sm.Spec.ConfigMapRef.Name, cm); cm.Data["00001_init.sql"] != initSQL || cm.Immutable == nil || !*cm.Immutable || !metav1.IsControlledBy(cm, &v1alpha1.AppBundle{ObjectMeta: metav1.ObjectMeta{UID: b.bundleUID()}}) {
		t.Errorf("ConfigMap %+v", cm)
	}
	set := func(f func(*v1alpha1.SchemaMigration)) { b.migrated(f) }
	notYet := func(what, phase, message string) {
		t.Helper()
		b.wants(b.pass(), metav1.ConditionUnknown, ReasonSchemaNotReady, phase, message)
		if b.has("a", cm) || b.has("shop", &appsv1.Deployment{}) {
			t.Errorf("%s: something was applied", what)
		}
	}
	set(func(sm *v1alpha1.SchemaMigration) { sm.Status.ObservedGeneration-- })
	notYet("Ready of an older generation", PhaseExpand, "has not taken up")
	set(func(sm *v1alpha1.SchemaMigration) { sm.Status.SourceDigest = "other" })
	notYet("Ready of other files", PhaseExpand, "SchemaMigration shop-shop")
	set(func(sm *v1alpha1.SchemaMigration) { sm.Status.TargetVersion = 7 })
	notYet("Ready of another target", PhaseExpand, "SchemaMigration shop-shop")
	set(func(sm *v1alpha1.SchemaMigration) {
		sm.Status.Phase = PhaseBackfill
		sm.Status.Conditions = []metav1.Condition{condition("Ready", metav1.ConditionFalse, "Progressing", "step 4: 40% of 300000 rows")}
	})
	notYet("still at work", PhaseBackfill, "SchemaMigration shop-shop: step 4: 40% of 300000 rows")
	b.migrated()
	b.pass()
	labels, annotations := b.template()
	if labels["schema.interlock.dev/shop"] != "1" || labels[v1alpha1.StampedLabel] != "true" || annotations[v1alpha1.StampImagesAnnotation] != "shop=r/shop:1" {
		t.Errorf("stamped %v %v", labels, annotations)
	}
	b.rolledOut()
	obj := b.pass()
	b.wantsReady(obj, revision)
	if got := receipts(obj, revision); got != "Fetch Render Check Plan Expand Apply Settle Prune" {
		t.Errorf("receipts of %s", got)
	}
	if s := obj.Status.Schema; len(s) != 1 || s[0] != (v1alpha1.BundleSchema{Series: "shop", Target: 1, Ready: 1}) {
		t.Errorf("schema %+v", s)
	}
	if b.images.calls != 1 || b.images.images["r/shop:1"] != 1 {
		t.Errorf("the journal was asked %d times and knows %v", b.images.calls, b.images.images)
	}
}

// TestReadyGoesFirst: whoever waits for Ready must not take the old revision for the new one, and nothing of the new
// code may show before its migrations are in.
func TestReadyGoesFirst(t *testing.T) {
	b, first := atVersion1(t)
	revision := b.commit(map[string]string{"deploy/d.yaml": deploymentYAML("r/shop:2"), "db/00002_note.sql": expandSQL})
	obj := b.pass()
	b.wants(obj, metav1.ConditionUnknown, ReasonSchemaNotReady, PhaseExpand, "SchemaMigration shop-shop has not taken up version 2")
	if obj.Status.LastAppliedRevision != first || obj.Status.LastAttemptedRevision != revision || b.image() != "r/shop:1" {
		t.Errorf("applied %s, attempted %s, image %s", obj.Status.LastAppliedRevision, obj.Status.LastAttemptedRevision, b.image())
	}
	b.migrated()
	b.pass()
	if labels, _ := b.template(); labels["schema.interlock.dev/shop"] != "2" || b.image() != "r/shop:2" {
		t.Errorf("image %s with %v", b.image(), labels)
	}
	b.rolledOut()
	b.wantsReady(b.pass(), revision)
	list := &corev1.ConfigMapList{}
	if err := b.c.List(b.ctx, list, client.InNamespace(b.ns), client.HasLabels{migrationsLabel}); err != nil || len(list.Items) != 1 {
		t.Errorf("%d ConfigMaps with migrations are left, %v", len(list.Items), err)
	}
}

// TestMigrationsRestartNobody: new migrations, the same image: the pods keep their stamp and run on.
func TestMigrationsRestartNobody(t *testing.T) {
	b, _ := atVersion1(t)
	d := &appsv1.Deployment{}
	b.get("shop", d)
	before := d.Generation
	revision := b.commit(map[string]string{"db/00002_note.sql": expandSQL})
	b.pass()
	b.migrated()
	b.wantsReady(b.pass(), revision)
	if b.get("shop", d); d.Generation != before {
		t.Errorf("the Deployment changed: %v", d.Spec.Template.ObjectMeta)
	}
	// The code follows in a commit of its own: it was built from a tree that has the migration.
	revision = b.commit(map[string]string{"deploy/d.yaml": deploymentYAML("r/shop:2")})
	b.pass()
	b.migrated()
	b.pass()
	if labels, _ := b.template(); labels["schema.interlock.dev/shop"] != "2" {
		t.Errorf("stamped %v", labels)
	}
	b.rolledOut()
	b.wantsReady(b.pass(), revision)
}

// TestContractIsShown: a contract step that waits does not touch Ready.
func TestContractIsShown(t *testing.T) {
	b, _ := atVersion1(t)
	revision := b.commit(map[string]string{"deploy/d.yaml": deploymentYAML("r/shop:2"), "db/00002_note.sql": expandSQL})
	b.pass()
	waiting := func(sm *v1alpha1.SchemaMigration) {
		sm.Status.Conditions[1] = condition(v1alpha1.ContractedCondition, metav1.ConditionFalse, "WaitingForReaders", "waits for Pod shop-1")
	}
	b.migrated(waiting)
	b.pass()
	b.rolledOut()
	obj := b.pass()
	b.wants(obj, metav1.ConditionTrue, ReasonApplied, PhaseContract, revision)
	c := conditions.Get(obj, v1alpha1.ContractedCondition)
	if c.Status != metav1.ConditionFalse || c.Reason != "WaitingForReaders" || obj.Status.WaitingOn != "waits for Pod shop-1" {
		t.Errorf("Contracted %+v, waiting on %q", c, obj.Status.WaitingOn)
	}
	b.migrated(func(sm *v1alpha1.SchemaMigration) {
		sm.Status.Fence.Committed = 2
		sm.Status.History = v1alpha1.AppendReceipt(sm.Status.History, v1alpha1.Receipt{Phase: PhaseContract, Revision: revision, Time: metav1.Now(), DurationMillis: 10})
	})
	obj = b.pass()
	b.wantsReady(obj, revision)
	if !conditions.IsTrue(obj, v1alpha1.ContractedCondition) || !strings.HasSuffix(receipts(obj, revision), "Prune Contract") {
		t.Errorf("Contracted %+v, receipts %s", conditions.Get(obj, v1alpha1.ContractedCondition), receipts(obj, revision))
	}
}

// pastTheFence is at version 2 with the contract step 2 done.
func pastTheFence(t *testing.T) *bench {
	t.Helper()
	b, _ := atVersion1(t)
	revision := b.commit(map[string]string{"deploy/d.yaml": deploymentYAML("r/shop:2"), "db/00002_note.sql": expandSQL})
	b.pass()
	b.migrated()
	b.pass()
	b.rolledOut()
	b.migrated(func(sm *v1alpha1.SchemaMigration) {
		sm.Status.Fence = v1alpha1.FenceStatus{State: v1alpha1.FenceCommitted, Version: 2, Committed: 2, OldestRevision: revision}
	})
	b.wantsReady(b.pass(), revision)
	return b
}

func TestRollbackIsRefused(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"all of it":    {"deploy/d.yaml": deploymentYAML("r/shop:1"), "db/00002_note.sql": ""},
		"only the tag": {"deploy/d.yaml": deploymentYAML("r/shop:1")},
	} {
		t.Run(name, func(t *testing.T) {
			b := pastTheFence(t)
			good := "main@sha1:" + b.commits[len(b.commits)-1]
			configMap := b.migration().Spec.ConfigMapRef.Name
			b.commit(files)
			obj := b.pass()
			b.wants(obj, metav1.ConditionFalse, ReasonRollbackRefused, PhasePlan, "the oldest revision that still works is "+good)
			if !conditions.IsTrue(obj, v1alpha1.StalledCondition) || b.image() != "r/shop:2" || b.migration().Spec.ConfigMapRef.Name != configMap {
				t.Errorf("image %s, migrations %s", b.image(), b.migration().Spec.ConfigMapRef.Name)
			}
			revision := b.commit(map[string]string{"deploy/d.yaml": deploymentYAML("r/shop:3"), "db/00002_note.sql": expandSQL})
			b.pass()
			b.migrated(func(sm *v1alpha1.SchemaMigration) {})
			b.pass()
			b.rolledOut()
			b.wantsReady(b.pass(), revision)
		})
	}
}

// TestRollbackBeforeTheFence: going back is a roll-out like any other until the contract step runs.
func TestRollbackBeforeTheFence(t *testing.T) {
	b, _ := atVersion1(t)
	b.commit(map[string]string{"deploy/d.yaml": deploymentYAML("r/shop:2"), "db/00002_note.sql": expandSQL})
	b.pass()
	b.migrated()
	b.pass()
	b.rolledOut()
	b.pass()
	revision := b.commit(map[string]string{"deploy/d.yaml": deploymentYAML("r/shop:1"), "db/00002_note.sql": ""})
	b.pass()
	held := func(sm *v1alpha1.SchemaMigration) {
		sm.Status.Fence = v1alpha1.FenceStatus{State: v1alpha1.FenceHeld, Version: 2}
	}
	b.migrated(held)
	b.wants(b.pass(), metav1.ConditionUnknown, ReasonSchemaNotReady, PhaseApply, "a fence at 2 is being raised")
	if b.image() != "r/shop:2" {
		t.Error("the old code came back while a fence was held")
	}
	b.migrated(func(sm *v1alpha1.SchemaMigration) { sm.Status.Fence = v1alpha1.FenceStatus{} })
	b.pass()
	if labels, _ := b.template(); labels["schema.interlock.dev/shop"] != "1" {
		t.Errorf("stamped %v", labels)
	}
	b.rolledOut()
	b.wantsReady(b.pass(), revision)
}

// TestAdoptedStampIsReleased: a label-only change waits until a contract step is held by that very workload.
func TestAdoptedStampIsReleased(t *testing.T) {
	b, _ := atVersion1(t)
	declared := strings.Replace(deploymentYAML("r/shop:1"), "labels: {app: shop}}\n    spec", "labels: {app: shop, schema.interlock.dev/shop: '2'}, annotations: {schema.interlock.dev/images: 'shop=r/shop:1'}}\n    spec", 1)
	revision := b.commit(map[string]string{"deploy/d.yaml": declared, "db/00002_note.sql": contractSQL, "db/00001_init.sql": strings.Replace(initSQL, ");", ", note text);", 1)})
	b.pass()
	b.migrated(func(sm *v1alpha1.SchemaMigration) { sm.Status.ContractedVersion = 1 })
	b.wantsReady(b.pass(), revision)
	if labels, _ := b.template(); labels["schema.interlock.dev/shop"] != "1" {
		t.Fatalf("it was not withheld: %v", labels)
	}
	b.migrated(func(sm *v1alpha1.SchemaMigration) {
		sm.Status.Steps = []v1alpha1.SchemaStep{{Version: 2, Name: "00002_note.sql", Phase: "contract", State: "Waiting"}}
		sm.Status.Holders = []v1alpha1.Holder{{Kind: "Deployment", Name: "shop", Version: 1}}
	})
	b.pass()
	if labels, _ := b.template(); labels["schema.interlock.dev/shop"] != "2" {
		t.Errorf("it was not released: %v", labels)
	}
}

func TestBadMigrations(t *testing.T) {
	for name, tt := range map[string]struct{ sql, want string }{
		"does not parse": {badSQL, "series shop: db/00002_bad.sql:3:"},
		"mixes phases":   {mixedSQL, "db/00002_bad.sql:"},
		"no annotation":  {"SELECT 1;\n", "series shop: db: 00002_bad.sql:"},
	} {
		t.Run(name, func(t *testing.T) {
			b, first := atVersion1(t)
			b.commit(map[string]string{"deploy/d.yaml": deploymentYAML("r/shop:2"), "db/00002_bad.sql": tt.sql})
			obj := b.pass()
			b.wants(obj, metav1.ConditionFalse, ReasonMigrationsInvalid, PhaseCheck, tt.want)
			if obj.Status.LastAppliedRevision != first || b.image() != "r/shop:1" || *b.migration().Spec.TargetVersion != 1 {
				t.Errorf("something of it was applied: image %s", b.image())
			}
			revision := b.commit(map[string]string{"db/00002_bad.sql": expandSQL})
			b.pass()
			b.migrated()
			b.pass()
			b.rolledOut()
			b.wantsReady(b.pass(), revision)
		})
	}
}

func TestMigrationsMissing(t *testing.T) {
	b := newBench(t)
	b.database()
	b.commit(map[string]string{"deploy/a.yaml": configMapYAML("a", "1"), "db/README": "x"})
	b.bundle(withMigrations)
	b.wants(b.pass(), metav1.ConditionFalse, ReasonMigrationsInvalid, PhaseCheck, `there is no migration (<version>_<name>.sql) in "db"`)
	b.commit(map[string]string{"db/README": ""})
	b.wants(b.pass(), metav1.ConditionFalse, ReasonMigrationsInvalid, PhaseCheck, "the folder of migrations can not be read")
}

func TestMigrationsTooLarge(t *testing.T) {
	b := newBench(t)
	b.database()
	b.commit(map[string]string{"deploy/a.yaml": configMapYAML("a", "1"), "db/00001_init.sql": initSQL + "-- " + strings.Repeat("x", maxConfigMap) + "\n"})
	b.bundle(withMigrations)
	b.wants(b.pass(), metav1.ConditionFalse, ReasonMigrationsTooLarge, PhaseExpand, "900 fit into a ConfigMap")
}

func TestDatabaseArrives(t *testing.T) {
	b := newBench(t)
	b.commit(map[string]string{"deploy/a.yaml": configMapYAML("a", "1"), "db/00001_init.sql": initSQL})
	b.bundle(withMigrations)
	b.wants(b.pass(), metav1.ConditionFalse, ReasonDatabaseNotFound, PhaseCheck, `there is no Database "shop"`)
	b.database()
	b.wants(b.pass(), metav1.ConditionUnknown, ReasonSchemaNotReady, PhaseExpand, "has not taken up version 1")
}

func TestJournalAway(t *testing.T) {
	b := newBench(t)
	b.database()
	b.commit(map[string]string{"deploy/d.yaml": deploymentYAML("r/shop:1"), "db/00001_init.sql": initSQL})
	b.bundle(withMigrations)
	b.images.err = errors.New("nobody answers at db:5432")
	b.wants(b.pass(), metav1.ConditionFalse, ReasonDatabaseUnavailable, PhasePlan, `Database "shop": nobody answers at db:5432`)
	b.images.err = nil
	b.wants(b.pass(), metav1.ConditionUnknown, ReasonSchemaNotReady, PhaseExpand, "")
}

func TestSchemaStalled(t *testing.T) {
	b, first := atVersion1(t)
	b.commit(map[string]string{"deploy/d.yaml": deploymentYAML("r/shop:2"), "db/00002_note.sql": expandSQL})
	b.pass()
	b.migrated(func(sm *v1alpha1.SchemaMigration) {
		sm.Status.Conditions = []metav1.Condition{
			condition("Ready", metav1.ConditionFalse, "EditedMigration", "00001_init.sql was edited"),
			condition("Stalled", metav1.ConditionTrue, "EditedMigration", "00001_init.sql was edited"),
		}
	})
	obj := b.pass()
	b.wants(obj, metav1.ConditionFalse, ReasonSchemaStalled, PhaseExpand, "SchemaMigration shop-shop: 00001_init.sql was edited")
	if obj.Status.LastAppliedRevision != first || b.image() != "r/shop:1" {
		t.Errorf("image %s", b.image())
	}
}

func TestSeriesConflict(t *testing.T) {
	b := newBench(t)
	b.database()
	b.create(&v1alpha1.SchemaMigration{ObjectMeta: metav1.ObjectMeta{Namespace: b.ns, Name: "shop-shop"}, Spec: v1alpha1.SchemaMigrationSpec{
		DatabaseRef: v1alpha1.LocalReference{Name: "shop"}, Series: "shop", Inline: map[string]string{"1_a.sql": initSQL}}})
	b.commit(map[string]string{"deploy/a.yaml": configMapYAML("a", "1"), "db/00001_init.sql": initSQL})
	b.bundle(withMigrations)
	b.wants(b.pass(), metav1.ConditionFalse, ReasonSeriesConflict, PhaseExpand, "does not belong to this bundle")
}

// TestSuspendReachesMigrations: while a bundle is suspended, its series start nothing either.
func TestSuspendReachesMigrations(t *testing.T) {
	b, revision := atVersion1(t)
	b.spec(func(s *v1alpha1.AppBundleSpec) { s.Suspend = true })
	b.pass()
	if !b.migration().Spec.Suspend {
		t.Error("the SchemaMigration goes on")
	}
	b.spec(func(s *v1alpha1.AppBundleSpec) { s.Suspend = false })
	b.pass()
	if b.migration().Spec.Suspend {
		t.Error("the SchemaMigration does not go on")
	}
	b.migrated()
	b.wantsReady(b.pass(), revision)
}

// TestSeriesGivenUp: a series that left the spec takes its SchemaMigration with it.
func TestSeriesGivenUp(t *testing.T) {
	b, revision := atVersion1(t)
	b.spec(func(s *v1alpha1.AppBundleSpec) { s.Migrations = nil })
	b.pass()
	b.rolledOut()
	obj := b.pass()
	b.wantsReady(obj, revision)
	if b.has("shop-shop", &v1alpha1.SchemaMigration{}) || conditions.Has(obj, v1alpha1.ContractedCondition) || len(obj.Status.Schema) != 0 {
		t.Errorf("left of it: %+v", obj.Status)
	}
}

// TestUsedSeries: a bundle that reads another one's series starts with its fence, and waits until it is there.
func TestUsedSeries(t *testing.T) {
	b := newBench(t)
	b.database()
	b.commit(map[string]string{"deploy/d.yaml": deploymentYAML("r/report:1")})
	b.bundle(func(s *v1alpha1.AppBundleSpec) { s.Uses = []v1alpha1.UsedSeries{{Series: "billing"}} })
	b.wants(b.pass(), metav1.ConditionFalse, ReasonSeriesUnknown, PhaseCheck, `the series "billing"`)
	sm := &v1alpha1.SchemaMigration{ObjectMeta: metav1.ObjectMeta{Namespace: b.ns, Name: "billing"}, Spec: v1alpha1.SchemaMigrationSpec{
		DatabaseRef: v1alpha1.LocalReference{Name: "shop"}, Series: "billing", Inline: map[string]string{"1_a.sql": initSQL}}}
	b.create(sm)
	b.changeStatus("billing", sm, func() {
		sm.Status.Fence = v1alpha1.FenceStatus{State: v1alpha1.FenceProposed, Version: 7, Committed: 3}
	})
	// A fence that is only proposed may be withdrawn: code that starts meanwhile still meets the old shape.
	b.wants(b.pass(), metav1.ConditionUnknown, ReasonSchemaNotReady, PhaseApply, "Deployment shop is built for billing@3, and the database is ready for 0")
	b.changeStatus("billing", sm, func() { sm.Status.ReadyVersion, sm.Status.Fence.State = 7, v1alpha1.FenceCommitted })
	b.pass()
	if labels, _ := b.template(); labels["schema.interlock.dev/billing"] != "3" {
		t.Errorf("stamped %v", labels)
	}
}

// TestBothTimes: the time of a phase that lasts longer than a pass is measured from the receipt before it.
func TestBothTimes(t *testing.T) {
	now := time.Now()
	s := &scope{obj: &v1alpha1.AppBundle{}, before: &v1alpha1.AppBundle{}, revision: "r", began: now}
	s.finish(PhaseApply, "x", now.Add(time.Second))
	s.before.Status.LastAttemptedRevision, s.before.Status.Phase = "r", PhaseSettle
	s.began = now.Add(time.Minute)
	s.finish(PhaseSettle, "y", now.Add(time.Minute+time.Second))
	s.finish(PhaseSettle, "again", now.Add(time.Hour))
	h := s.obj.Status.History
	if len(h) != 2 || h[0].DurationMillis != 1000 || h[1].DurationMillis < 59000 || h[1].Message != "y" {
		t.Errorf("receipts %+v", h)
	}
}
