package test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
)

func TestPodsAtTheGateAndTheFence(t *testing.T) {
	ns := newNamespace(t, nil)
	data := with(params("shop", 7, 5), "billing.ready", "3", "billing.min", "2", "billing.hint", "")
	publish(t, ns, v1alpha1.ParamsName, data)
	admin, _ := as(t, "")
	tests := map[string]struct {
		template  corev1.PodTemplateSpec
		wantGated bool
		want      string
	}{
		"current":         {template: stampedTemplate("7")},
		"at the fence":    {template: stampedTemplate("5")},
		"early is gated":  {template: stampedTemplate("8"), wantGated: true},
		"gated by itself": {template: stampedTemplate("8", gate), wantGated: true},
		"below the fence": {template: stampedTemplate("4"),
			want: "interlock: fence: shop: this pod is for schema version 4, but version 5 is the oldest that still works (the schema was contracted). Oldest revision that works: main@sha1:abc. Roll forward, or go back to that revision."},
		"below, without a hint": {template: stampedTemplate("1", forSeries("billing")),
			want: "(the schema was contracted). Roll forward, or go back to that revision."},
		"far below compares as numbers": {template: stampedTemplate("10", forSeries("billing")), wantGated: true},
		"two series, both well":         {template: stampedTemplate("7", label(v1alpha1.StampLabel("billing"), "3"))},
		"two series, one early":         {template: stampedTemplate("7", label(v1alpha1.StampLabel("billing"), "4")), wantGated: true},
		"two series, one below": {template: stampedTemplate("7", label(v1alpha1.StampLabel("billing"), "1")),
			want: "interlock: fence: billing: this pod is for schema version 1, but version 2"},
		"no number": {template: stampedTemplate("v7"),
			want: `interlock: stamp: shop: the label schema.interlock.dev/shop of this pod is "v7", which is not a version number`},
		"empty":         {template: stampedTemplate("7", label(v1alpha1.StampLabel("shop"), "")), want: "interlock: stamp: shop"},
		"beyond 64 bit": {template: stampedTemplate("99999999999999999999"), want: "interlock: stamp: shop"},
		"no stamp": {template: stampedTemplate("7", noLabel(v1alpha1.StampLabel("shop"))),
			want: "interlock: stamp: this pod is labelled interlock.dev/stamped but carries no stamp"},
		"unknown series": {template: stampedTemplate("1", forSeries("stock")),
			want: "interlock: series: stock: this pod is stamped for a series that has no SchemaMigration in namespace " + ns},
		"early and bound to a node": {template: stampedTemplate("8", bound),
			want: "interlock: early: shop: this pod is for schema version 8, but the database is ready for 7 only, and the pod is not held"},
		"another image": {template: stampedTemplate("7", image("reg.test/shop:4")),
			want: "interlock: image: shop: the stamp of this pod (version 7) speaks for shop=reg.test/shop:7, but the container has reg.test/shop:4"},
		"another container": {template: stampedTemplate("7", images("web=reg.test/shop:7")),
			want: "speaks for web=reg.test/shop:7, but there is no such container"},
		"no images": {template: stampedTemplate("7", images("")),
			want: "interlock: image: the annotation schema.interlock.dev/images is missing"},
		"a sidecar of its own": {template: stampedTemplate("7", sidecar())},
		"unstamped":            {template: plainTemplate()},
		"unstamped ignores other labels": {
			template: plainTemplate(label(v1alpha1.StampLabel("shop"), "1"))},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			pod := podFrom(ns, "pod", tt.template)
			check(t, admin.Create(t.Context(), pod, client.DryRunAll), tt.want)
			if gated(pod) != tt.wantGated {
				t.Errorf("gated: %v, want %v", gated(pod), tt.wantGated)
			}
		})
	}
}

func gate(t *corev1.PodTemplateSpec) {
	t.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: v1alpha1.SchemaGate}}
}

func bound(t *corev1.PodTemplateSpec) { t.Spec.NodeName = "node1" }

func TestGateKeepsOtherGates(t *testing.T) {
	ns := newNamespace(t, nil)
	publish(t, ns, v1alpha1.ParamsName, params("shop", 7, 0))
	admin, _ := as(t, "")
	pod := podFrom(ns, "pod", stampedTemplate("8"))
	pod.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/other"}}
	check(t, admin.Create(t.Context(), pod), "")
	if !gated(pod) || len(pod.Spec.SchedulingGates) != 2 {
		t.Errorf("gates: %v, want both", pod.Spec.SchedulingGates)
	}
}

func TestNamespaceWithoutParams(t *testing.T) {
	ns := newNamespace(t, nil)
	admin, w := as(t, "")
	tests := map[string]struct {
		object client.Object
		want   string
	}{
		"a stamped pod":            {object: podFrom(ns, "p", stampedTemplate("1")), want: "no params found"},
		"an unstamped pod":         {object: podFrom(ns, "p", plainTemplate(takesByEnv, takesByVolume))},
		"an unstamped Deployment":  {object: workload("Deployment", ns, "d", plainTemplate(takesByEnv))},
		"a stamped Deployment":     {object: workload("Deployment", ns, "d", stampedTemplate("1"))},
		"an unstamped PodTemplate": {object: workload("PodTemplate", ns, "d", plainTemplate())},
		"another ConfigMap":        {object: &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "other"}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			check(t, admin.Create(t.Context(), tt.object, client.DryRunAll), tt.want)
			if text := w.take(); text != "" {
				t.Errorf("warned: %s", text)
			}
		})
	}
}

func TestExemptNamespaces(t *testing.T) {
	admin, _ := as(t, "")
	for _, ns := range []string{"kube-system", namespace} {
		t.Run(ns, func(t *testing.T) {
			check(t, admin.Create(t.Context(), podFrom(ns, "p", stampedTemplate("1")), client.DryRunAll), "")
		})
	}
}

// The operator proves a fence for pods by a dry run of a PodTemplate that carries the fixed label itself: the
// same policy refuses both, with the same words. Without that label it is the policy for templates.
func TestProofOfAFence(t *testing.T) {
	ns := newNamespace(t, nil)
	publish(t, ns, v1alpha1.ParamsName, params("shop", 7, 5))
	operator, _ := as(t, operatorUser)
	probe := func(version string, labels map[string]string) *corev1.PodTemplate {
		return &corev1.PodTemplate{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "fence-proof", Labels: labels},
			Template:   stampedTemplate(version),
		}
	}
	marked := map[string]string{v1alpha1.StampedLabel: "true"}
	tests := map[string]struct {
		probe *corev1.PodTemplate
		want  string
	}{
		"pods":           {probe: probe("4", marked), want: "'interlock-fence' with binding 'interlock-fence' denied request: interlock: fence: shop: this pod is for schema version 4, but version 5 is"},
		"templates":      {probe: probe("4", nil), want: "'interlock-templates' with binding 'interlock-templates' denied request: interlock: fence: shop: this template is for schema version 4, but version 5 is"},
		"pods, not low":  {probe: probe("5", marked)},
		"pods, early":    {probe: probe("8", marked)},
		"templates high": {probe: probe("5", nil)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			check(t, operator.Create(t.Context(), tt.probe, client.DryRunAll), tt.want)
		})
	}
}
