package appbundle

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/reconcilers/internal/gitsource"
	"github.com/interlock-dev/interlock/reconcilers/internal/render"
)

func reconcileRequest(b *bench) ctrl.Request { return ctrl.Request{NamespacedName: b.key} }

// TestBadSources: each one is named, leaves the old version as it is, and is over when its cause is.
func TestBadSources(t *testing.T) {
	secret := func(password string) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "git"}, Data: map[string][]byte{"username": []byte("alice"), "password": []byte(password)}}
	}
	tests := map[string]struct {
		locked     bool
		spoil      func(*bench) (restore func())
		wantReason string
		wantPhase  string
		want       string
	}{
		"the repository is gone": {
			spoil: func(b *bench) func() { return b.repo.Delete() }, wantReason: string(gitsource.RepositoryNotFound), wantPhase: PhaseFetch, want: "correct spec.git.url",
		},
		"the branch is missing": {
			spoil: func(b *bench) func() {
				b.spec(func(s *v1alpha1.AppBundleSpec) { s.Git.Ref.Branch = "next" })
				return func() { b.spec(func(s *v1alpha1.AppBundleSpec) { s.Git.Ref.Branch = "" }) }
			}, wantReason: string(gitsource.RefNotFound), wantPhase: PhaseFetch, want: "has no branch next",
		},
		"the Secret is missing": {
			locked: true,
			spoil: func(b *bench) func() {
				if err := b.c.Delete(b.ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: b.ns, Name: "git"}}); err != nil {
					b.t.Fatal(err)
				}
				return func() { b.gitSecret(secret("right")) }
			}, wantReason: ReasonSecretNotFound, wantPhase: PhaseFetch, want: `there is no Secret "git"`,
		},
		"the password is wrong": {
			locked: true,
			spoil: func(b *bench) func() {
				set := func(p string) {
					s := &corev1.Secret{}
					b.change("git", s, func() { s.Data["password"] = []byte(p) })
				}
				set("s3cret-wrong")
				return func() { set("right") }
			}, wantReason: string(gitsource.AuthenticationFailed), wantPhase: PhaseFetch, want: "refuses the credentials",
		},
		"credentials are asked": {
			locked: true,
			spoil: func(b *bench) func() {
				b.spec(func(s *v1alpha1.AppBundleSpec) { s.Git.SecretRef = nil })
				return func() {
					b.spec(func(s *v1alpha1.AppBundleSpec) { s.Git.SecretRef = &v1alpha1.LocalReference{Name: "git"} })
				}
			}, wantReason: string(gitsource.AuthenticationRequired), wantPhase: PhaseFetch, want: "spec.git.secretRef",
		},
		"YAML that does not parse": {
			spoil: func(b *bench) func() {
				b.commit(map[string]string{"deploy/b.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: b\n data: [\n"})
				return func() { b.commit(map[string]string{"deploy/b.yaml": configMapYAML("b", "1")}) }
			}, wantReason: string(render.BuildFailed), wantPhase: PhaseRender, want: "deploy/b.yaml:5:",
		},
		"the path is gone": {
			spoil: func(b *bench) func() {
				b.commit(map[string]string{"deploy/a.yaml": "", "README": "x"})
				return func() { b.commit(map[string]string{"deploy/a.yaml": configMapYAML("a", "1")}) }
			}, wantReason: string(render.PathNotFound), wantPhase: PhaseRender, want: `no folder "deploy"`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			user := ""
			if tt.locked {
				user = "alice"
			}
			b := newBenchWith(t, user, "right")
			first := b.commit(map[string]string{"deploy/a.yaml": configMapYAML("a", "1")})
			b.bundle(func(s *v1alpha1.AppBundleSpec) {
				if tt.locked {
					b.gitSecret(secret("right"))
					s.Git.SecretRef = &v1alpha1.LocalReference{Name: "git"}
				}
			})
			b.wantsReady(b.pass(), first)
			restore := tt.spoil(b)
			obj := b.pass()
			b.wants(obj, metav1.ConditionFalse, tt.wantReason, tt.wantPhase, tt.want)
			if obj.Status.LastAppliedRevision != first || !b.has("a", &corev1.ConfigMap{}) {
				t.Errorf("the old version is gone; last applied is %s", obj.Status.LastAppliedRevision)
			}
			if all := b.seen(); !strings.Contains(all, "Warning "+tt.wantReason) || strings.Contains(all, "s3cret") {
				t.Errorf("events:\n%s", all)
			}
			restore()
			b.wantsReady(b.pass(), "main@sha1:"+b.commits[len(b.commits)-1])
		})
	}
}

func (b *bench) gitSecret(s *corev1.Secret) {
	b.t.Helper()
	s.Namespace = b.ns
	b.create(s)
}

func TestKustomize(t *testing.T) {
	b := newBench(t)
	revision := b.commit(map[string]string{"deploy/kustomization.yaml": "resources: [a.yaml]\nnamePrefix: my-\n", "deploy/a.yaml": configMapYAML("a", "1"), "deploy/not-listed.yaml": "x: ["})
	b.bundle()
	b.wantsReady(b.pass(), revision)
	if !b.has("my-a", &corev1.ConfigMap{}) {
		t.Error("it was not built")
	}
}

// TestTheCloneVanishes: the folder of clones is a cache.
func TestTheCloneVanishes(t *testing.T) {
	b := newBench(t)
	b.commit(map[string]string{"deploy/a.yaml": configMapYAML("a", "1")})
	b.bundle()
	b.pass()
	if err := b.r.source.Forget(string(b.bundleUID())); err != nil {
		t.Fatal(err)
	}
	b.r.memory.forget(b.bundleUID())
	revision := b.commit(map[string]string{"deploy/a.yaml": configMapYAML("a", "2")})
	b.wantsReady(b.pass(), revision)
}
