package schemamigration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fluxcd/pkg/runtime/conditions"
	"go.uber.org/zap/zapcore"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/internal/pgtest"
)

// api is a real API server, and a manager that runs the reconciler against it.
var api struct {
	client client.Client
	config *rest.Config
}

var namespaces atomic.Int64

func TestMain(m *testing.M) {
	stop, err := startAPI()
	if err != nil {
		fmt.Fprintln(os.Stderr, "these tests need a real API server: run `make components` first, or `make test`:", err)
		os.Exit(1)
	}
	defer stop()
	pgtest.Main(&stoppingM{m, stop})
}

// stoppingM ends the API server before the process exits.
type stoppingM struct {
	m    *testing.M
	stop func()
}

func (s *stoppingM) Run() int {
	code := s.m.Run()
	s.stop()
	return code
}

func startAPI() (func(), error) {
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		assets = filepath.Join("..", "..", ".local", "bin", "envtest")
	}
	env := &envtest.Environment{
		BinaryAssetsDirectory: assets,
		CRDDirectoryPaths:     []string{filepath.Join("..", "..", "charts", "interlock", "crds")},
		ErrorIfCRDPathMissing: true,
	}
	config, err := env.Start()
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = 200, 400
	ctx, cancel := context.WithCancel(context.Background())
	stop := func() { cancel(); _ = env.Stop() }
	if err := startManager(ctx, config); err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

func startManager(ctx context.Context, config *rest.Config) error {
	ctrl.SetLogger(zap.New(zap.Level(zapcore.ErrorLevel)))
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return err
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return err
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"},
		Client: client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}, &corev1.ConfigMap{}}}}})
	if err != nil {
		return err
	}
	r := &Reconciler{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Config: config, Recorder: mgr.GetEventRecorderFor("interlock"),
		Clock: clock.RealClock{}, RequestTimeout: time.Second}
	if err := r.SetupWithManager(mgr, 4); err != nil {
		return err
	}
	go func() { _ = mgr.Start(ctx) }()
	if !mgr.GetCache().WaitForCacheSync(ctx) {
		return context.Canceled
	}
	api.config = config
	api.client, err = client.New(config, client.Options{Scheme: scheme})
	return err
}

// fixture is a namespace with a Database on a fresh database of its own.
type fixture struct {
	t         *testing.T
	namespace string
	uri       string
}

func newFixture(t *testing.T, change func(*v1alpha1.Database)) *fixture {
	t.Helper()
	f := &fixture{t: t, namespace: fmt.Sprintf("test-%d", namespaces.Add(1)), uri: pgtest.Database(t)}
	f.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: f.namespace}})
	f.create(&corev1.Secret{ObjectMeta: f.meta("shop-db"), StringData: map[string]string{"uri": f.uri}})
	db := &v1alpha1.Database{ObjectMeta: f.meta("shop")}
	db.Spec.Connection.SecretRef = v1alpha1.SecretKeyReference{Name: "shop-db"}
	db.Spec.Readers.Secrets = []string{"shop-app"}
	if change != nil {
		change(db)
	}
	f.create(db)
	return f
}

func (f *fixture) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: f.namespace, Name: name}
}

func (f *fixture) create(o client.Object) {
	f.t.Helper()
	if err := api.client.Create(f.t.Context(), o); err != nil {
		f.t.Fatal(err)
	}
}

// migration creates a SchemaMigration of series shop with the files.
func (f *fixture) migration(files map[string]string, change func(*v1alpha1.SchemaMigration)) *v1alpha1.SchemaMigration {
	f.t.Helper()
	m := &v1alpha1.SchemaMigration{ObjectMeta: f.meta("shop")}
	m.Spec.DatabaseRef.Name, m.Spec.Series, m.Spec.Inline = "shop", "shop", files
	if change != nil {
		change(m)
	}
	f.create(m)
	return m
}

// update changes an object until the API server takes it.
func (f *fixture) update(o client.Object, change func()) {
	f.t.Helper()
	for range 20 {
		if err := api.client.Get(f.t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
			f.t.Fatal(err)
		}
		change()
		if err := api.client.Update(f.t.Context(), o); err == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	f.t.Fatalf("%s can not be updated", o.GetName())
}

// await waits until a condition has a reason at the object's generation, and returns its message.
func (f *fixture) await(m *v1alpha1.SchemaMigration, condition, reason string) string {
	f.t.Helper()
	deadline := time.Now().Add(45 * time.Second)
	for {
		if err := api.client.Get(f.t.Context(), client.ObjectKeyFromObject(m), m); err != nil {
			f.t.Fatal(err)
		}
		c := conditions.Get(m, condition)
		if c != nil && c.Reason == reason && m.Status.ObservedGeneration == m.Generation {
			return c.Message
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("%s never became %s; status: %+v", condition, reason, m.Status)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// params returns a key of the refusing params object.
func (f *fixture) params(key string) string {
	f.t.Helper()
	cm := &corev1.ConfigMap{}
	if err := api.client.Get(f.t.Context(), client.ObjectKey{Namespace: f.namespace, Name: v1alpha1.ParamsName}, cm); err != nil {
		f.t.Fatal(err)
	}
	return cm.Data[key]
}
