package appbundle

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/reconcilers/internal/apply"
	"github.com/interlock-dev/interlock/reconcilers/internal/gitsource"
	"github.com/interlock-dev/interlock/reconcilers/internal/halt"
	"github.com/interlock-dev/interlock/reconcilers/internal/render"
)

// defaultTimeout is used where the API server did not fill in spec.timeout.
const defaultTimeout = 5 * time.Minute

func (s *scope) timeout() time.Duration {
	if t := s.obj.Spec.Timeout.Duration; t > 0 {
		return t
	}
	return defaultTimeout
}

// fetch brings the revision that the ref stands at.
func (r *Reconciler) fetch(ctx context.Context, s *scope) error {
	secret, err := r.gitSecret(ctx, s)
	if err != nil {
		return err
	}
	maxAge := min(remoteAge, s.obj.Spec.Interval.Duration/2)
	if s.asked() {
		maxAge = 0
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout())
	defer cancel()
	git := s.obj.Spec.Git
	s.snapshot, err = r.source.Fetch(ctx, gitsource.Request{
		Key: string(s.obj.UID), URL: git.URL, Secret: secret, MaxAge: maxAge,
		Ref: gitsource.Ref{Branch: git.Ref.Branch, Tag: git.Ref.Tag, Commit: git.Ref.Commit},
	})
	if err != nil {
		return namingSecret(err, git.SecretRef)
	}
	s.revision = s.snapshot.Revision
	s.finish(PhaseFetch, fmt.Sprintf("%s from %s: %s", s.revision, git.URL, s.snapshot.Subject()), r.Clock.Now())
	return nil
}

// namingSecret adds the name of the Secret to an error that is about credentials or the certificate.
func namingSecret(err error, ref *v1alpha1.LocalReference) error {
	var git *gitsource.Error
	if ref == nil || !errors.As(err, &git) {
		return err
	}
	switch git.Reason {
	case gitsource.AuthenticationFailed, gitsource.CredentialsInvalid, gitsource.CertificateUntrusted:
		return halt.Retry(10*time.Second, string(git.Reason), fmt.Errorf("%w (it is Secret %q)", err, ref.Name))
	}
	return err
}

// gitSecret reads the credentials; nil for a repository without.
func (r *Reconciler) gitSecret(ctx context.Context, s *scope) (map[string][]byte, error) {
	ref := s.obj.Spec.Git.SecretRef
	if ref == nil {
		return nil, nil
	}
	secret := &corev1.Secret{}
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: s.obj.Namespace, Name: ref.Name}, secret)
	if apierrors.IsNotFound(err) {
		return nil, halt.Retry(10*time.Second, ReasonSecretNotFound, fmt.Errorf(
			"there is no Secret %q in namespace %q; create it with username and password, or bearerToken, or correct spec.git.secretRef", ref.Name, s.obj.Namespace))
	}
	return secret.Data, err
}

// render turns the revision into objects and decides who applies them.
func (r *Reconciler) render(_ context.Context, s *scope) error {
	if err := r.actAs(s); err != nil {
		return err
	}
	result, err := r.renderHead(s)
	if err != nil {
		return err
	}
	s.objects, s.kustomize, s.outside = result.Objects, result.Kustomize, result.Outside
	if err := render.Refine(s.objects, render.Rules{
		Bundle: s.obj.Name, Namespace: s.obj.Namespace, Impersonated: s.identity.User() != "", Scope: r.scopeOf,
	}); err != nil {
		return err
	}
	if err := s.planCertificates(); err != nil {
		return err
	}
	how := "plain YAML"
	if s.kustomize {
		how = "Kustomize"
	}
	s.finish(PhaseRender, fmt.Sprintf("%d objects from %s (%s)", len(s.objects), s.obj.Spec.Path, how), r.Clock.Now())
	return nil
}

// actAs makes the clients: the bundle's, and the operator's own.
func (r *Reconciler) actAs(s *scope) error {
	account := s.obj.Spec.ServiceAccountName
	if account == "" {
		account = r.DefaultServiceAccount
	}
	s.identity = apply.Identity{Namespace: s.obj.Namespace, ServiceAccount: account}
	for identity, applier := range map[apply.Identity]**apply.Applier{s.identity: &s.applier, {}: &s.own} {
		c, err := identity.Client(r.Config, r.Client.RESTMapper(), r.Client.Scheme())
		if err != nil {
			return err
		}
		*applier = apply.New(c, identity, s.obj.Name)
	}
	return nil
}

// renderHead renders the revision, or takes what it rendered to before.
func (r *Reconciler) renderHead(s *scope) (render.Result, error) {
	key := s.snapshot.Head().ID() + " " + s.obj.Spec.Path
	if result, ok := r.memory.head(s.obj.UID, key); ok {
		return result, nil
	}
	tree, err := s.snapshot.Head().FS()
	if err != nil {
		return render.Result{}, err
	}
	result, err := render.Render(tree, s.obj.Spec.Path)
	if gitsource.IsDamaged(err) {
		if err := r.source.Forget(string(s.obj.UID)); err != nil {
			return render.Result{}, err
		}
		return render.Result{}, halt.Retry(soon, string(gitsource.FetchFailed), err)
	}
	if err != nil {
		return render.Result{}, err
	}
	r.memory.keepHead(s.obj.UID, key, result)
	return result, nil
}

// scopeOf asks the cluster where objects of a kind live.
func (r *Reconciler) scopeOf(gvk schema.GroupVersionKind) render.Scope {
	mapping, err := r.Client.RESTMapper().RESTMapping(gvk.GroupKind(), gvk.Version)
	switch {
	case err != nil:
		return render.ScopeUnknown
	case mapping.Scope.Name() == meta.RESTScopeNameNamespace:
		return render.ScopeNamespaced
	}
	return render.ScopeCluster
}

// tooLarge says whether an error is about the limits of a source.
func tooLarge(err error) bool {
	var git *gitsource.Error
	return errors.As(err, &git) && git.Reason == gitsource.SourceTooLarge
}
