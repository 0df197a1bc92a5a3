package appbundle

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	fluxmeta "github.com/fluxcd/pkg/apis/meta"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/reconcilers/internal/apply"
)

func TestApplyUntilHealthy(t *testing.T) {
	b := newBench(t)
	revision := b.commit(map[string]string{"deploy/a.yaml": configMapYAML("conf", "1"), "deploy/d.yaml": deploymentYAML("r/shop:1"), "deploy/s.yaml": serviceYAML})
	b.bundle()
	obj := b.pass()
	b.wants(obj, metav1.ConditionUnknown, ReasonSettling, PhaseSettle, `Deployment "`+b.ns+`/shop"`)
	cm := &corev1.ConfigMap{}
	b.get("conf", cm)
	if cm.Labels[v1alpha1.BundleLabel] != "shop" || cm.Data["value"] != "1" {
		t.Errorf("the ConfigMap has labels %v, data %v", cm.Labels, cm.Data)
	}
	b.rolledOut()
	obj = b.pass()
	b.wantsReady(obj, revision)
	if len(obj.Status.Inventory) != 3 || obj.Status.Inventory[1].ID != b.ns+"_shop__Service" {
		t.Errorf("inventory %v", obj.Status.Inventory)
	}
	if got := receipts(obj, revision); got != "Fetch Render Plan Apply Settle Prune" {
		t.Errorf("receipts of %s", got)
	}
	if took := obj.Status.History[4].DurationMillis; took < 5000 {
		t.Errorf("Settle took %d ms, it lasted a whole pass", took)
	}
	if events := b.seen(); !strings.Contains(events, "Normal Applied "+revision) {
		t.Errorf("events:\n%s", events)
	}
}

// TestNothingToDoWritesNothing: a pass over a bundle that is as it should be changes no object, its own status included.
func TestNothingToDoWritesNothing(t *testing.T) {
	b := newBench(t)
	revision := b.commit(map[string]string{"deploy/a.yaml": configMapYAML("conf", "1"), "deploy/d.yaml": deploymentYAML("r/shop:1")})
	b.bundle()
	b.pass()
	b.rolledOut()
	before := b.pass()
	b.wantsReady(before, revision)
	b.seen()
	objects := []client.Object{&corev1.ConfigMap{}, &appsv1.Deployment{}}
	versions := func() []string {
		b.get("conf", objects[0])
		b.get("shop", objects[1])
		return []string{objects[0].GetResourceVersion(), objects[1].GetResourceVersion()}
	}
	was := versions()
	for range 3 {
		after := b.pass()
		if after.ResourceVersion != before.ResourceVersion {
			t.Errorf("the bundle was written: %v, then %v", before.Status, after.Status)
		}
	}
	if now := versions(); !slices.Equal(now, was) {
		t.Errorf("objects were written: %v, then %v", was, now)
	}
	if events := b.seen(); events != "" {
		t.Errorf("events of nothing:\n%s", events)
	}
}

func TestDriftIsPutRight(t *testing.T) {
	b := newBench(t)
	revision := b.commit(map[string]string{"deploy/a.yaml": configMapYAML("conf", "1"), "deploy/b.yaml": configMapYAML("gone", "1")})
	b.bundle()
	b.wantsReady(b.pass(), revision)
	b.seen()
	cm := &corev1.ConfigMap{}
	b.change("conf", cm, func() { cm.Data["value"] = "by hand" })
	if err := b.c.Delete(b.ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: b.ns, Name: "gone"}}); err != nil {
		t.Fatal(err)
	}
	b.wantsReady(b.pass(), revision)
	if b.get("conf", cm); cm.Data["value"] != "1" || !b.has("gone", &corev1.ConfigMap{}) {
		t.Errorf("value is %q, the deleted one is back: %v", cm.Data["value"], b.has("gone", &corev1.ConfigMap{}))
	}
	if events := b.seen(); !strings.Contains(events, EventDriftCorrected+" 1 created, 1 changed") {
		t.Errorf("events:\n%s", events)
	}
}

func TestPrune(t *testing.T) {
	b := newBench(t)
	b.commit(map[string]string{"deploy/a.yaml": configMapYAML("a", "1"), "deploy/b.yaml": configMapYAML("b", "1"),
		"deploy/c.yaml": configMapYAML("c", "1"), "deploy/d.yaml": configMapYAML("d", "1")})
	b.bundle()
	b.pass()
	cm := &corev1.ConfigMap{}
	b.change("c", cm, func() { cm.Annotations = map[string]string{apply.PruneAnnotation: apply.PruneDisabled} })
	b.change("d", cm, func() { cm.Labels[v1alpha1.BundleLabel] = "another" })
	revision := b.commit(map[string]string{"deploy/b.yaml": "", "deploy/c.yaml": "", "deploy/d.yaml": ""})
	obj := b.pass()
	b.wantsReady(obj, revision)
	if b.has("b", cm) || !b.has("c", cm) || !b.has("d", cm) || !b.has("a", cm) {
		t.Errorf("left: a %v, b %v, c (kept on purpose) %v, d (another's now) %v", b.has("a", cm), b.has("b", cm), b.has("c", cm), b.has("d", cm))
	}
	if len(obj.Status.Inventory) != 1 {
		t.Errorf("inventory %v", obj.Status.Inventory)
	}

	b.spec(func(s *v1alpha1.AppBundleSpec) { off := false; s.Prune = &off })
	revision = b.commit(map[string]string{"deploy/a.yaml": "", "deploy/e.yaml": configMapYAML("e", "1")})
	b.wantsReady(b.pass(), revision)
	if !b.has("a", cm) || !b.has("e", cm) {
		t.Error("with prune off something was deleted")
	}
}

// TestPruneFails: what can not be deleted stays in the inventory, and is deleted when it can be.
func TestPruneFails(t *testing.T) {
	b := newBench(t)
	role := b.account("shop", rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get", "create", "patch"}})
	b.commit(map[string]string{"deploy/a.yaml": configMapYAML("a", "1"), "deploy/b.yaml": configMapYAML("b", "1")})
	b.bundle(func(s *v1alpha1.AppBundleSpec) { s.ServiceAccountName = "shop" })
	b.pass()
	revision := b.commit(map[string]string{"deploy/b.yaml": ""})
	obj := b.pass()
	b.wants(obj, metav1.ConditionFalse, ReasonPruneFailed, PhasePrune, `give ServiceAccount "shop"`)
	if len(obj.Status.Inventory) != 2 {
		t.Errorf("inventory %v", obj.Status.Inventory)
	}
	b.change(role.Name, role, func() { role.Rules[0].Verbs = append(role.Rules[0].Verbs, "delete") })
	b.eventuallyReady(revision)
	if b.has("b", &corev1.ConfigMap{}) {
		t.Error("it is still there")
	}
}

// TestFailedTryIsRemembered: what a failed try applied is pruned when the next revision does without it.
func TestFailedTryIsRemembered(t *testing.T) {
	b := newBench(t)
	b.commit(map[string]string{"deploy/a.yaml": configMapYAML("a", "1"),
		"deploy/d.yaml": strings.Replace(deploymentYAML("r/shop:1"), "matchLabels: {app: shop}", "matchLabels: {app: other}", 1)})
	b.bundle()
	obj := b.pass()
	b.wants(obj, metav1.ConditionFalse, string(apply.ApplyFailed), PhaseApply, "selector")
	if !b.has("a", &corev1.ConfigMap{}) || len(obj.Status.Inventory) != 2 {
		t.Fatalf("inventory %v", obj.Status.Inventory)
	}
	revision := b.commit(map[string]string{"deploy/a.yaml": "", "deploy/d.yaml": "", "deploy/b.yaml": configMapYAML("b", "1")})
	b.wantsReady(b.pass(), revision)
	if b.has("a", &corev1.ConfigMap{}) {
		t.Error("what the failed try applied is still there")
	}
}

func TestSuspend(t *testing.T) {
	b := newBench(t)
	first := b.commit(map[string]string{"deploy/a.yaml": configMapYAML("a", "1")})
	b.bundle()
	b.pass()
	b.spec(func(s *v1alpha1.AppBundleSpec) { s.Suspend = true })
	second := b.commit(map[string]string{"deploy/a.yaml": configMapYAML("a", "2")})
	obj := b.pass()
	b.wants(obj, metav1.ConditionTrue, ReasonApplied, PhaseDone, first)
	if obj.Status.WaitingOn != "spec.suspend is set" {
		t.Errorf("waiting on %q", obj.Status.WaitingOn)
	}
	cm := &corev1.ConfigMap{}
	if b.get("a", cm); cm.Data["value"] != "1" {
		t.Error("it was applied while suspended")
	}
	b.spec(func(s *v1alpha1.AppBundleSpec) { s.Suspend = false })
	obj = b.pass()
	b.wantsReady(obj, second)
	if obj.Status.WaitingOn != "" {
		t.Errorf("waiting on %q", obj.Status.WaitingOn)
	}
}

// TestReconcileNow: the remote is asked at once, and the annotation is confirmed.
func TestReconcileNow(t *testing.T) {
	b := newBench(t)
	b.commit(map[string]string{"deploy/a.yaml": configMapYAML("a", "1")})
	b.bundle()
	b.pass()
	revision := b.commit(map[string]string{"deploy/a.yaml": configMapYAML("a", "2")})
	b.clock.Step(-remoteAge)
	before := b.server.Requests.Load()
	b.pass()
	if got := b.server.Requests.Load() - before; got != 0 {
		t.Errorf("%d requests right after the last", got)
	}
	obj := &v1alpha1.AppBundle{}
	b.change("shop", obj, func() { obj.Annotations = map[string]string{fluxmeta.ReconcileRequestAnnotation: "now"} })
	b.clock.Step(-remoteAge)
	obj = b.pass()
	b.wantsReady(obj, revision)
	if obj.Status.LastHandledReconcileAt != "now" {
		t.Errorf("handled %q", obj.Status.LastHandledReconcileAt)
	}
}

// account creates a service account with a role.
func (b *bench) account(name string, rules ...rbacv1.PolicyRule) *rbacv1.Role {
	b.t.Helper()
	meta := metav1.ObjectMeta{Namespace: b.ns, Name: name}
	role := &rbacv1.Role{ObjectMeta: meta, Rules: rules}
	b.create(&corev1.ServiceAccount{ObjectMeta: meta})
	b.create(role)
	b.create(&rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: b.ns, Name: name}}})
	return role
}

// eventuallyReady passes until RBAC, which the API server caches, has taken in a change.
func (b *bench) eventuallyReady(revision string) {
	b.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if b.pass().Status.Phase == PhaseDone {
			break
		}
	}
	b.wantsReady(b.pass(), revision)
}

func TestActsAsTheTenant(t *testing.T) {
	b := newBench(t)
	revision := b.commit(map[string]string{"deploy/a.yaml": configMapYAML("a", "1")})
	b.bundle(func(s *v1alpha1.AppBundleSpec) { s.ServiceAccountName = "shop" })
	obj := b.pass()
	b.wants(obj, metav1.ConditionFalse, string(apply.Forbidden), PhaseApply, "system:serviceaccount:"+b.ns+":shop")
	b.wants(obj, metav1.ConditionFalse, string(apply.Forbidden), PhaseApply, `give ServiceAccount "shop" in namespace "`+b.ns+`" the right`)
	if b.has("a", &corev1.ConfigMap{}) {
		t.Error("it was applied all the same")
	}
	b.account("shop", rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"*"}})
	b.eventuallyReady(revision)

	b.commit(map[string]string{"deploy/r.yaml": "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: escape}\nrules: [{apiGroups: ['*'], resources: ['*'], verbs: ['*']}]\n"})
	b.wants(b.pass(), metav1.ConditionFalse, string(apply.Forbidden), PhaseApply, "clusterroles")
}

func TestDefaultServiceAccount(t *testing.T) {
	b := newBench(t)
	b.r.DefaultServiceAccount = "tenant"
	b.commit(map[string]string{"deploy/a.yaml": configMapYAML("a", "1")})
	b.bundle()
	b.wants(b.pass(), metav1.ConditionFalse, string(apply.Forbidden), PhaseApply, "system:serviceaccount:"+b.ns+":tenant")
}

// TestObjectsElsewhere: without a service account a bundle stays in its namespace.
func TestObjectsElsewhere(t *testing.T) {
	for name, tt := range map[string]struct{ yaml, want string }{
		"another namespace": {strings.Replace(configMapYAML("a", "1"), "name: a", "name: a, namespace: default", 1), "is not in the bundle's namespace"},
		"no namespace":      {"apiVersion: v1\nkind: Namespace\nmetadata: {name: mine}\n", "belongs to no namespace"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.commit(map[string]string{"deploy/a.yaml": tt.yaml})
			b.bundle()
			b.wants(b.pass(), metav1.ConditionFalse, "ObjectRefused", PhaseRender, tt.want)
		})
	}
}

func TestUnknownKindArrives(t *testing.T) {
	b := newBench(t)
	b.commit(map[string]string{"deploy/a.yaml": "apiVersion: nowhere.test/v1\nkind: Thing\nmetadata: {name: a}\n"})
	b.bundle()
	b.wants(b.pass(), metav1.ConditionFalse, string(apply.KindUnknown), PhaseRender, "install its CustomResourceDefinition first")
}

func TestNeverHealthy(t *testing.T) {
	b := newBench(t)
	b.commit(map[string]string{"deploy/d.yaml": deploymentYAML("r/shop:1")})
	b.bundle(func(s *v1alpha1.AppBundleSpec) { s.Timeout = metav1.Duration{Duration: time.Minute} })
	b.wants(b.pass(), metav1.ConditionUnknown, ReasonSettling, PhaseSettle, "Deployment")
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: b.ns, Name: "shop-1", Labels: map[string]string{"app": "shop"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "shop", Image: "r/shop:1"}}}}
	b.create(pod)
	b.changeStatus("shop-1", pod, func() {
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "shop", State: corev1.ContainerState{
			Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "manifest unknown"}}}}
	})
	b.wants(b.pass(), metav1.ConditionUnknown, ReasonSettling, PhaseSettle, "pod shop-1: container shop: ImagePullBackOff: manifest unknown")
	b.clock.Step(2 * time.Minute)
	b.wants(b.pass(), metav1.ConditionFalse, ReasonHealthCheckFailed, PhaseSettle, "not healthy after 1m0s")
	if events := b.seen(); !strings.Contains(events, "Warning HealthCheckFailed") {
		t.Errorf("events:\n%s", events)
	}

	// A newer revision takes over at once, and has its own time.
	revision := b.commit(map[string]string{"deploy/d.yaml": deploymentYAML("r/shop:2")})
	b.wants(b.pass(), metav1.ConditionUnknown, ReasonSettling, PhaseSettle, "Deployment")
	if b.image() != "r/shop:2" {
		t.Errorf("image %s", b.image())
	}
	b.rolledOut()
	b.wantsReady(b.pass(), revision)
}

// TestGivesUpByItself: a Deployment that says that it will not make it needs no timeout.
func TestGivesUpByItself(t *testing.T) {
	b := newBench(t)
	revision := b.commit(map[string]string{"deploy/d.yaml": deploymentYAML("r/shop:1")})
	b.bundle()
	b.pass()
	d := &appsv1.Deployment{}
	b.changeStatus("shop", d, func() {
		d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: 2, UpdatedReplicas: 2, UnavailableReplicas: 2,
			Conditions: []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ProgressDeadlineExceeded", Message: "no progress"}}}
	})
	b.wants(b.pass(), metav1.ConditionFalse, ReasonHealthCheckFailed, PhaseSettle, "Progress deadline exceeded")
	b.rolledOut()
	b.wantsReady(b.pass(), revision)
}

func TestDeletion(t *testing.T) {
	gone := func(t *testing.T, b *bench) bool {
		t.Helper()
		obj := &v1alpha1.AppBundle{}
		return client.IgnoreNotFound(b.c.Get(b.ctx, b.key, obj)) == nil && obj.UID == ""
	}
	remove := func(t *testing.T, b *bench) {
		t.Helper()
		if err := b.c.Delete(b.ctx, &v1alpha1.AppBundle{ObjectMeta: metav1.ObjectMeta{Namespace: b.ns, Name: "shop"}}); err != nil {
			t.Fatal(err)
		}
	}
	reconcile := func(t *testing.T, b *bench) {
		t.Helper()
		if _, err := b.r.Reconcile(b.ctx, reconcileRequest(b)); err != nil {
			t.Fatal(err)
		}
	}
	start := func(t *testing.T, change ...func(*v1alpha1.AppBundleSpec)) *bench {
		t.Helper()
		b := newBench(t)
		b.commit(map[string]string{"deploy/a.yaml": configMapYAML("a", "1")})
		b.bundle(change...)
		b.pass()
		return b
	}

	t.Run("prunes", func(t *testing.T) {
		b := start(t)
		remove(t, b)
		reconcile(t, b)
		if !gone(t, b) || b.has("a", &corev1.ConfigMap{}) {
			t.Error("the bundle or its object is still there")
		}
	})
	t.Run("leaves objects with prune off", func(t *testing.T) {
		b := start(t, func(s *v1alpha1.AppBundleSpec) { off := false; s.Prune = &off })
		remove(t, b)
		reconcile(t, b)
		if !gone(t, b) || !b.has("a", &corev1.ConfigMap{}) {
			t.Error("the bundle is still there, or its object is gone")
		}
	})
	t.Run("works while suspended, without the repository", func(t *testing.T) {
		b := start(t)
		b.spec(func(s *v1alpha1.AppBundleSpec) { s.Suspend = true })
		b.server.Stop()
		remove(t, b)
		reconcile(t, b)
		if !gone(t, b) {
			t.Error("the bundle is still there")
		}
	})
	t.Run("yields in a namespace that goes away", func(t *testing.T) {
		b := start(t, func(s *v1alpha1.AppBundleSpec) { s.ServiceAccountName = "" })
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: b.ns}}
		if err := b.c.Delete(b.ctx, ns); err != nil {
			t.Fatal(err)
		}
		remove(t, b)
		reconcile(t, b)
		if !gone(t, b) || !b.has("a", &corev1.ConfigMap{}) {
			t.Error("the bundle is still there, or it deleted what goes by itself")
		}
	})
	t.Run("stays while it may not delete", func(t *testing.T) {
		b := newBench(t)
		b.account("shop", rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get", "create", "patch"}})
		b.commit(map[string]string{"deploy/a.yaml": configMapYAML("a", "1")})
		b.bundle(func(s *v1alpha1.AppBundleSpec) { s.ServiceAccountName = "shop" })
		b.pass()
		remove(t, b)
		b.wants(b.pass(), metav1.ConditionFalse, ReasonPruneFailed, PhasePrune, "set spec.prune to false")
		b.spec(func(s *v1alpha1.AppBundleSpec) { off := false; s.Prune = &off })
		reconcile(t, b)
		if !gone(t, b) {
			t.Error("the bundle is still there")
		}
	})
}

// TestFieldsOfOthers: what others own, and Git does not name, stays.
func TestFieldsOfOthers(t *testing.T) {
	b := newBench(t)
	b.commit(map[string]string{"deploy/a.yaml": configMapYAML("a", "1")})
	b.bundle()
	b.pass()
	cm := &corev1.ConfigMap{}
	b.get("a", cm)
	if err := b.c.Patch(b.ctx, cm, client.RawPatch(types.MergePatchType, []byte(`{"data":{"theirs":"x"}}`)), client.FieldOwner("somebody")); err != nil {
		t.Fatal(err)
	}
	revision := b.commit(map[string]string{"deploy/a.yaml": configMapYAML("a", "2")})
	b.wantsReady(b.pass(), revision)
	if b.get("a", cm); !maps.Equal(cm.Data, map[string]string{"value": "2", "theirs": "x"}) {
		t.Errorf("data %v", cm.Data)
	}
}
