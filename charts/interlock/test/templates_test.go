package test

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
)

var templateKinds = []string{"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "PodTemplate"}

func TestTemplatesAtCreation(t *testing.T) {
	ns := newNamespace(t, nil)
	publish(t, ns, v1alpha1.ParamsName, with(params("shop", 7, 5), v1alpha1.ParamsFencedSecrets, "shop-app,other"))
	admin, _ := as(t, "")
	tests := map[string]struct {
		template corev1.PodTemplateSpec
		want     string
	}{
		"current": {template: stampedTemplate("7")},
		"early":   {template: stampedTemplate("8")},
		"unknown": {template: stampedTemplate("8", forSeries("stock"))},
		"below the fence": {template: stampedTemplate("4"),
			want: "interlock: fence: shop: this template is for schema version 4, but version 5 is the oldest that still works (the schema was contracted). Oldest revision that works: main@sha1:abc. Roll forward, or go back to that revision."},
		"no number":           {template: stampedTemplate("latest"), want: `interlock: stamp: shop: the label schema.interlock.dev/shop of this template is "latest"`},
		"no stamp":            {template: stampedTemplate("7", noLabel(v1alpha1.StampLabel("shop"))), want: "interlock: stamp: this template is labelled"},
		"another image":       {template: stampedTemplate("7", image("reg.test/shop:4")), want: "interlock: image: shop: the stamp of this template (version 7) speaks for shop=reg.test/shop:7, but the container has reg.test/shop:4"},
		"no images":           {template: stampedTemplate("7", images("")), want: "interlock: image: the annotation schema.interlock.dev/images is missing"},
		"a reader by env":     {template: stampedTemplate("7", takesByEnv)},
		"a reader by volume":  {template: stampedTemplate("7", takesByVolume)},
		"a plain sidecar":     {template: stampedTemplate("7", sidecar())},
		"a reader, unlisted":  {template: stampedTemplate("7", sidecar(takesByEnv)), want: "interlock: image: container sidecar takes a Secret"},
		"unlisted, by volume": {template: stampedTemplate("7", sidecar(takesByVolume)), want: "interlock: image: container sidecar takes a Secret"},
		"unlisted, init":      {template: stampedTemplate("7", takesInInit), want: "interlock: image: container wait takes a Secret"},
	}
	for name, tt := range tests {
		for _, kind := range templateKinds {
			t.Run(name+"/"+kind, func(t *testing.T) {
				check(t, admin.Create(t.Context(), workload(kind, ns, "new", tt.template), client.DryRunAll), tt.want)
			})
		}
	}
}

// The usual ways back, after the fence went from 0 to 5 under a workload at version 7 that was at 4 before.
func TestTemplatesAtUpdate(t *testing.T) {
	ns := newNamespace(t, nil)
	publish(t, ns, v1alpha1.ParamsName, params("shop", 7, 0))
	admin, _ := as(t, "")
	kinds := []string{"Deployment", "StatefulSet", "DaemonSet", "CronJob", "PodTemplate"}
	existing := map[string]client.Object{}
	for _, kind := range kinds {
		existing[kind] = workload(kind, ns, strings.ToLower(kind), stampedTemplate("7", label("rev", "1")))
		check(t, admin.Create(t.Context(), existing[kind]), "")
	}
	publish(t, ns, v1alpha1.ParamsName, with(params("shop", 7, 5), "billing.ready", "0", "billing.min", "0"))
	tests := map[string]struct {
		template corev1.PodTemplateSpec
		want     string
	}{
		"rollout undo to a revision below":  {template: stampedTemplate("4"), want: "interlock: fence: shop: this template is for schema version 4, but version 5"},
		"rollout undo to the fence":         {template: stampedTemplate("5")},
		"rollout undo to before the stamps": {template: plainTemplate(), want: "interlock: unstamped: shop: this template would lose its stamp, but the schema was contracted: version 5 is the oldest that still works"},
		"set image":                         {template: stampedTemplate("7", image("reg.test/shop:4")), want: "interlock: image: shop: the stamp of this template (version 7) speaks for"},
		"the tag set back, with its list":   {template: stampedTemplate("4", label(v1alpha1.StampLabel("shop"), "4")), want: "interlock: fence: shop"},
		"only the fixed label taken away":   {template: stampedTemplate("7", noLabel(v1alpha1.StampedLabel)), want: "interlock: unstamped: shop"},
		"one stamp for another":             {template: stampedTemplate("0", forSeries("billing")), want: "interlock: unstamped: shop"},
		"rollout restart":                   {template: stampedTemplate("7", label("rev", "2"))},
		"roll forward, in time":             {template: stampedTemplate("6")},
	}
	for name, tt := range tests {
		for _, kind := range kinds {
			t.Run(name+"/"+kind, func(t *testing.T) {
				obj := existing[kind].DeepCopyObject().(client.Object)
				setTemplate(obj, tt.template)
				check(t, admin.Update(t.Context(), obj, client.DryRunAll), tt.want)
			})
		}
	}
}

func TestLosingAStampBeforeAnyFence(t *testing.T) {
	ns := newNamespace(t, nil)
	publish(t, ns, v1alpha1.ParamsName, params("shop", 7, 0))
	admin, _ := as(t, "")
	d := workload("Deployment", ns, "d", stampedTemplate("7"))
	check(t, admin.Create(t.Context(), d), "")
	setTemplate(d, plainTemplate())
	check(t, admin.Update(t.Context(), d), "")
}

// A workload below the fence may still leave: everything passes that keeps its template.
func TestOldWorkloadsMayLeave(t *testing.T) {
	ns := newNamespace(t, nil)
	publish(t, ns, v1alpha1.ParamsName, params("shop", 4, 0))
	admin, _ := as(t, "")
	rs := workload("ReplicaSet", ns, "rs", stampedTemplate("4")).(*appsv1.ReplicaSet)
	rs.Spec.Replicas = new(int32(3))
	job := workload("Job", ns, "job", stampedTemplate("4")).(*batchv1.Job)
	job.Finalizers = []string{"example.com/tracking"}
	d := workload("Deployment", ns, "d", stampedTemplate("4")).(*appsv1.Deployment)
	leaving := workload("Deployment", ns, "leaving", stampedTemplate("4")).(*appsv1.Deployment)
	leaving.Finalizers = []string{"example.com/keep"}
	for _, obj := range []client.Object{rs, job, d, leaving} {
		check(t, admin.Create(t.Context(), obj), "")
	}
	check(t, admin.Delete(t.Context(), leaving), "")
	check(t, admin.Get(t.Context(), client.ObjectKeyFromObject(leaving), leaving), "")
	publish(t, ns, v1alpha1.ParamsName, params("shop", 7, 5))

	tests := map[string]struct {
		object client.Object
		change func()
		want   string
	}{
		"ReplicaSet scaled down": {object: rs, change: func() { rs.Spec.Replicas = new(int32(0)) }},
		"ReplicaSet annotated":   {object: rs, change: func() { rs.Annotations = map[string]string{"a": "b"} }},
		"ReplicaSet with another old template": {object: rs,
			change: func() { rs.Spec.Template.Annotations["a"] = "b" }, want: "interlock: fence: shop"},
		"Job sheds its finalizer": {object: job, change: func() { job.Finalizers = nil }},
		"Job suspended":           {object: job, change: func() { job.Spec.Suspend = new(true) }},
		"Deployment scaled down":  {object: d, change: func() { d.Spec.Replicas = new(int32(0)) }},
		"Deployment paused":       {object: d, change: func() { d.Spec.Paused = true }},
		"one that is being deleted": {object: leaving, change: func() {
			leaving.Finalizers = nil
			leaving.Spec.Template.Annotations["a"] = "b"
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			check(t, admin.Get(t.Context(), client.ObjectKeyFromObject(tt.object), tt.object), "")
			tt.change()
			check(t, admin.Update(t.Context(), tt.object, client.DryRunAll), tt.want)
		})
	}
	t.Run("deletion", func(t *testing.T) {
		for _, obj := range []client.Object{rs, job, d} {
			check(t, admin.Delete(t.Context(), obj, client.DryRunAll), "")
		}
	})
}

// An early template is refused where the roll-out would take an old pod away first.
func TestEarlyTemplatesThatKillFirst(t *testing.T) {
	ns := newNamespace(t, nil)
	publish(t, ns, v1alpha1.ParamsName, params("shop", 7, 5))
	admin, _ := as(t, "")
	deployment := func(strategy appsv1.DeploymentStrategy) client.Object {
		d := workload("Deployment", ns, "", stampedTemplate("7")).(*appsv1.Deployment)
		d.Spec.Strategy = strategy
		return d
	}
	rolling := func(unavailable, surge string) client.Object {
		u, s := intstr.Parse(unavailable), intstr.Parse(surge)
		return deployment(appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType,
			RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: &u, MaxSurge: &s}})
	}
	daemons := func(strategy appsv1.DaemonSetUpdateStrategy) client.Object {
		d := workload("DaemonSet", ns, "", stampedTemplate("7")).(*appsv1.DaemonSet)
		d.Spec.UpdateStrategy = strategy
		return d
	}
	zero, one := intstr.FromInt32(0), intstr.FromInt32(1)
	const refused = "interlock: early: shop: this template is for schema version 8, but the database is ready for 7 only, and this "
	tests := map[string]struct {
		object client.Object
		want   string
	}{
		"StatefulSet":       {object: workload("StatefulSet", ns, "", stampedTemplate("7")), want: refused + "StatefulSet takes old pods away"},
		"DaemonSet":         {object: daemons(appsv1.DaemonSetUpdateStrategy{}), want: refused + "DaemonSet"},
		"DaemonSet, surge":  {object: daemons(appsv1.DaemonSetUpdateStrategy{Type: "RollingUpdate", RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxUnavailable: &zero, MaxSurge: &one}})},
		"Recreate":          {object: deployment(appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}), want: refused + "Deployment"},
		"default":           {object: deployment(appsv1.DeploymentStrategy{}), want: refused + "Deployment"},
		"maxUnavailable 1":  {object: rolling("1", "1"), want: refused + "Deployment"},
		"maxUnavailable 5%": {object: rolling("5%", "1"), want: refused + "Deployment"},
		"maxUnavailable 0":  {object: rolling("0", "1")},
		"maxUnavailable 0%": {object: rolling("0%", "50%")},
		"CronJob":           {object: workload("CronJob", ns, "", stampedTemplate("7"))},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.object.SetGenerateName("early-")
			check(t, admin.Create(t.Context(), tt.object), "")
			early := tt.object.DeepCopyObject().(client.Object)
			setTemplate(early, stampedTemplate("8"))
			check(t, admin.Update(t.Context(), early, client.DryRunAll), tt.want)
			want := tt.want
			if want != "" {
				want = "interlock: early: stock: this template is for schema version 8, but the database is ready for no version of this series yet"
			}
			unknown := tt.object.DeepCopyObject().(client.Object)
			setTemplate(unknown, stampedTemplate("7", label(v1alpha1.StampLabel("stock"), "8")))
			check(t, admin.Update(t.Context(), unknown, client.DryRunAll), want)
		})
	}
}
