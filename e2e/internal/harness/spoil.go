package harness

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/e2e/cluster"
)

// GitURL is where Interlock reads the shop's repository.
func (s *Shop) GitURL() string { return s.place.gitURL }

// HideRepo takes the repository away from the Git server, or puts it back.
func (s *Shop) HideRepo(hide bool) error {
	there := s.Cluster.GitDir(s.Namespace)
	hidden := there + ".hidden"
	if hide {
		return os.Rename(there, hidden)
	}
	return os.Rename(hidden, there)
}

// SetRepoPassword changes the password that the repository asks for; empty: the one that Interlock was given.
func (s *Shop) SetRepoPassword(ctx context.Context, password string) error {
	if password == "" {
		password = s.place.password + "-git-password"
	}
	return s.Cluster.CreateRepo(ctx, s.Namespace, &cluster.BasicAuth{User: s.place.password + "-git-user", Password: password})
}

// HideSecret deletes a Secret and remembers it in another one, or brings it back.
func (s *Shop) HideSecret(ctx context.Context, name string, hide bool) error {
	from, to := name, name+"-hidden"
	if !hide {
		from, to = to, from
	}
	var secret corev1.Secret
	if err := s.Client.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: from}, &secret); err != nil {
		return err
	}
	moved := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: to}, Type: secret.Type, Data: secret.Data}
	if err := s.Client.Create(ctx, moved); err != nil {
		return err
	}
	return s.Client.Delete(ctx, &secret)
}

// SetDatabasePassword changes the password in the Secret by which Interlock logs in; empty: back to the right one.
func (s *Shop) SetDatabasePassword(ctx context.Context, password string) error {
	right := s.place.password + "-interlock"
	if password == "" {
		password = right
	}
	uri := fmt.Sprintf("postgres://interlock:%s@shop-db.%s.svc.cluster.local:5432/shop", password, s.Namespace)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: "shop-db"}}
	patch := fmt.Sprintf(`{"stringData":{"uri":%q}}`, uri)
	return s.Client.Patch(ctx, secret, client.RawPatch("application/merge-patch+json", []byte(patch)))
}

// WaitNotReady waits until the bundle's condition Ready is False and its reason and message have all the words.
func (s *Shop) WaitNotReady(ctx context.Context, words []string, limit time.Duration) error {
	return s.waitBundle(ctx, fmt.Sprintf("bundle not Ready that names %q", words), limit, func(b *v1alpha1.AppBundle) bool {
		ready := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ReadyCondition)
		if ready == nil || ready.Status != metav1.ConditionFalse {
			return false
		}
		for _, w := range words {
			if !strings.Contains(ready.Reason+": "+ready.Message, w) {
				return false
			}
		}
		return true
	})
}

// WaitRecovered waits until the bundle is Ready with the newest commit.
func (s *Shop) WaitRecovered(ctx context.Context, limit time.Duration) error {
	commit, err := s.Repo.git(ctx, "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	return s.WaitApplied(ctx, commit, limit)
}

// WaitDatabase waits until the Database's condition Ready has a status, and its reason or message a text.
func (s *Shop) WaitDatabase(ctx context.Context, status metav1.ConditionStatus, text string, limit time.Duration) error {
	return Wait(ctx, limit, fmt.Sprintf("Database with Ready=%s that says %q", status, text), func(ctx context.Context) (bool, string, error) {
		var db v1alpha1.Database
		if err := s.Client.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: "shop"}, &db); err != nil {
			return false, "", err
		}
		ready := meta.FindStatusCondition(db.Status.Conditions, v1alpha1.ReadyCondition)
		seen := describeConditions(db.Status.Conditions)
		return ready != nil && ready.Status == status && strings.Contains(ready.Reason+": "+ready.Message, text), seen, nil
	})
}
