package test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
)

const (
	namespaceController = "system:serviceaccount:kube-system:namespace-controller"
	garbageCollector    = "system:serviceaccount:kube-system:generic-garbage-collector"
	refusedParams       = "interlock: params: only Interlock writes the ConfigMaps interlock-schema and interlock-schema-audit"
)

func TestOnlyInterlockWritesParams(t *testing.T) {
	ns := newNamespace(t, nil)
	admin, _ := as(t, "")
	operator, _ := as(t, operatorUser)
	for _, name := range []string{v1alpha1.ParamsName, v1alpha1.ParamsAuditName} {
		t.Run(name, func(t *testing.T) {
			cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Data: params("shop", 7, 5)}
			check(t, admin.Create(t.Context(), cm.DeepCopy()), refusedParams)
			check(t, operator.Create(t.Context(), cm), "")
			base := cm.DeepCopy()
			cm.Data["shop.min"] = "0"
			check(t, admin.Update(t.Context(), cm.DeepCopy()), refusedParams)
			check(t, admin.Patch(t.Context(), cm.DeepCopy(), client.MergeFrom(base)), refusedParams)
			check(t, admin.Delete(t.Context(), cm.DeepCopy()), refusedParams)
			check(t, admin.DeleteAllOf(t.Context(), &corev1.ConfigMap{}, client.InNamespace(ns)), refusedParams)
			check(t, operator.Update(t.Context(), cm.DeepCopy()), "")
		})
	}
	t.Run("another ConfigMap", func(t *testing.T) {
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "interlock-schema-2"}}
		check(t, admin.Create(t.Context(), cm), "")
		cm.Data = map[string]string{"a": "b"}
		check(t, admin.Update(t.Context(), cm), "")
		check(t, admin.Delete(t.Context(), cm), "")
	})
	t.Run("Interlock deletes", func(t *testing.T) {
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: v1alpha1.ParamsAuditName}}
		check(t, operator.Delete(t.Context(), cm), "")
	})
}

// The controllers of Kubernetes that clean up may delete params objects, and nothing else.
func TestParamsGoWithTheirNamespace(t *testing.T) {
	ns := newNamespace(t, nil)
	publish(t, ns, v1alpha1.ParamsName, params("shop", 7, 5))
	admin, _ := as(t, "")
	cm := &corev1.ConfigMap{}
	check(t, admin.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: v1alpha1.ParamsName}, cm), "")
	for _, user := range []string{namespaceController, garbageCollector} {
		c, _ := as(t, user)
		check(t, c.Delete(t.Context(), cm.DeepCopy(), client.DryRunAll), "")
	}
	grant(t, ns, namespaceController, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"update"}})
	c, _ := as(t, namespaceController)
	changed := cm.DeepCopy()
	changed.Data["shop.min"] = "0"
	check(t, c.Update(t.Context(), changed), refusedParams)

	check(t, admin.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}), "")
	check(t, c.DeleteAllOf(t.Context(), &corev1.ConfigMap{}, client.InNamespace(ns), client.DryRunAll), "")
	// What is stuck in such a namespace may be cleaned up by hand.
	err := eventually(t.Context(), func() error { return admin.Delete(t.Context(), cm.DeepCopy()) })
	check(t, err, "")
}

// grant gives a user rights in a namespace.
func grant(t *testing.T, ns, user string, rules ...rbacv1.PolicyRule) {
	t.Helper()
	admin, _ := as(t, "")
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: ns, GenerateName: "test-"}, Rules: rules}
	check(t, admin.Create(t.Context(), role), "")
	bind(t, ns, user, "Role", role.Name)
}

// bind binds a user to a Role or ClusterRole in a namespace, and waits until that is known.
func bind(t *testing.T, ns, user, kind, name string) {
	t.Helper()
	admin, _ := as(t, "")
	check(t, admin.Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, GenerateName: "test-"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}), "")
	var rules []rbacv1.PolicyRule
	switch kind {
	case "Role":
		role := &rbacv1.Role{}
		check(t, admin.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: name}, role), "")
		rules = role.Rules
	default:
		role := &rbacv1.ClusterRole{}
		check(t, admin.Get(t.Context(), client.ObjectKey{Name: name}, role), "")
		rules = role.Rules
	}
	last := rules[len(rules)-1]
	err := eventually(t.Context(), func() error {
		return allowed(t, user, true, ns, last.APIGroups[0], last.Resources[0], last.Verbs[len(last.Verbs)-1])
	})
	check(t, err, "")
}
