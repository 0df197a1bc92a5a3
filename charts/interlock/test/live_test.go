package test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
)

// Of a live pod's UPDATEs only a changed gate, stamp or image is judged.
func TestLivePods(t *testing.T) {
	ns := newNamespace(t, nil)
	publish(t, ns, v1alpha1.ParamsName, params("shop", 7, 0))
	admin, _ := as(t, "")
	running := podFrom(ns, "running", stampedTemplate("7", sidecar()))
	held := podFrom(ns, "held", stampedTemplate("8"))
	plain := podFrom(ns, "plain", plainTemplate())
	leaving := podFrom(ns, "leaving", stampedTemplate("8"))
	leaving.Finalizers = []string{"example.com/keep"}
	for _, pod := range []*corev1.Pod{running, held, plain, leaving} {
		check(t, admin.Create(t.Context(), pod), "")
	}
	check(t, admin.Delete(t.Context(), leaving), "")
	check(t, admin.Get(t.Context(), client.ObjectKeyFromObject(leaving), leaving), "")
	// From here on the running pod is an old reader below the fence: it may do everything that leaving takes.
	publish(t, ns, v1alpha1.ParamsName, params("shop", 9, 9))

	ungate := func(p *corev1.Pod) { p.Spec.SchedulingGates = nil }
	tests := map[string]struct {
		pod    *corev1.Pod
		user   string
		change func(*corev1.Pod)
		want   string
	}{
		"gate taken off":             {pod: held, change: ungate, want: "interlock: gate: the scheduling gate interlock.dev/schema is taken off by Interlock alone"},
		"gate taken off by operator": {pod: held, user: operatorUser, change: ungate},
		"gate of a pod that leaves":  {pod: leaving, change: ungate},
		"stamp changed": {pod: running, change: func(p *corev1.Pod) { p.Labels[v1alpha1.StampLabel("shop")] = "9" },
			want: "interlock: stamp: the label schema.interlock.dev/shop of a live pod does not change"},
		"stamp changed by operator": {pod: running, user: operatorUser,
			change: func(p *corev1.Pod) { p.Labels[v1alpha1.StampLabel("shop")] = "9" }, want: "interlock: stamp: "},
		"stamp of a pod that leaves": {pod: leaving, change: func(p *corev1.Pod) { p.Labels[v1alpha1.StampLabel("shop")] = "9" },
			want: "interlock: stamp: "},
		"stamp removed": {pod: running, change: func(p *corev1.Pod) { delete(p.Labels, v1alpha1.StampLabel("shop")) },
			want: "interlock: stamp: the label schema.interlock.dev/shop"},
		"stamp added": {pod: running, change: func(p *corev1.Pod) { p.Labels[v1alpha1.StampLabel("billing")] = "1" },
			want: "interlock: stamp: the label schema.interlock.dev/billing"},
		"fixed label removed": {pod: running, change: func(p *corev1.Pod) { delete(p.Labels, v1alpha1.StampedLabel) },
			want: "interlock: stamp: the label interlock.dev/stamped"},
		"fixed label added": {pod: plain, change: func(p *corev1.Pod) { p.Labels[v1alpha1.StampedLabel] = "true" },
			want: "interlock: stamp: the label interlock.dev/stamped"},
		"reader image changed": {pod: running, change: func(p *corev1.Pod) { p.Spec.Containers[0].Image = "reg.test/shop:4" },
			want: "interlock: image: the image of container shop of a live pod does not change"},
		"images annotation changed": {pod: running, change: func(p *corev1.Pod) {
			p.Annotations[v1alpha1.StampImagesAnnotation] = "shop=reg.test/shop:9"
		}, want: "interlock: image: the annotation schema.interlock.dev/images of a live pod"},
		"images annotation removed": {pod: running, change: func(p *corev1.Pod) { p.Annotations = nil },
			want: "interlock: image: the annotation schema.interlock.dev/images of a live pod"},
		"other image changed":      {pod: running, change: func(p *corev1.Pod) { p.Spec.Containers[1].Image = "reg.test/other:2" }},
		"other label changed":      {pod: running, change: func(p *corev1.Pod) { p.Labels["a"] = "b" }},
		"other annotation changed": {pod: running, change: func(p *corev1.Pod) { p.Annotations["a"] = "b" }},
		"finalizer added":          {pod: running, change: func(p *corev1.Pod) { p.Finalizers = []string{"example.com/x"} }},
		"finalizer removed":        {pod: leaving, change: func(p *corev1.Pod) { p.Finalizers = nil }},
		"deadline set":             {pod: running, change: func(p *corev1.Pod) { p.Spec.ActiveDeadlineSeconds = new(int64(5)) }},
		"an unstamped pod":         {pod: plain, change: func(p *corev1.Pod) { p.Spec.Containers[0].Image = "reg.test/shop:4" }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, _ := as(t, tt.user)
			pod := tt.pod.DeepCopy()
			tt.change(pod)
			check(t, c.Update(t.Context(), pod, client.DryRunAll), tt.want)
		})
	}

	t.Run("status", func(t *testing.T) {
		pod := running.DeepCopy()
		pod.Status.Phase = corev1.PodSucceeded
		check(t, admin.Status().Update(t.Context(), pod, client.DryRunAll), "")
	})
	t.Run("stamp changed through the status", func(t *testing.T) {
		pod := running.DeepCopy()
		pod.Labels[v1alpha1.StampLabel("shop")] = "9"
		check(t, admin.Status().Update(t.Context(), pod, client.DryRunAll), "interlock: stamp: ")
	})
	t.Run("deletion", func(t *testing.T) {
		for _, pod := range []*corev1.Pod{running, held} {
			check(t, admin.Delete(t.Context(), pod, client.DryRunAll), "")
		}
		check(t, admin.DeleteAllOf(t.Context(), &corev1.Pod{}, client.InNamespace(ns)), "")
	})
}

// The operator needs no more than its chart gives it to let a held pod go.
func TestOperatorReleasesAPod(t *testing.T) {
	ns := newNamespace(t, nil)
	publish(t, ns, v1alpha1.ParamsName, params("shop", 7, 0))
	admin, _ := as(t, "")
	pod := podFrom(ns, "held", stampedTemplate("8"))
	check(t, admin.Create(t.Context(), pod), "")
	publish(t, ns, v1alpha1.ParamsName, params("shop", 8, 0))
	operator, _ := as(t, operatorUser)
	base := pod.DeepCopy()
	pod.Spec.SchedulingGates = nil
	check(t, operator.Patch(t.Context(), pod, client.MergeFrom(base)), "")
	if gated(pod) {
		t.Error("the gate is still there")
	}
}
