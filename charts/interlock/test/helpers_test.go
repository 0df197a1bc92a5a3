package test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
)

// harmless is what the operator writes as ready for a series that the other params object judges.
const harmless = "9223372036854775807"

// warnings collects what the API server warns of.
type warnings struct {
	mu   sync.Mutex
	text []string
}

// HandleWarningHeader implements rest.WarningHandler.
func (w *warnings) HandleWarningHeader(_ int, _ string, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, text)
}

// take returns what was collected and forgets it.
func (w *warnings) take() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := strings.Join(w.text, "\n")
	w.text = nil
	return text
}

// clientFor returns a client that acts as that user; "" is an administrator.
func clientFor(user string) (client.Client, *warnings, error) {
	w := &warnings{}
	c := rest.CopyConfig(cfg)
	c.WarningHandler = w
	c.Impersonate.UserName = user
	cl, err := client.New(c, client.Options{Scheme: scheme})
	return cl, w, err
}

func as(t *testing.T, user string) (client.Client, *warnings) {
	t.Helper()
	c, w, err := clientFor(user)
	if err != nil {
		t.Fatal(err)
	}
	return c, w
}

var (
	nsMu    sync.Mutex
	nsCount int
)

// newNamespace makes a namespace for one test.
func newNamespace(t *testing.T, labels map[string]string) string {
	t.Helper()
	nsMu.Lock()
	nsCount++
	name := fmt.Sprintf("test-%d", nsCount)
	nsMu.Unlock()
	admin, _ := as(t, "")
	if err := admin.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}); err != nil {
		t.Fatal(err)
	}
	return name
}

// params returns the data of a params object with one series.
func params(series string, ready, minimum int64) map[string]string {
	return map[string]string{
		series + v1alpha1.ParamsReadySuffix: strconv.FormatInt(ready, 10),
		series + v1alpha1.ParamsMinSuffix:   strconv.FormatInt(minimum, 10),
		series + v1alpha1.ParamsHintSuffix:  "main@sha1:abc",
		v1alpha1.ParamsFencedSecrets:        "",
		v1alpha1.ParamsExempt:               "",
	}
}

func with(data map[string]string, pairs ...string) map[string]string {
	for i := 0; i < len(pairs); i += 2 {
		data[pairs[i]] = pairs[i+1]
	}
	return data
}

var published = map[string]int64{}

// publish writes a params object as the operator does, and proves as the operator does, by a dry run of a
// PodTemplate below a fence, that the API server has taken it in.
func publish(t *testing.T, ns, name string, data map[string]string) {
	t.Helper()
	nsMu.Lock()
	published[ns]++
	round := published[ns]
	nsMu.Unlock()
	data = with(data, "probe.ready", "0", "probe.min", strconv.FormatInt(round, 10))
	operator, w := as(t, operatorUser)
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Data: data}
	if err := client.IgnoreAlreadyExists(operator.Create(t.Context(), cm.DeepCopy())); err != nil {
		t.Fatal(err)
	}
	if err := operator.Update(t.Context(), cm); err != nil {
		t.Fatal(err)
	}
	probe := &corev1.PodTemplate{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "probe", Labels: map[string]string{v1alpha1.StampedLabel: "true"}},
		Template:   stampedTemplate("0", forSeries("probe")),
	}
	err := eventually(t.Context(), func() error {
		err := operator.Create(t.Context(), probe.DeepCopy(), client.DryRunAll)
		want := fmt.Sprintf("interlock: fence: probe: this pod is for schema version 0, but version %d is", round)
		if strings.Contains(w.take(), want) {
			return nil
		}
		return mentions(err, want)
	})
	if err != nil {
		t.Fatalf("params of %s were not taken in: %v", ns, err)
	}
}

type change func(*corev1.PodTemplateSpec)

// stampedTemplate is a template of the shop, stamped with that version of its series and with the image of
// the same version.
func stampedTemplate(version string, changes ...change) corev1.PodTemplateSpec {
	image := "reg.test/shop:" + version
	tmpl := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{
			Labels: map[string]string{
				"app": "shop", v1alpha1.StampedLabel: "true", v1alpha1.StampLabel("shop"): version,
			},
			Annotations: map[string]string{
				v1alpha1.StampImagesAnnotation: v1alpha1.FormatStampImages(map[string]string{"shop": image}),
			},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "shop", Image: image}}},
	}
	for _, c := range changes {
		c(&tmpl)
	}
	return tmpl
}

// plainTemplate is a template without a stamp.
func plainTemplate(changes ...change) corev1.PodTemplateSpec {
	tmpl := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "shop"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "shop", Image: "reg.test/shop:1"}}},
	}
	for _, c := range changes {
		c(&tmpl)
	}
	return tmpl
}

func forSeries(series string) change {
	return func(t *corev1.PodTemplateSpec) {
		version := t.Labels[v1alpha1.StampLabel("shop")]
		delete(t.Labels, v1alpha1.StampLabel("shop"))
		t.Labels[v1alpha1.StampLabel(series)] = version
	}
}

func label(key, value string) change {
	return func(t *corev1.PodTemplateSpec) { t.Labels[key] = value }
}

func noLabel(key string) change {
	return func(t *corev1.PodTemplateSpec) { delete(t.Labels, key) }
}

func images(value string) change {
	return func(t *corev1.PodTemplateSpec) {
		t.Annotations = map[string]string{v1alpha1.StampImagesAnnotation: value}
	}
}

func image(value string) change {
	return func(t *corev1.PodTemplateSpec) { t.Spec.Containers[0].Image = value }
}

func account(name string) change {
	return func(t *corev1.PodTemplateSpec) { t.Spec.ServiceAccountName = name }
}

func sidecar(changes ...change) change {
	return func(t *corev1.PodTemplateSpec) {
		other := plainTemplate(changes...)
		other.Spec.Containers[0].Name = "sidecar"
		t.Spec.Containers = append(t.Spec.Containers, other.Spec.Containers[0])
		t.Spec.Volumes = append(t.Spec.Volumes, other.Spec.Volumes...)
	}
}

var secretEnv = corev1.EnvVar{Name: "DB", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
	LocalObjectReference: corev1.LocalObjectReference{Name: "shop-app"}, Key: "uri"}}}

func takesByEnv(t *corev1.PodTemplateSpec) {
	t.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "A", Value: "b"}, secretEnv}
}

func takesByEnvFrom(t *corev1.PodTemplateSpec) {
	t.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{
		{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "x"}}},
		{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "shop-app"}}},
	}
}

func takesByVolume(t *corev1.PodTemplateSpec) {
	t.Spec.Volumes = []corev1.Volume{
		{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		{Name: "db", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "shop-app"}}},
	}
	t.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "db", MountPath: "/db"}}
}

func takesByProjection(t *corev1.PodTemplateSpec) {
	t.Spec.Volumes = []corev1.Volume{{Name: "db", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		Sources: []corev1.VolumeProjection{
			{DownwardAPI: &corev1.DownwardAPIProjection{}},
			{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "shop-app"}}},
		}}}}}
	t.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "db", MountPath: "/db"}}
}

func takesInInit(t *corev1.PodTemplateSpec) {
	t.Spec.InitContainers = []corev1.Container{{Name: "wait", Image: "reg.test/wait:1", Env: []corev1.EnvVar{secretEnv}}}
}

func podFrom(ns, name string, tmpl corev1.PodTemplateSpec) *corev1.Pod {
	meta := *tmpl.ObjectMeta.DeepCopy()
	meta.Namespace, meta.Name = ns, name
	return &corev1.Pod{ObjectMeta: meta, Spec: *tmpl.Spec.DeepCopy()}
}

func gated(pod *corev1.Pod) bool {
	for _, g := range pod.Spec.SchedulingGates {
		if g.Name == v1alpha1.SchemaGate {
			return true
		}
	}
	return false
}

// workload wraps a template in an object of that kind.
func workload(kind, ns, name string, tmpl corev1.PodTemplateSpec) client.Object {
	meta := metav1.ObjectMeta{Namespace: ns, Name: name}
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "shop"}}
	once := *tmpl.DeepCopy()
	once.Spec.RestartPolicy = corev1.RestartPolicyNever
	switch kind {
	case "Deployment":
		return &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Selector: selector, Template: tmpl}}
	case "StatefulSet":
		return &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Selector: selector, Template: tmpl, ServiceName: "shop"}}
	case "DaemonSet":
		return &appsv1.DaemonSet{ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Selector: selector, Template: tmpl}}
	case "ReplicaSet":
		return &appsv1.ReplicaSet{ObjectMeta: meta, Spec: appsv1.ReplicaSetSpec{Selector: selector, Template: tmpl}}
	case "Job":
		return &batchv1.Job{ObjectMeta: meta, Spec: batchv1.JobSpec{Template: once}}
	case "CronJob":
		return &batchv1.CronJob{ObjectMeta: meta, Spec: batchv1.CronJobSpec{Schedule: "0 0 * * *",
			JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: once}}}}
	case "PodTemplate":
		return &corev1.PodTemplate{ObjectMeta: meta, Template: tmpl}
	}
	panic("no such kind: " + kind)
}

// setTemplate replaces the template of a workload.
func setTemplate(obj client.Object, tmpl corev1.PodTemplateSpec) {
	switch o := obj.(type) {
	case *appsv1.Deployment:
		o.Spec.Template = tmpl
	case *appsv1.StatefulSet:
		o.Spec.Template = tmpl
	case *appsv1.DaemonSet:
		o.Spec.Template = tmpl
	case *appsv1.ReplicaSet:
		o.Spec.Template = tmpl
	case *batchv1.CronJob:
		tmpl.Spec.RestartPolicy = corev1.RestartPolicyNever
		o.Spec.JobTemplate.Spec.Template = tmpl
	case *corev1.PodTemplate:
		o.Template = tmpl
	default:
		panic(fmt.Sprintf("no template in %T", obj))
	}
}

// mentions is nil if err is an error with that text.
func mentions(err error, text string) error {
	if err == nil {
		return fmt.Errorf("it passed, want %q", text)
	}
	if !strings.Contains(err.Error(), text) {
		return fmt.Errorf("got %w, want %q", err, text)
	}
	return nil
}

// check compares the outcome of a write: want "" means that it passes.
func check(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Errorf("refused: %v", err)
		}
		return
	}
	if err := mentions(err, want); err != nil {
		t.Error(err)
	}
}
