package harness

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/examples/shop"
)

// requestedAt is the annotation that asks a Flux-like controller to look now.
const requestedAt = "reconcile.fluxcd.io/requestedAt"

// ApplyBundle creates the shop's AppBundle, changed by edit where that is not nil.
func (s *Shop) ApplyBundle(ctx context.Context, edit func(*v1alpha1.AppBundle)) error {
	tree, err := s.place.tree(shop.Platform, "platform")
	if err != nil {
		return err
	}
	var bundle v1alpha1.AppBundle
	if err := yaml.UnmarshalStrict([]byte(tree["bundle.yaml"]), &bundle); err != nil {
		return fmt.Errorf("bundle.yaml: %w", err)
	}
	bundle.Namespace = s.Namespace
	if bundle.Spec.Timeout.Duration == 0 {
		bundle.Spec.Timeout.Duration = 5 * time.Minute // a typed client would send 0s, and no default applies
	}
	if edit != nil {
		edit(&bundle)
	}
	return s.Client.Create(ctx, &bundle)
}

// Bundle reads the AppBundle.
func (s *Shop) Bundle(ctx context.Context) (*v1alpha1.AppBundle, error) {
	b := &v1alpha1.AppBundle{}
	return b, s.Client.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: "shop"}, b)
}

// Migration reads the SchemaMigration of a series; nil where there is none yet.
func (s *Shop) Migration(ctx context.Context, series string) (*v1alpha1.SchemaMigration, error) {
	var list v1alpha1.SchemaMigrationList
	if err := s.Client.List(ctx, &list, client.InNamespace(s.Namespace)); err != nil {
		return nil, err
	}
	for i := range list.Items {
		if list.Items[i].Spec.Series == series {
			return &list.Items[i], nil
		}
	}
	return nil, nil
}

// Push makes commit 1 or 2 of the shop's history the content of the repository, and tells Interlock.
func (s *Shop) Push(ctx context.Context, commit int, message string) (string, error) {
	tree, err := s.Tree(commit)
	if err != nil {
		return "", err
	}
	return s.PushTree(ctx, tree, message)
}

// PushTree makes a tree the content of the repository, and tells Interlock.
func (s *Shop) PushTree(ctx context.Context, tree Tree, message string) (string, error) {
	sha, err := s.Repo.Replace(ctx, tree, message)
	if err != nil {
		return "", err
	}
	return sha, s.Reconcile(ctx)
}

// Reconcile tells Interlock to look at the repository now. Without a bundle there is nobody to tell.
func (s *Shop) Reconcile(ctx context.Context) error {
	b, err := s.Bundle(ctx)
	if err != nil {
		return client.IgnoreNotFound(err)
	}
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, requestedAt, time.Now().Format(time.RFC3339Nano))
	return s.Client.Patch(ctx, b, client.RawPatch("application/merge-patch+json", []byte(patch)))
}

// WaitApplied waits until the bundle is Ready with that commit.
func (s *Shop) WaitApplied(ctx context.Context, commit string, limit time.Duration) error {
	return s.waitBundle(ctx, "bundle Ready at "+short(commit), limit, func(b *v1alpha1.AppBundle) bool {
		return strings.HasSuffix(b.Status.LastAppliedRevision, commit) && isTrue(b.Status.Conditions, v1alpha1.ReadyCondition)
	})
}

// WaitDone waits until the bundle is Ready with that commit and no contract step waits.
func (s *Shop) WaitDone(ctx context.Context, commit string, limit time.Duration) error {
	return s.waitBundle(ctx, "bundle done with "+short(commit), limit, func(b *v1alpha1.AppBundle) bool {
		return strings.HasSuffix(b.Status.LastAppliedRevision, commit) && isTrue(b.Status.Conditions, v1alpha1.ReadyCondition) &&
			isTrue(b.Status.Conditions, v1alpha1.ContractedCondition)
	})
}

// WaitRefused waits until the bundle says of that commit that it does not go, and returns what it says.
func (s *Shop) WaitRefused(ctx context.Context, commit string, limit time.Duration) (string, error) {
	var message string
	err := s.waitBundle(ctx, "bundle refuses "+short(commit), limit, func(b *v1alpha1.AppBundle) bool {
		ready := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ReadyCondition)
		if ready == nil || ready.Status != metav1.ConditionFalse || !strings.HasSuffix(b.Status.LastAttemptedRevision, commit) ||
			!isTrue(b.Status.Conditions, v1alpha1.StalledCondition) {
			return false
		}
		message = ready.Reason + ": " + ready.Message
		return true
	})
	return message, err
}

// WaitCondition waits until the bundle has a condition whose reason or message holds a text.
func (s *Shop) WaitCondition(ctx context.Context, typ string, status metav1.ConditionStatus, text string, limit time.Duration) error {
	return s.waitBundle(ctx, fmt.Sprintf("bundle with %s=%s that says %q", typ, status, text), limit, func(b *v1alpha1.AppBundle) bool {
		c := meta.FindStatusCondition(b.Status.Conditions, typ)
		return c != nil && c.Status == status && strings.Contains(c.Reason+": "+c.Message, text)
	})
}

func (s *Shop) waitBundle(ctx context.Context, what string, limit time.Duration, done func(*v1alpha1.AppBundle) bool) error {
	err := Wait(ctx, limit, what, func(ctx context.Context) (bool, string, error) {
		b, err := s.Bundle(ctx)
		if err != nil {
			return false, "", err
		}
		return done(b), describeBundle(b), nil
	})
	if err == nil {
		return nil
	}
	// The bundle often waits for its migration, which knows more.
	if list := (v1alpha1.SchemaMigrationList{}); s.Client.List(context.WithoutCancel(ctx), &list, client.InNamespace(s.Namespace)) == nil {
		for _, m := range list.Items {
			err = errors.Join(err, errors.New("  "+describeMigration(&m)))
		}
	}
	return err
}

func describeBundle(b *v1alpha1.AppBundle) string {
	return fmt.Sprintf("phase %s, waiting on %q, applied %s, attempted %s, %s", b.Status.Phase, b.Status.WaitingOn,
		b.Status.LastAppliedRevision, b.Status.LastAttemptedRevision, describeConditions(b.Status.Conditions))
}

func describeMigration(m *v1alpha1.SchemaMigration) string {
	return fmt.Sprintf("migration %s: phase %s, waiting on %q, ready %d, contracted %d of %d, %s", m.Name, m.Status.Phase,
		m.Status.WaitingOn, m.Status.ReadyVersion, m.Status.ContractedVersion, m.Status.TargetVersion, describeConditions(m.Status.Conditions))
}

func describeConditions(conditions []metav1.Condition) string {
	var said []string
	for _, c := range conditions {
		said = append(said, fmt.Sprintf("%s=%s (%s: %s)", c.Type, c.Status, c.Reason, c.Message))
	}
	return strings.Join(said, "; ")
}

func isTrue(conditions []metav1.Condition, typ string) bool {
	return meta.IsStatusConditionTrue(conditions, typ)
}

func short(commit string) string { return commit[:min(len(commit), 10)] }

// WaitMigration waits until the SchemaMigration of a series is as wanted.
func (s *Shop) WaitMigration(ctx context.Context, series string, limit time.Duration, done func(*v1alpha1.SchemaMigration) bool) error {
	return Wait(ctx, limit, "SchemaMigration of series "+series, func(ctx context.Context) (bool, string, error) {
		m, err := s.Migration(ctx, series)
		if m == nil || err != nil {
			return false, "there is none", err
		}
		return done(m), describeMigration(m), nil
	})
}

// Approve waits until a contract step of the series waits for approval, and gives it.
func (s *Shop) Approve(ctx context.Context, series string, limit time.Duration) error {
	return s.WaitMigration(ctx, series, limit, func(m *v1alpha1.SchemaMigration) bool {
		c := meta.FindStatusCondition(m.Status.Conditions, v1alpha1.ContractedCondition)
		if m.Status.PlanHash == "" || c == nil || c.Status != metav1.ConditionFalse {
			return false
		}
		patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.ApproveAnnotation, m.Status.PlanHash)
		return s.Client.Patch(ctx, m, client.RawPatch("application/merge-patch+json", []byte(patch))) == nil
	})
}
