package render

import (
	"fmt"
	"maps"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
)

// Scope is where objects of a kind live.
type Scope int

const (
	// ScopeUnknown: the cluster does not know the kind.
	ScopeUnknown Scope = iota
	// ScopeNamespaced kinds live in a namespace.
	ScopeNamespaced
	// ScopeCluster kinds do not.
	ScopeCluster
)

// Rules say what may be part of a bundle.
type Rules struct {
	// Bundle and Namespace of the AppBundle.
	Bundle, Namespace string
	// Impersonated: objects are applied as a service account, so RBAC decides what it may touch.
	Impersonated bool
	// Scope of a kind.
	Scope func(schema.GroupVersionKind) Scope
}

// KindError is an object of a kind that the cluster does not know.
type KindError struct {
	GVK  schema.GroupVersionKind
	Name string
}

func (e *KindError) Error() string {
	return fmt.Sprintf("%s %q: the cluster knows no %s in %s; install its CustomResourceDefinition first, or correct apiVersion and kind",
		e.GVK.Kind, e.Name, e.GVK.Kind, e.GVK.GroupVersion())
}

// Refine gives every object its namespace and the bundle's label, and refuses what may not be part of the bundle.
// It changes the objects. Errors are *Error or *KindError.
func Refine(objects []*unstructured.Unstructured, rules Rules) error {
	scopes := definedHere(objects)
	seen := map[string]bool{}
	for _, u := range objects {
		scope := rules.Scope(u.GroupVersionKind())
		if scope == ScopeUnknown {
			scope = scopes[u.GroupVersionKind().GroupKind()]
		}
		if err := place(u, scope, rules); err != nil {
			return err
		}
		id := u.GroupVersionKind().GroupKind().String() + "/" + u.GetNamespace() + "/" + u.GetName()
		if seen[id] {
			return fail(ObjectRefused, "%s is in the bundle twice; remove one of them", Describe(u))
		}
		seen[id] = true
		labels := maps.Clone(u.GetLabels())
		if labels == nil {
			labels = map[string]string{}
		}
		labels[v1alpha1.BundleLabel] = LabelValue(rules.Bundle)
		u.SetLabels(labels)
	}
	return nil
}

// LabelValue is a bundle's name as the value of a label: the name, or, where it is too long, its start and a hash.
func LabelValue(bundle string) string { return v1alpha1.SeriesKey(bundle) }

// place checks where an object lives.
func place(u *unstructured.Unstructured, scope Scope, rules Rules) error {
	switch {
	case scope == ScopeUnknown:
		return &KindError{GVK: u.GroupVersionKind(), Name: u.GetName()}
	case scope == ScopeCluster && !rules.Impersonated:
		return fail(ObjectRefused, "%s belongs to no namespace; name a service account that may apply it in spec.serviceAccountName, or remove it", Describe(u))
	case scope == ScopeCluster:
		u.SetNamespace("")
		return nil
	case u.GetNamespace() == "":
		u.SetNamespace(rules.Namespace)
	case u.GetNamespace() != rules.Namespace && !rules.Impersonated:
		return fail(ObjectRefused, "%s is not in the bundle's namespace %q; name a service account that may apply it in spec.serviceAccountName, or remove metadata.namespace",
			Describe(u), rules.Namespace)
	}
	return reserved(u)
}

// reserved refuses the objects that admission believes: a bundle could open its own gate with them.
func reserved(u *unstructured.Unstructured) error {
	gk := u.GroupVersionKind().GroupKind()
	if gk != (schema.GroupKind{Kind: "ConfigMap"}) {
		return nil
	}
	if n := u.GetName(); n == v1alpha1.ParamsName || n == v1alpha1.ParamsAuditName {
		return fail(ObjectRefused, "%s is written by Interlock alone; give yours another name", Describe(u))
	}
	return nil
}

// definedHere returns the scopes of the kinds that the bundle itself defines.
func definedHere(objects []*unstructured.Unstructured) map[schema.GroupKind]Scope {
	scopes := map[schema.GroupKind]Scope{}
	for _, u := range objects {
		if u.GroupVersionKind().GroupKind() != (schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}) {
			continue
		}
		group, _, _ := unstructured.NestedString(u.Object, "spec", "group")
		kind, _, _ := unstructured.NestedString(u.Object, "spec", "names", "kind")
		scope, _, _ := unstructured.NestedString(u.Object, "spec", "scope")
		scopes[schema.GroupKind{Group: group, Kind: kind}] = ScopeNamespaced
		if scope == "Cluster" {
			scopes[schema.GroupKind{Group: group, Kind: kind}] = ScopeCluster
		}
	}
	return scopes
}

// Describe names an object for a message: Deployment "shop/shop".
func Describe(u *unstructured.Unstructured) string {
	if u.GetNamespace() == "" {
		return fmt.Sprintf("%s %q", u.GetKind(), u.GetName())
	}
	return fmt.Sprintf("%s %q", u.GetKind(), u.GetNamespace()+"/"+u.GetName())
}
