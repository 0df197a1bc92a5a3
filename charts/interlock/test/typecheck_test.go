package test

import (
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/cel/openapi/resolver"
	"k8s.io/client-go/discovery"
)

// Kubernetes checks the expressions of a policy against the schemas of what it matches, and writes what it
// finds in the policy's status. It finds nothing.
func TestPoliciesTypeCheck(t *testing.T) {
	admin, _ := as(t, "")
	disco, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	checker := &validating.TypeChecker{
		SchemaResolver: &resolver.ClientDiscoveryResolver{Discovery: disco},
		RestMapper:     admin.RESTMapper(),
	}
	objects, err := render(kubeVersion, nil)
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, u := range objects {
		if u.GetKind() != "ValidatingAdmissionPolicy" {
			continue
		}
		policy := &admissionv1.ValidatingAdmissionPolicy{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, policy); err != nil {
			t.Fatal(err)
		}
		checked++
		for _, w := range checker.Check(policy) {
			t.Errorf("%s: %s: %s", policy.Name, w.FieldRef, w.Warning)
		}
	}
	if checked < 7 {
		t.Errorf("only %d policies were checked", checked)
	}
}
