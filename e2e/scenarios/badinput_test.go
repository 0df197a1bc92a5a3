package scenarios

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/e2e/internal/harness"
)

// noticeLimit is how long it may take until a condition says what is wrong, and until it is right again.
const noticeLimit = 2 * time.Minute

// Each of these ends in a condition that names what is wrong, version 1 goes on serving, and it recovers by itself
// when the cause is gone.
func TestBadInput(t *testing.T) {
	s, _ := guarded(t)
	good, err := s.Tree(1)
	must(t, err)
	for _, tc := range []struct {
		name string
		// spoil makes it bad, repair takes that back; neither tells Interlock.
		spoil, repair func(*testing.T)
		// want are words that the bundle's Ready condition must have.
		want []string
	}{
		{
			"repository is gone",
			func(t *testing.T) { must(t, s.HideRepo(true)) },
			func(t *testing.T) { must(t, s.HideRepo(false)) },
			[]string{s.GitURL()},
		},
		{
			"repository asks for other credentials",
			func(t *testing.T) { must(t, s.SetRepoPassword(t.Context(), "another")) },
			func(t *testing.T) { must(t, s.SetRepoPassword(t.Context(), "")) },
			[]string{"shop-git"},
		},
		{
			"credentials of the repository are gone",
			func(t *testing.T) { must(t, s.HideSecret(t.Context(), "shop-git", true)) },
			func(t *testing.T) { must(t, s.HideSecret(t.Context(), "shop-git", false)) },
			[]string{"shop-git"},
		},
		{
			"YAML does not parse",
			push(s, "deploy/service.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: shop\n"),
			push(s, "deploy/service.yaml", good["deploy/service.yaml"]),
			[]string{"service.yaml"},
		},
		{
			"manifest of an unknown kind",
			push(s, "deploy/service.yaml", "apiVersion: example.test/v1\nkind: Sorvice\nmetadata: {name: shop}\n"),
			push(s, "deploy/service.yaml", good["deploy/service.yaml"]),
			[]string{"Sorvice"},
		},
		{
			"migration does not parse",
			push(s, "db/00002_bad.sql", "-- +goose Up\nALTER TABLE orders\nADD COLUMN note txet NOT NUL;\n"),
			push(s, "db/00002_bad.sql", ""),
			[]string{"00002_bad.sql:3"},
		},
		{
			"migration mixes phases",
			push(s, "db/00002_bad.sql", "-- +goose Up\nALTER TABLE orders ADD COLUMN note text;\nUPDATE orders SET note = '' WHERE note IS NULL;\n"),
			push(s, "db/00002_bad.sql", ""),
			[]string{"00002_bad.sql", "expand", "backfill"},
		},
		{
			"migration fails",
			push(s, "db/00002_bad.sql", "-- +goose Up\nCREATE TABLE orders (id bigint);\n"),
			push(s, "db/00002_bad.sql", ""),
			[]string{"00002_bad.sql", "already exists"},
		},
		{
			"version that never becomes healthy",
			push(s, "deploy/deployment.yaml", strings.Replace(good["deploy/deployment.yaml"], "--grace=3s", "--listen=nowhere", 1)),
			push(s, "deploy/deployment.yaml", good["deploy/deployment.yaml"]),
			[]string{"Deployment", "shop"},
		},
		{
			"image that is not there",
			push(s, "deploy/kustomization.yaml", strings.Replace(good["deploy/kustomization.yaml"], `newTag: "1"`, `newTag: "missing"`, 1)),
			push(s, "deploy/kustomization.yaml", good["deploy/kustomization.yaml"]),
			[]string{"shop"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := startLoad(t, s)
			tc.spoil(t)
			if err := s.WaitNotReady(t.Context(), tc.want, noticeLimit); err != nil {
				t.Error(err)
			}
			tc.repair(t)
			must(t, s.WaitRecovered(t.Context(), noticeLimit))
			must(t, s.WaitRolledOut(t.Context(), time.Minute))
			assertUnharmed(t, s, l)
		})
	}
}

// push commits one file, or deletes it where the text is empty.
func push(s *harness.Shop, name, text string) func(*testing.T) {
	return func(t *testing.T) {
		_, err := s.Repo.Change(t.Context(), name, func(tree harness.Tree) { tree[name] = text })
		must(t, err)
	}
}

// The same for what is wrong with the database: the Database says it, and what waits for it goes on by itself.
func TestBadDatabase(t *testing.T) {
	t.Parallel()
	s, _ := guarded(t)
	for _, tc := range []struct {
		name          string
		spoil, repair func(*testing.T)
		want          string
	}{
		{
			"secret is missing",
			func(t *testing.T) { must(t, s.HideSecret(t.Context(), "shop-db", true)) },
			func(t *testing.T) { must(t, s.HideSecret(t.Context(), "shop-db", false)) },
			"shop-db",
		},
		{
			"password is wrong",
			func(t *testing.T) { must(t, s.SetDatabasePassword(t.Context(), "wrong")) },
			func(t *testing.T) { must(t, s.SetDatabasePassword(t.Context(), "")) },
			"password",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := startLoad(t, s)
			tc.spoil(t)
			if err := s.WaitDatabase(t.Context(), metav1.ConditionFalse, tc.want, noticeLimit); err != nil {
				t.Error(err)
			}
			tc.repair(t)
			must(t, s.WaitDatabase(t.Context(), metav1.ConditionTrue, "", noticeLimit))
			must(t, s.WaitRecovered(t.Context(), noticeLimit))
			assertUnharmed(t, s, l)
		})
	}
	t.Run("goes away half-way", func(t *testing.T) {
		commit, err := s.Push(t.Context(), 2, "The change")
		must(t, err)
		must(t, s.WaitMigration(t.Context(), "shop", noticeLimit, func(m *v1alpha1.SchemaMigration) bool {
			return m.Status.TargetVersion == 5 && m.Status.ReadyVersion < 5
		}))
		must(t, s.ScaleDatabase(t.Context(), 0))
		must(t, s.WaitCondition(t.Context(), v1alpha1.ReadyCondition, metav1.ConditionFalse, "shop", noticeLimit))
		must(t, s.WaitDatabase(t.Context(), metav1.ConditionFalse, "", noticeLimit))
		must(t, s.ScaleDatabase(t.Context(), 1))
		must(t, s.WaitDone(t.Context(), commit, changeLimit))
		l := startLoad(t, s)
		time.Sleep(3 * time.Second)
		assertUnharmed(t, s, l)
		assertContracted(t, s)
	})
}
