package test

import (
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/engine"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
)

// The chart is taken away and installed again: what the operator writes then is seen. Without the kept
// policies the API server judges by the params of before until it is restarted.
func TestReinstalledPoliciesSeeNewParams(t *testing.T) {
	ns := newNamespace(t, nil)
	publish(t, ns, v1alpha1.ParamsName, params("shop", 7, 0))
	admin, _ := as(t, "")
	objects, err := render(kubeVersion, nil)
	if err != nil {
		t.Fatal(err)
	}
	var gone []*unstructured.Unstructured
	for _, u := range objects {
		if strings.Contains(u.GetKind(), "AdmissionPolicy") && u.GetAnnotations()["helm.sh/resource-policy"] != "keep" {
			check(t, admin.Delete(t.Context(), u.DeepCopy()), "")
			gone = append(gone, u)
		}
	}
	check(t, eventually(t.Context(), func() error {
		return admin.Create(t.Context(), podFrom("default", "p", stampedTemplate("1")), client.DryRunAll)
	}), "")
	for _, u := range gone {
		check(t, admin.Create(t.Context(), u), "")
	}
	check(t, eventually(t.Context(), func() error {
		return mentions(admin.Create(t.Context(), podFrom("default", "p", stampedTemplate("1")), client.DryRunAll), "no params found")
	}), "")
	publish(t, ns, v1alpha1.ParamsName, params("shop", 7, 5))
	publish(t, newNamespace(t, nil), v1alpha1.ParamsName, params("shop", 1, 0))
	pod := podFrom(ns, "early", stampedTemplate("8"))
	check(t, eventually(t.Context(), func() error { return admin.Create(t.Context(), pod, client.DryRunAll) }), "")
	if !gated(pod) {
		t.Error("not gated")
	}
}

// An anchor that another release left behind is not taken over: Helm would refuse the install.
func TestAnchorOfAnotherReleaseIsLeftAlone(t *testing.T) {
	admin, _ := as(t, "")
	withCluster := func(c chart.Charter, values common.Values) (map[string]string, error) {
		return engine.RenderWithClient(c, values, cfg)
	}
	for release, want := range map[string]bool{"interlock": true, "older": false} {
		t.Run(release, func(t *testing.T) {
			anchor := &admissionv1.ValidatingAdmissionPolicy{}
			check(t, admin.Get(t.Context(), client.ObjectKey{Name: "interlock-anchor"}, anchor), "")
			anchor.Annotations["meta.helm.sh/release-name"] = release
			anchor.Annotations["meta.helm.sh/release-namespace"] = namespace
			check(t, admin.Update(t.Context(), anchor), "")
			files, err := renderWith(withCluster, kubeVersion, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(files["interlock/templates/admission/anchor.yaml"], "kind:"); got != want {
				t.Errorf("rendered: %v, want %v", got, want)
			}
		})
	}
}
