package appbundle

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fluxcd/pkg/runtime/conditions"
	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/reconcilers/internal/gitsource/gittest"
	"github.com/interlock-dev/interlock/reconcilers/internal/stamps"
)

// config and scheme of the API server that all tests of this package share. There are no controllers behind it: what
// they would write, the tests write.
var (
	config *rest.Config
	scheme = runtime.NewScheme()
)

func TestMain(m *testing.M) {
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "the API server of the tests:", err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (code int, err error) {
	ctrl.SetLogger(logr.Discard())
	assets, err := envtestBinaries()
	if err != nil {
		return 1, err
	}
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return 1, err
		}
	}
	env := &envtest.Environment{
		BinaryAssetsDirectory: assets,
		CRDDirectoryPaths:     []string{filepath.Join("..", "..", "charts", "interlock", "crds")},
		ErrorIfCRDPathMissing: true,
	}
	if config, err = env.Start(); err != nil {
		return 1, err
	}
	defer func() {
		if stopErr := env.Stop(); stopErr != nil && err == nil {
			err = stopErr
		}
	}()
	return m.Run(), nil
}

// envtestBinaries is where etcd and kube-apiserver are.
func envtestBinaries() (string, error) {
	dir := os.Getenv("KUBEBUILDER_ASSETS")
	if dir == "" {
		dir = filepath.Join("..", "..", ".local", "bin", "envtest")
	}
	for _, name := range []string{"etcd", "kube-apiserver"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return "", fmt.Errorf("these tests need %s: %w; make it with `make components`, or set KUBEBUILDER_ASSETS to its folder", name, err)
		}
	}
	return filepath.Abs(dir)
}

// bench is one test's namespace, repository and reconciler. Passes are made one at a time, so what a test sees does
// not depend on timing.
type bench struct {
	t      *testing.T
	ctx    context.Context
	c      client.Client
	r      *Reconciler
	clock  *clocktesting.FakeClock
	events *record.FakeRecorder
	images *rememberedImages
	server *gittest.Server
	repo   *gittest.Repository
	ns     string
	key    client.ObjectKey
	// commits are the hashes of what was committed, in order.
	commits []string
}

func newBench(t *testing.T) *bench { return newBenchWith(t, "", "") }

// newBenchWith makes a bench whose Git server asks for credentials.
func newBenchWith(t *testing.T, username, password string) *bench {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "bundle-"}}
	if err := c.Create(ctx, ns); err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, ctx: ctx, c: c, ns: ns.Name, clock: clocktesting.NewFakeClock(time.Now()), events: record.NewFakeRecorder(1000),
		images: &rememberedImages{}, server: gittest.NewServer(t, username, password)}
	b.key = client.ObjectKey{Namespace: b.ns, Name: "shop"}
	b.repo = b.server.Repository("shop.git")
	b.r = &Reconciler{Client: c, Live: c, Config: config, Recorder: b.events, Clock: b.clock, StoragePath: t.TempDir(), Images: b.images}
	return b
}

// bundle creates the AppBundle.
func (b *bench) bundle(change ...func(*v1alpha1.AppBundleSpec)) {
	b.t.Helper()
	obj := &v1alpha1.AppBundle{ObjectMeta: metav1.ObjectMeta{Namespace: b.ns, Name: "shop"}, Spec: v1alpha1.AppBundleSpec{
		Interval: metav1.Duration{Duration: time.Hour}, Git: v1alpha1.GitSource{URL: b.server.URL("shop.git")}, Path: "./deploy"}}
	for _, f := range change {
		f(&obj.Spec)
	}
	b.create(obj)
}

// commit commits files of the bundle; an empty text removes one.
func (b *bench) commit(files map[string]string) string {
	b.t.Helper()
	hash := b.repo.Commit(files)
	b.commits = append(b.commits, hash)
	return "main@sha1:" + hash
}

// pass reconciles once, a while later, and returns what it made of the bundle.
func (b *bench) pass() *v1alpha1.AppBundle {
	b.t.Helper()
	b.clock.Step(remoteAge + time.Second)
	result, err := b.r.Reconcile(b.ctx, ctrl.Request{NamespacedName: b.key})
	if err != nil {
		b.t.Fatal(err)
	}
	obj := &v1alpha1.AppBundle{}
	b.get(b.key.Name, obj)
	if obj.Spec.Suspend == (result.RequeueAfter > 0) && obj.DeletionTimestamp.IsZero() {
		b.t.Errorf("requeued after %s with suspend %v", result.RequeueAfter, obj.Spec.Suspend)
	}
	checkKstatus(b.t, obj)
	return obj
}

// checkKstatus: whoever waits for the bundle by kstatus must not be misled.
func checkKstatus(t *testing.T, obj *v1alpha1.AppBundle) {
	t.Helper()
	ready := conditions.Get(obj, v1alpha1.ReadyCondition)
	stalled, reconciling := conditions.IsTrue(obj, v1alpha1.StalledCondition), conditions.IsTrue(obj, v1alpha1.ReconcilingCondition)
	switch {
	case ready == nil:
		t.Error("no condition Ready")
	case stalled && reconciling:
		t.Error("Stalled and Reconciling at once")
	case ready.Status == metav1.ConditionTrue && (stalled || reconciling):
		t.Error("Ready, and Stalled or Reconciling")
	case ready.Status != metav1.ConditionTrue && !stalled && !reconciling && !obj.Spec.Suspend:
		t.Errorf("not Ready (%s), and neither Stalled nor Reconciling", ready.Reason)
	case obj.Status.ObservedGeneration != obj.Generation:
		t.Errorf("generation %d is observed, it is %d", obj.Status.ObservedGeneration, obj.Generation)
	case len(obj.Status.WaitingOn) > 256:
		t.Errorf("waitingOn has %d bytes", len(obj.Status.WaitingOn))
	}
}

// wants compares Ready, its reason, the phase, and a part of the message.
func (b *bench) wants(obj *v1alpha1.AppBundle, status metav1.ConditionStatus, reason, phase, message string) {
	b.t.Helper()
	ready := conditions.Get(obj, v1alpha1.ReadyCondition)
	if ready.Status != status || ready.Reason != reason || obj.Status.Phase != phase || !strings.Contains(ready.Message, message) {
		b.t.Fatalf("Ready is %s %s in phase %s: %s\nwant %s %s in phase %s: …%s…", ready.Status, ready.Reason, obj.Status.Phase, ready.Message, status, reason, phase, message)
	}
	if status != metav1.ConditionTrue && !strings.HasPrefix(ready.Message, strings.TrimSuffix(obj.Status.WaitingOn, "…")) && !obj.Spec.Suspend {
		b.t.Errorf("waitingOn is %q, the condition says %q", obj.Status.WaitingOn, ready.Message)
	}
}

func (b *bench) wantsReady(obj *v1alpha1.AppBundle, revision string) {
	b.t.Helper()
	b.wants(obj, metav1.ConditionTrue, ReasonApplied, PhaseDone, revision)
	if obj.Status.LastAppliedRevision != revision {
		b.t.Fatalf("last applied is %s, want %s", obj.Status.LastAppliedRevision, revision)
	}
}

func (b *bench) create(obj client.Object) {
	b.t.Helper()
	if err := b.c.Create(b.ctx, obj); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) get(name string, obj client.Object) {
	b.t.Helper()
	if err := b.c.Get(b.ctx, client.ObjectKey{Namespace: b.ns, Name: name}, obj); err != nil {
		b.t.Fatal(err)
	}
}

// has says whether an object is there.
func (b *bench) has(name string, obj client.Object) bool {
	b.t.Helper()
	err := b.c.Get(b.ctx, client.ObjectKey{Namespace: b.ns, Name: name}, obj)
	if client.IgnoreNotFound(err) != nil {
		b.t.Fatal(err)
	}
	return err == nil && obj.GetDeletionTimestamp().IsZero()
}

// change updates an object.
func (b *bench) change(name string, obj client.Object, f func()) {
	b.t.Helper()
	b.get(name, obj)
	before := obj.DeepCopyObject().(client.Object)
	f()
	if err := b.c.Patch(b.ctx, obj, client.MergeFrom(before)); err != nil {
		b.t.Fatal(err)
	}
}

// changeStatus updates an object's status.
func (b *bench) changeStatus(name string, obj client.Object, f func()) {
	b.t.Helper()
	b.get(name, obj)
	before := obj.DeepCopyObject().(client.Object)
	f()
	if err := b.c.Status().Patch(b.ctx, obj, client.MergeFrom(before)); err != nil {
		b.t.Fatal(err)
	}
}

// spec changes the bundle's spec.
func (b *bench) spec(f func(*v1alpha1.AppBundleSpec)) {
	b.t.Helper()
	obj := &v1alpha1.AppBundle{}
	b.change("shop", obj, func() { f(&obj.Spec) })
}

// receipts are the phases that a revision left receipts of.
func receipts(obj *v1alpha1.AppBundle, revision string) string {
	var phases []string
	for _, r := range obj.Status.History {
		if r.Revision == revision {
			phases = append(phases, r.Phase)
		}
	}
	return strings.Join(phases, " ")
}

// seen returns the events since it was last called.
func (b *bench) seen() string {
	var all []string
	for {
		select {
		case e := <-b.events.Events:
			all = append(all, e)
		default:
			return strings.Join(all, "\n")
		}
	}
}

// rememberedImages stands for the journals of all databases: like them it keeps the lowest version.
type rememberedImages struct {
	mu       sync.Mutex
	images   map[string]int64
	versions []int64
	calls    int
	err      error
}

var _ stamps.Store = (*rememberedImages)(nil)

func (m *rememberedImages) Known(context.Context, *v1alpha1.Database, string) (stamps.Known, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	known := stamps.Known{Images: map[string]int64{}, Versions: slices.Clone(m.versions)}
	for image, v := range m.images {
		known.Images[image] = v
	}
	return known, m.err
}

func (m *rememberedImages) Record(_ context.Context, _ *v1alpha1.Database, _ string, images []stamps.Image) (map[string]int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.images == nil {
		m.images = map[string]int64{}
	}
	held := map[string]int64{}
	for _, i := range images {
		if v, ok := m.images[i.Image]; !ok || i.Version < v {
			m.images[i.Image] = i.Version
		}
		held[i.Image] = m.images[i.Image]
	}
	return held, m.err
}
