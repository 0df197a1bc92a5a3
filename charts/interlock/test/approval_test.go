package test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
)

func TestApproval(t *testing.T) {
	ns := newNamespace(t, nil)
	const refused = `interlock: approval: user dev may not approve schemamigrations.interlock.dev "`
	bind(t, ns, "dev", "ClusterRole", "interlock-view")
	bind(t, ns, "dev", "ClusterRole", "interlock-edit")
	bind(t, ns, "approver", "ClusterRole", "interlock-approve")
	admin, _ := as(t, "")
	migration := func(name, approval string) *v1alpha1.SchemaMigration {
		m := &v1alpha1.SchemaMigration{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
			Spec: v1alpha1.SchemaMigrationSpec{DatabaseRef: v1alpha1.LocalReference{Name: "shop"}, Series: "shop",
				Inline: map[string]string{"00001_a.sql": "-- +goose Up\nSELECT 1;\n"}},
		}
		if approval != "" {
			m.Annotations = map[string]string{v1alpha1.ApproveAnnotation: approval}
		}
		return m
	}
	plain, approved := migration("plain", ""), migration("approved", "hash-1")
	check(t, admin.Create(t.Context(), plain), "")
	check(t, admin.Create(t.Context(), approved), "")

	tests := map[string]struct {
		user, want string
		object     *v1alpha1.SchemaMigration
		change     func(*v1alpha1.SchemaMigration)
	}{
		"dev sets it":     {user: "dev", object: plain, change: approve("hash-1"), want: refused + `plain"`},
		"dev changes it":  {user: "dev", object: approved, change: approve("hash-2"), want: refused + `approved"`},
		"dev keeps it":    {user: "dev", object: approved, change: func(m *v1alpha1.SchemaMigration) { m.Spec.Suspend = true }},
		"dev removes it":  {user: "dev", object: approved, change: func(m *v1alpha1.SchemaMigration) { m.Annotations = nil }},
		"dev edits":       {user: "dev", object: plain, change: func(m *v1alpha1.SchemaMigration) { m.Spec.Suspend = true }},
		"approver sets":   {user: "approver", object: plain, change: approve("hash-1")},
		"approver again":  {user: "approver", object: approved, change: approve("hash-2")},
		"admin sets it":   {object: plain, change: approve("hash-1")},
		"operator cannot": {user: operatorUser, object: plain, change: approve("hash-1"), want: "interlock: approval: user " + operatorUser},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, _ := as(t, tt.user)
			changed := tt.object.DeepCopy()
			tt.change(changed)
			check(t, c.Patch(t.Context(), changed, client.MergeFrom(tt.object), client.DryRunAll), tt.want)
		})
	}
	t.Run("created with it", func(t *testing.T) {
		dev, _ := as(t, "dev")
		check(t, dev.Create(t.Context(), migration("new", "hash-1"), client.DryRunAll), refused+`new"`)
		check(t, dev.Create(t.Context(), migration("new", ""), client.DryRunAll), "")
	})
	t.Run("not through the status", func(t *testing.T) {
		operator, _ := as(t, operatorUser)
		changed := plain.DeepCopy()
		approve("hash-1")(changed)
		check(t, operator.Status().Update(t.Context(), changed), "")
		check(t, admin.Get(t.Context(), client.ObjectKeyFromObject(plain), changed), "")
		if value := changed.Annotations[v1alpha1.ApproveAnnotation]; value != "" {
			t.Errorf("approved through the status: %q", value)
		}
	})
}

func approve(hash string) func(*v1alpha1.SchemaMigration) {
	return func(m *v1alpha1.SchemaMigration) {
		m.Annotations = map[string]string{v1alpha1.ApproveAnnotation: hash}
	}
}
