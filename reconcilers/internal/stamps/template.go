package stamps

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// Key names a workload within a namespace.
type Key struct{ Kind, Name string }

func (k Key) String() string { return k.Kind + " " + k.Name }

// Template is the pod template of a workload.
type Template struct {
	Key
	// Labels and Annotations of the template.
	Labels, Annotations map[string]string
	// Spec of its pods.
	Spec corev1.PodSpec
}

// pathOf is where a kind keeps its pod template; nil for kinds without one.
func pathOf(u *unstructured.Unstructured) []string {
	switch u.GroupVersionKind().Group + "/" + u.GetKind() {
	case "apps/Deployment", "apps/StatefulSet", "apps/DaemonSet", "apps/ReplicaSet", "batch/Job", "/ReplicationController":
		return []string{"spec", "template"}
	case "batch/CronJob":
		return []string{"spec", "jobTemplate", "spec", "template"}
	case "/Pod":
		return []string{}
	}
	return nil
}

// IsWorkload says whether an object is, or makes, pods.
func IsWorkload(u *unstructured.Unstructured) bool { return pathOf(u) != nil }

// TemplateOf reads the pod template of a workload; nil if the object is none. An error means that the template is not
// what Kubernetes takes.
func TemplateOf(u *unstructured.Unstructured) (*Template, error) {
	at := pathOf(u)
	if at == nil {
		return nil, nil
	}
	content, found, err := unstructured.NestedMap(u.Object, at...)
	if len(at) == 0 {
		content, found = u.Object, true
	}
	if err != nil || !found {
		return nil, fmt.Errorf("%s %q has no pod template", u.GetKind(), u.GetName())
	}
	pod := corev1.PodTemplateSpec{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(map[string]any{
		"metadata": content["metadata"], "spec": content["spec"],
	}, &pod); err != nil {
		return nil, fmt.Errorf("%s %q: its pod template can not be read: %w", u.GetKind(), u.GetName(), err)
	}
	return &Template{Key: Key{u.GetKind(), u.GetName()}, Labels: pod.Labels, Annotations: pod.Annotations, Spec: pod.Spec}, nil
}

// write sets, or with nil removes, labels and annotations of a workload's pod template.
func write(u *unstructured.Unstructured, labels, annotations map[string]*string) error {
	at := pathOf(u)
	for field, values := range map[string]map[string]*string{"labels": labels, "annotations": annotations} {
		if len(values) == 0 {
			continue
		}
		path := append(append([]string{}, at...), "metadata", field)
		current, _, err := unstructured.NestedStringMap(u.Object, path...)
		if err != nil {
			return err
		}
		if current == nil {
			current = map[string]string{}
		}
		for k, v := range values {
			if v == nil {
				delete(current, k)
			} else {
				current[k] = *v
			}
		}
		if len(current) == 0 {
			unstructured.RemoveNestedField(u.Object, path...)
			continue
		}
		if err := unstructured.SetNestedStringMap(u.Object, current, path...); err != nil {
			return err
		}
	}
	return nil
}
