package scenarios

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/e2e/internal/harness"
)

// Two series on one database, both starting at 00001, do not know of each other: the second one neither believes
// that its 00001 has run, nor does it hold the first one's contract step, nor the other way round.
func TestTwoSeriesOnOneDatabase(t *testing.T) {
	t.Parallel()
	s, _ := guarded(t)
	l := startLoad(t, s)
	must(t, env.Client.Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: "billing"},
		Data: map[string]string{
			"00001_init.sql":  "-- +goose Up\nCREATE TABLE invoices (id bigint PRIMARY KEY, note text);\n",
			"00002_notes.sql": "-- +goose Up\nALTER TABLE invoices DROP COLUMN note;\n",
		},
	}))
	must(t, env.Client.Create(t.Context(), &v1alpha1.SchemaMigration{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: "billing"},
		Spec: v1alpha1.SchemaMigrationSpec{
			DatabaseRef: v1alpha1.LocalReference{Name: "shop"}, Series: "billing",
			ConfigMapRef: &v1alpha1.LocalReference{Name: "billing"},
		},
	}))
	commit, err := s.Push(t.Context(), 2, "The change")
	must(t, err)
	must(t, s.WaitDone(t.Context(), commit, changeLimit))
	must(t, s.WaitMigration(t.Context(), "billing", time.Minute, func(m *v1alpha1.SchemaMigration) bool {
		return m.Status.ReadyVersion == 2
	}))
	assertUnharmed(t, s, l)
	assertContracted(t, s)
	assertTables(t, s, "invoices orders")
}

func assertTables(t *testing.T, s *harness.Shop, want string) {
	t.Helper()
	conn, err := s.Connect(t.Context())
	must(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	var tables string
	must(t, conn.QueryRow(t.Context(), `SELECT string_agg(table_name, ' ' ORDER BY table_name) FROM information_schema.tables
		WHERE table_schema = 'public' AND table_name IN ('invoices', 'orders')`).Scan(&tables))
	if tables != want {
		t.Errorf("tables %q, want %q", tables, want)
	}
}
