package appbundle

import (
	"context"
	"testing"
	"time"

	fluxmeta "github.com/fluxcd/pkg/apis/meta"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
)

// TestInAManager: with an interval of an hour, what moves the bundle are the watches: of its own spec and annotation,
// and of its SchemaMigration.
func TestInAManager(t *testing.T) {
	b := newBench(t)
	b.database()
	mgr, err := ctrl.NewManager(config, ctrl.Options{Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"},
		Controller: ctrlconfig.Controller{SkipNameValidation: ptr.To(true)},
		Cache:      cache.Options{DefaultNamespaces: map[string]cache.Config{b.ns: {}}},
		Client:     client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}, &corev1.ConfigMap{}}}}})
	if err != nil {
		t.Fatal(err)
	}
	r := &Reconciler{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Config: config, Recorder: b.events, Clock: clock.RealClock{},
		StoragePath: t.TempDir(), Images: b.images}
	if err := r.SetupWithManager(mgr, 1); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.ctx)
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	until := func(what string, ok func(*v1alpha1.AppBundle) bool) {
		t.Helper()
		obj := &v1alpha1.AppBundle{}
		for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			if b.get("shop", obj); ok(obj) {
				return
			}
		}
		t.Fatalf("%s: %+v", what, obj.Status)
	}

	first := b.commit(map[string]string{"deploy/a.yaml": configMapYAML("a", "1"), "db/00001_init.sql": initSQL})
	b.bundle(withMigrations)
	until("it waits for its SchemaMigration", func(o *v1alpha1.AppBundle) bool { return o.Status.Phase == PhaseExpand })
	b.migrated()
	until("it is done", func(o *v1alpha1.AppBundle) bool {
		return o.Status.Phase == PhaseDone && o.Status.LastAppliedRevision == first
	})
	second := b.commit(map[string]string{"deploy/a.yaml": configMapYAML("a", "2")})
	obj := &v1alpha1.AppBundle{}
	b.change("shop", obj, func() { obj.Annotations = map[string]string{fluxmeta.ReconcileRequestAnnotation: "now"} })
	until("it hands the new revision over", func(*v1alpha1.AppBundle) bool { return b.migration().Spec.Revision == second })
	b.migrated()
	until("it is done again", func(o *v1alpha1.AppBundle) bool {
		return o.Status.Phase == PhaseDone && o.Status.LastAppliedRevision == second
	})
	if err := b.c.Delete(b.ctx, obj); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(15 * time.Second); b.has("a", &corev1.ConfigMap{}); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("what it applied is still there")
		}
	}
}
