package schemamigration

import (
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/reconcilers/internal/statuswriter"
)

// An operator that was paused must not paste what it knew over what another one wrote; an annotation that somebody set
// meanwhile is no reason to lose a status.
func TestPausedOperatorLosesItsStatus(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	m := f.migration(map[string]string{"00001_init.sql": initial}, func(m *v1alpha1.SchemaMigration) { m.Spec.DatabaseRef.Name = "none" })
	f.await(m, v1alpha1.ReadyCondition, ReasonDatabaseNotFound)
	status := func(m *v1alpha1.SchemaMigration) any { return m.Status }
	paused, other := m.DeepCopy(), m.DeepCopy()
	pausedWriter := statuswriter.New(api.client, api.client, paused, status)
	otherWriter := statuswriter.New(api.client, api.client, other, status)

	f.update(m, func() { m.Annotations = map[string]string{"example.com/note": "x"} })
	other.Status.ReadyVersion = 7
	if err := otherWriter.Write(t.Context(), other); err != nil {
		t.Fatalf("a changed annotation lost a status: %v", err)
	}
	paused.Status.ReadyVersion = 3
	if err := pausedWriter.Write(t.Context(), paused); !apierrors.IsConflict(err) {
		t.Fatalf("got %v, want a conflict", err)
	}
	if err := api.client.Get(t.Context(), client.ObjectKeyFromObject(m), m); err != nil {
		t.Fatal(err)
	}
	if m.Status.ReadyVersion != 7 {
		t.Errorf("the paused operator's status stands: ready %d", m.Status.ReadyVersion)
	}
}
