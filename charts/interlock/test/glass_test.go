package test

import (
	"fmt"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
)

// violations are writes that the policies refuse with shop at ready 7, fence 5, and Secret shop-app fenced.
func violations(ns string) map[string]struct {
	object client.Object
	want   string
} {
	return map[string]struct {
		object client.Object
		want   string
	}{
		"interlock-fence":     {object: podFrom(ns, "p", stampedTemplate("4")), want: "interlock: fence: shop: this pod is"},
		"interlock-templates": {object: workload("Deployment", ns, "d", stampedTemplate("4")), want: "interlock: fence: shop: this template is"},
		"interlock-unstamped": {object: podFrom(ns, "p", plainTemplate(takesByEnv)), want: "interlock: unstamped: container shop"},
	}
}

func fencedParams() map[string]string {
	return with(params("shop", 7, 5), v1alpha1.ParamsFencedSecrets, "shop-app")
}

func TestBrokenGlassWarnsInsteadOfRefusing(t *testing.T) {
	ns := newNamespace(t, map[string]string{v1alpha1.BreakGlassLabel: "incident-7"})
	publish(t, ns, v1alpha1.ParamsName, fencedParams())
	admin, w := as(t, "")
	for policy, v := range violations(ns) {
		t.Run(policy, func(t *testing.T) {
			w.take()
			check(t, admin.Create(t.Context(), v.object, client.DryRunAll), "")
			if text := w.take(); !strings.Contains(text, "with binding '"+policy+"-break-glass': "+v.want) {
				t.Errorf("warnings %q, want %q", text, v.want)
			}
		})
	}
	t.Run("no gate", func(t *testing.T) {
		pod := podFrom(ns, "early", stampedTemplate("8"))
		check(t, admin.Create(t.Context(), pod, client.DryRunAll), "")
		if text := w.take(); gated(pod) || !strings.Contains(text, "interlock: early: shop") {
			t.Errorf("gated %v, warnings %q", gated(pod), text)
		}
	})
	t.Run("anybody takes the gate off", func(t *testing.T) {
		held := podFrom(ns, "held", stampedTemplate("8", gate))
		check(t, admin.Create(t.Context(), held), "")
		w.take()
		held.Spec.SchedulingGates = nil
		check(t, admin.Update(t.Context(), held), "")
		if text := w.take(); !strings.Contains(text, "interlock: gate: ") {
			t.Errorf("warnings %q", text)
		}
	})
	t.Run("params stay Interlock's", func(t *testing.T) {
		cm := &corev1.ConfigMap{}
		check(t, admin.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: v1alpha1.ParamsName}, cm), "")
		check(t, admin.Delete(t.Context(), cm), refusedParams)
	})
}

func TestBrokenGlassWithoutParams(t *testing.T) {
	ns := newNamespace(t, map[string]string{v1alpha1.BreakGlassLabel: "incident-7"})
	admin, _ := as(t, "")
	check(t, admin.Create(t.Context(), podFrom(ns, "p", stampedTemplate("4")), client.DryRunAll), "")
}

func TestMendedGlassRefusesAgain(t *testing.T) {
	ns := newNamespace(t, map[string]string{v1alpha1.BreakGlassLabel: "incident-7"})
	publish(t, ns, v1alpha1.ParamsName, fencedParams())
	admin, _ := as(t, "")
	label := func(patch string) {
		n := &corev1.Namespace{}
		n.Name = ns
		check(t, admin.Patch(t.Context(), n, client.RawPatch("application/merge-patch+json", []byte(patch))), "")
	}
	label(`{"metadata":{"labels":{"interlock.dev/break-glass":null}}}`)
	for policy, v := range violations(ns) {
		check(t, eventually(t.Context(), func() error {
			return mentions(admin.Create(t.Context(), v.object.DeepCopyObject().(client.Object), client.DryRunAll), policy)
		}), "")
	}
}

// For a database with enforcement Audit the refusing params are harmless, and the real ones only warn.
func TestAuditOnlyWarns(t *testing.T) {
	ns := newNamespace(t, nil)
	admin, w := as(t, "")
	publish(t, ns, v1alpha1.ParamsName, params("shop", 7, 0))
	running := podFrom(ns, "running", stampedTemplate("7"))
	check(t, admin.Create(t.Context(), running), "")
	publish(t, ns, v1alpha1.ParamsName, with(params("shop", 0, 0), "shop.ready", harmless))
	publish(t, ns, v1alpha1.ParamsAuditName, fencedParams())
	relabelled := running.DeepCopy()
	relabelled.Labels[v1alpha1.StampLabel("shop")] = "9"
	tests := map[string]struct {
		try  func() error
		want string
	}{
		"image": {want: "with binding 'interlock-fence-audit': interlock: image: shop",
			try: func() error {
				return admin.Create(t.Context(), podFrom(ns, "p", stampedTemplate("7", image("reg.test/shop:4"))), client.DryRunAll)
			}},
		"no images": {want: "with binding 'interlock-templates-audit': interlock: image: the annotation",
			try: func() error {
				return admin.Create(t.Context(), workload("Deployment", ns, "d", stampedTemplate("7", images(""))), client.DryRunAll)
			}},
		"no number": {want: "with binding 'interlock-fence-audit': interlock: stamp: shop",
			try: func() error {
				return admin.Create(t.Context(), podFrom(ns, "p", stampedTemplate("x")), client.DryRunAll)
			}},
		"live": {want: "with binding 'interlock-live-audit': interlock: stamp: ",
			try: func() error { return admin.Update(t.Context(), relabelled, client.DryRunAll) }},
	}
	for policy, v := range violations(ns) {
		tests[policy] = struct {
			try  func() error
			want string
		}{want: "with binding '" + policy + "-audit': " + v.want,
			try: func() error { return admin.Create(t.Context(), v.object, client.DryRunAll) }}
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w.take()
			check(t, tt.try(), "")
			if text := w.take(); !strings.Contains(text, tt.want) {
				t.Errorf("warnings %q, want %q", text, tt.want)
			}
		})
	}
	t.Run("what would have been held", func(t *testing.T) {
		pod := podFrom(ns, "early", stampedTemplate("8"))
		check(t, admin.Create(t.Context(), pod, client.DryRunAll), "")
		if text := w.take(); gated(pod) || !strings.Contains(text, "interlock: early: shop") {
			t.Errorf("gated %v, warnings %q", gated(pod), text)
		}
	})
	t.Run("an enforced series beside it refuses once", func(t *testing.T) {
		publish(t, ns, v1alpha1.ParamsName, with(params("shop", 0, 0), "shop.ready", harmless,
			"billing.ready", "3", "billing.min", "2", "billing.hint", ""))
		publish(t, ns, v1alpha1.ParamsAuditName, with(fencedParams(), "billing.ready", harmless, "billing.min", "0"))
		w.take()
		check(t, admin.Create(t.Context(), podFrom(ns, "p", stampedTemplate("1", forSeries("billing"))), client.DryRunAll),
			"interlock: fence: billing")
		if text := w.take(); text != "" {
			t.Errorf("warned of what the other params object judges: %s", text)
		}
	})
}

// Without its refusing binding, what a policy refuses passes: no other guard hides that it does nothing.
func TestEveryPolicyIsNeeded(t *testing.T) {
	ns := newNamespace(t, nil)
	publish(t, ns, v1alpha1.ParamsName, params("shop", 9, 0))
	admin, _ := as(t, "")
	running := podFrom(ns, "running", stampedTemplate("7"))
	check(t, admin.Create(t.Context(), running), "")
	publish(t, ns, v1alpha1.ParamsName, fencedParams())
	running.Labels[v1alpha1.StampLabel("shop")] = "9"
	cm := &corev1.ConfigMap{}
	check(t, admin.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: v1alpha1.ParamsName}, cm), "")
	tries := map[string]func() error{
		"interlock-live":   func() error { return admin.Update(t.Context(), running.DeepCopy(), client.DryRunAll) },
		"interlock-params": func() error { return admin.Delete(t.Context(), cm.DeepCopy(), client.DryRunAll) },
	}
	for policy, v := range violations(ns) {
		tries[policy] = func() error {
			return admin.Create(t.Context(), v.object.DeepCopyObject().(client.Object), client.DryRunAll)
		}
	}
	for policy, try := range tries {
		t.Run(policy, func(t *testing.T) {
			check(t, try(), "'"+policy+"' with binding '"+policy+"' denied request: interlock: ")
			binding := &admissionv1.ValidatingAdmissionPolicyBinding{}
			check(t, admin.Get(t.Context(), client.ObjectKey{Name: policy}, binding), "")
			check(t, admin.Delete(t.Context(), binding.DeepCopy()), "")
			check(t, eventually(t.Context(), try), "")
			binding.ResourceVersion = ""
			check(t, admin.Create(t.Context(), binding), "")
			check(t, eventually(t.Context(), func() error { return mentions(try(), policy) }), "")
		})
	}
	t.Run("interlock-gate", func(t *testing.T) {
		early := func() (*corev1.Pod, error) {
			pod := podFrom(ns, "early", stampedTemplate("8"))
			return pod, admin.Create(t.Context(), pod, client.DryRunAll)
		}
		binding := &admissionv1.MutatingAdmissionPolicyBinding{}
		check(t, admin.Get(t.Context(), client.ObjectKey{Name: "interlock-gate"}, binding), "")
		check(t, admin.Delete(t.Context(), binding.DeepCopy()), "")
		check(t, eventually(t.Context(), func() error {
			_, err := early()
			return mentions(err, "interlock: early: shop")
		}), "")
		binding.ResourceVersion = ""
		check(t, admin.Create(t.Context(), binding), "")
		check(t, eventually(t.Context(), func() error {
			pod, err := early()
			if err == nil && !gated(pod) {
				err = fmt.Errorf("not gated")
			}
			return err
		}), "")
	})
}
