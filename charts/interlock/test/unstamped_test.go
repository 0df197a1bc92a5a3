package test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
)

func TestUnstampedReaders(t *testing.T) {
	ns := newNamespace(t, nil)
	publish(t, ns, v1alpha1.ParamsName, with(params("shop", 7, 5),
		v1alpha1.ParamsFencedSecrets, "billing-app,shop-app", v1alpha1.ParamsExempt, "backup,postgres"))
	admin, _ := as(t, "")
	tests := map[string]struct {
		template corev1.PodTemplateSpec
		want     string
	}{
		"no Secret":                  {template: plainTemplate()},
		"by env":                     {template: plainTemplate(takesByEnv), want: "container shop"},
		"by envFrom":                 {template: plainTemplate(takesByEnvFrom), want: "container shop"},
		"by volume":                  {template: plainTemplate(takesByVolume), want: "container shop"},
		"by a volume nobody mounts":  {template: plainTemplate(takesByVolume, mountNothing), want: "volume db"},
		"by projection":              {template: plainTemplate(takesByProjection), want: "container shop"},
		"by an init container":       {template: plainTemplate(takesInInit), want: "container wait"},
		"exempt":                     {template: plainTemplate(takesByEnv, takesByVolume, account("postgres"))},
		"not exempt":                 {template: plainTemplate(takesByEnv, account("postgre")), want: "list service account postgre in spec.readers.exemptServiceAccounts"},
		"another Secret":             {template: plainTemplate(takesByEnv, secretNamed("shop-app-2"))},
		"stamp without fixed label":  {template: stampedTemplate("7", takesByEnv, noLabel(v1alpha1.StampedLabel)), want: "container shop"},
		"stamped":                    {template: stampedTemplate("7", takesByEnv, takesByVolume)},
		"a Secret to pull images by": {template: plainTemplate(pullSecret)},
	}
	for name, tt := range tests {
		for _, kind := range append([]string{"Pod"}, templateKinds...) {
			t.Run(name+"/"+kind, func(t *testing.T) {
				obj, word := client.Object(podFrom(ns, "new", tt.template)), "pod"
				if kind != "Pod" {
					obj, word = workload(kind, ns, "new", tt.template), "template"
				}
				err := admin.Create(t.Context(), obj, client.DryRunAll)
				check(t, err, tt.want)
				if tt.want != "" {
					check(t, err, "of this "+word+" uses one of the Secrets billing-app,shop-app, whose schema was contracted")
				}
			})
		}
	}
}

func mountNothing(t *corev1.PodTemplateSpec) { t.Spec.Containers[0].VolumeMounts = nil }

func pullSecret(t *corev1.PodTemplateSpec) {
	t.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "shop-app"}}
}

func secretNamed(name string) change {
	return func(t *corev1.PodTemplateSpec) {
		env := secretEnv.DeepCopy()
		env.ValueFrom.SecretKeyRef.Name = name
		t.Spec.Containers[0].Env = []corev1.EnvVar{*env}
	}
}

func TestDefaultServiceAccountCanBeExempt(t *testing.T) {
	ns := newNamespace(t, nil)
	publish(t, ns, v1alpha1.ParamsName, with(params("shop", 7, 5),
		v1alpha1.ParamsFencedSecrets, "shop-app", v1alpha1.ParamsExempt, "default"))
	admin, _ := as(t, "")
	check(t, admin.Create(t.Context(), workload("Deployment", ns, "d", plainTemplate(takesByEnv)), client.DryRunAll), "")
	check(t, admin.Create(t.Context(), workload("Deployment", ns, "d", plainTemplate(takesByEnv, account("x"))), client.DryRunAll),
		"interlock: unstamped: container shop")
}

func TestUnstampedWorkloadsFromBeforeTheFence(t *testing.T) {
	ns := newNamespace(t, nil)
	publish(t, ns, v1alpha1.ParamsName, params("shop", 7, 0))
	admin, _ := as(t, "")
	d := workload("Deployment", ns, "d", plainTemplate(takesByEnv))
	pod := podFrom(ns, "old", plainTemplate(takesByEnv))
	check(t, admin.Create(t.Context(), d), "")
	check(t, admin.Create(t.Context(), pod), "")
	publish(t, ns, v1alpha1.ParamsName, with(params("shop", 7, 5), v1alpha1.ParamsFencedSecrets, "shop-app"))

	d.SetAnnotations(map[string]string{"a": "b"})
	check(t, admin.Update(t.Context(), d, client.DryRunAll), "")
	setTemplate(d, plainTemplate(takesByEnv, label("rev", "2")))
	check(t, admin.Update(t.Context(), d, client.DryRunAll), "interlock: unstamped: container shop of this template")
	setTemplate(d, plainTemplate(label("rev", "2")))
	check(t, admin.Update(t.Context(), d, client.DryRunAll), "")
	pod.Finalizers = []string{"example.com/x"}
	check(t, admin.Update(t.Context(), pod, client.DryRunAll), "")
	check(t, admin.Delete(t.Context(), pod, client.DryRunAll), "")
}

func TestEphemeralContainers(t *testing.T) {
	ns := newNamespace(t, nil)
	publish(t, ns, v1alpha1.ParamsName, params("shop", 7, 0))
	admin, _ := as(t, "")
	pods := map[string]*corev1.Pod{
		"plain":   podFrom(ns, "plain", plainTemplate(takesByVolume)),
		"stamped": podFrom(ns, "stamped", stampedTemplate("7", takesByVolume)),
		"exempt":  podFrom(ns, "exempt", plainTemplate(takesByVolume, account("postgres"))),
	}
	for _, pod := range pods {
		check(t, admin.Create(t.Context(), pod), "")
	}
	publish(t, ns, v1alpha1.ParamsName, with(params("shop", 7, 5),
		v1alpha1.ParamsFencedSecrets, "shop-app", v1alpha1.ParamsExempt, "postgres"))
	debugger := func(tmpl corev1.PodTemplateSpec) corev1.EphemeralContainer {
		c := tmpl.Spec.Containers[0]
		return corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
			Name: "debugger", Image: c.Image, Env: c.Env, VolumeMounts: c.VolumeMounts}}
	}
	const refused = "interlock: unstamped: container debugger of this ephemeral container uses"
	tests := map[string]struct {
		pod       string
		container corev1.EphemeralContainer
		want      string
	}{
		"without the Secret":          {pod: "plain", container: debugger(plainTemplate())},
		"stamped, without the Secret": {pod: "stamped", container: debugger(plainTemplate())},
		"by env":                      {pod: "plain", container: debugger(plainTemplate(takesByEnv)), want: refused},
		"stamped, by env":             {pod: "stamped", container: debugger(plainTemplate(takesByEnv)), want: refused},
		"by the pod's volume":         {pod: "plain", container: debugger(plainTemplate(takesByVolume)), want: refused},
		"exempt":                      {pod: "exempt", container: debugger(plainTemplate(takesByEnv))},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			pod := pods[tt.pod].DeepCopy()
			pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{tt.container}
			check(t, admin.SubResource("ephemeralcontainers").Update(t.Context(), pod, client.DryRunAll), tt.want)
		})
	}
}

// The API server bounds what an expression may cost; a large pod has to stay far below that.
func TestLargeSpecsFitTheBudget(t *testing.T) {
	ns := newNamespace(t, nil)
	fenced := "shop-app"
	for i := range 31 {
		fenced += fmt.Sprintf(",a-secret-with-a-long-name-%d", i)
	}
	publish(t, ns, v1alpha1.ParamsName, with(params("shop", 7, 5), v1alpha1.ParamsFencedSecrets, fenced))
	admin, _ := as(t, "")
	large := func(t *corev1.PodTemplateSpec) {
		for i := range 12 {
			c := corev1.Container{Name: fmt.Sprintf("c%d", i), Image: "reg.test/c:1"}
			for j := range 100 {
				env := secretEnv.DeepCopy()
				env.Name, env.ValueFrom.SecretKeyRef.Name = fmt.Sprintf("E%d", j), "not-a-fenced-secret"
				c.Env = append(c.Env, *env)
			}
			t.Spec.Containers = append(t.Spec.Containers, c)
		}
	}
	for name, obj := range map[string]client.Object{
		"unstamped pod":        podFrom(ns, "p", plainTemplate(large)),
		"stamped pod":          podFrom(ns, "p", stampedTemplate("7", large)),
		"unstamped Deployment": workload("Deployment", ns, "d", plainTemplate(large)),
		"stamped Deployment":   workload("Deployment", ns, "d", stampedTemplate("7", large)),
	} {
		t.Run(name, func(t *testing.T) {
			check(t, admin.Create(t.Context(), obj, client.DryRunAll), "")
		})
	}
}

// A stamp speaks for the images that it lists: a stamped pod with another container that takes a fenced Secret is
// refused, whoever makes the pod.
func TestStampedPodWithAnotherReader(t *testing.T) {
	ns := newNamespace(t, nil)
	publish(t, ns, v1alpha1.ParamsName, with(params("shop", 7, 5), v1alpha1.ParamsFencedSecrets, "shop-app"))
	admin, _ := as(t, "")
	both := v1alpha1.FormatStampImages(map[string]string{"shop": "reg.test/shop:7", "sidecar": "reg.test/shop:1"})
	const refused = "interlock: image: container sidecar takes a Secret of a database with a contracted schema"
	tests := map[string]struct {
		template corev1.PodTemplateSpec
		want     string
	}{
		"by env":                    {stampedTemplate("7", sidecar(takesByEnv)), refused},
		"by a volume":               {stampedTemplate("7", sidecar(takesByVolume)), refused},
		"the stamp speaks for both": {stampedTemplate("7", sidecar(takesByEnv), images(both)), ""},
		"a sidecar without it":      {stampedTemplate("7", sidecar()), ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			check(t, admin.Create(t.Context(), podFrom(ns, "pod", tt.template), client.DryRunAll), tt.want)
		})
	}
}
