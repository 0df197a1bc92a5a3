package readers

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// List reads the pods and templates of a namespace. The reader must not be a cache: a list without a
// resource version is a consistent read (Kubernetes, "Semantics for get and list"). Whoever could not be
// listed makes it fail, because what is unknown counts as a reader.
func List(ctx context.Context, live client.Reader, namespace string) ([]corev1.Pod, []Template, error) {
	templates, err := listTemplates(ctx, live, namespace)
	if err != nil {
		return nil, nil, err
	}
	pods := &corev1.PodList{}
	if err := live.List(ctx, pods, client.InNamespace(namespace)); err != nil {
		return nil, nil, fmt.Errorf("pods of namespace %q can not be listed: %w", namespace, err)
	}
	return pods.Items, templates, nil
}

func listTemplates(ctx context.Context, live client.Reader, namespace string) ([]Template, error) {
	var out []Template
	for _, list := range []client.ObjectList{
		&appsv1.DeploymentList{}, &appsv1.ReplicaSetList{}, &appsv1.StatefulSetList{}, &appsv1.DaemonSetList{},
		&batchv1.JobList{}, &batchv1.CronJobList{}, &corev1.ReplicationControllerList{},
	} {
		if err := live.List(ctx, list, client.InNamespace(namespace)); err != nil {
			return nil, fmt.Errorf("%T of namespace %q can not be listed: %w", list, namespace, err)
		}
		out = append(out, templatesOf(list)...)
	}
	return out, nil
}

// templatesOf turns a list of workloads into templates.
func templatesOf(list client.ObjectList) []Template {
	var out []Template
	add := func(kind, name string, pods corev1.PodTemplateSpec, active bool) {
		out = append(out, Template{Kind: kind, Name: name, Pods: pods, Active: active})
	}
	switch l := list.(type) {
	case *appsv1.DeploymentList:
		for _, w := range l.Items {
			add("Deployment", w.Name, w.Spec.Template, replicas(w.Spec.Replicas))
		}
	case *appsv1.ReplicaSetList:
		for _, w := range l.Items {
			add("ReplicaSet", w.Name, w.Spec.Template, replicas(w.Spec.Replicas))
		}
	case *appsv1.StatefulSetList:
		for _, w := range l.Items {
			add("StatefulSet", w.Name, w.Spec.Template, replicas(w.Spec.Replicas))
		}
	case *appsv1.DaemonSetList:
		for _, w := range l.Items {
			add("DaemonSet", w.Name, w.Spec.Template, true)
		}
	case *batchv1.JobList:
		for _, w := range l.Items {
			add("Job", w.Name, w.Spec.Template, w.Status.CompletionTime == nil && !jobFailed(w))
		}
	case *batchv1.CronJobList:
		for _, w := range l.Items {
			add("CronJob", w.Name, w.Spec.JobTemplate.Spec.Template, w.Spec.Suspend == nil || !*w.Spec.Suspend)
		}
	case *corev1.ReplicationControllerList:
		for _, w := range l.Items {
			if w.Spec.Template != nil {
				add("ReplicationController", w.Name, *w.Spec.Template, replicas(w.Spec.Replicas))
			}
		}
	}
	return out
}

// replicas: nil means one, the default of the API.
func replicas(n *int32) bool { return n == nil || *n > 0 }

func jobFailed(j batchv1.Job) bool {
	for _, c := range j.Status.Conditions {
		if c.Type == batchv1.JobFailed && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}
