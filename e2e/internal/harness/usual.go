package harness

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// usualCertificate is what somebody writes by hand where nobody provides certificates.
const usualCertificate = `apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: shop-tls, namespace: %s}
spec:
  secretName: shop-tls
  dnsNames: [%s]
  issuerRef: {kind: Issuer, name: shop-ca}
`

// RollOutUsual rolls a commit out as a Job before the roll-out does it, and Helm and Argo CD hooks do: all
// migrations first, then the new manifests. It returns when both are done; say gets what it does.
func (s *Shop) RollOutUsual(ctx context.Context, commit int, say func(string)) error {
	say("a Job runs all migrations")
	if err := s.migrateUsual(ctx, commit); err != nil {
		return err
	}
	tree, err := s.Tree(commit)
	if err != nil {
		return err
	}
	objects, err := tree.render("deploy", s.Namespace)
	if err != nil {
		return err
	}
	say("the new version is rolled out")
	if err := s.Cluster.Apply(ctx, fmt.Appendf(nil, usualCertificate, s.Namespace, s.Host)); err != nil {
		return err
	}
	if err := s.Cluster.Apply(ctx, objects); err != nil {
		return err
	}
	return s.WaitRolledOut(ctx, 3*time.Minute)
}

// WaitRolledOut waits as `kubectl rollout status` does, and until no pod of the old template is left.
func (s *Shop) WaitRolledOut(ctx context.Context, limit time.Duration) error {
	return Wait(ctx, limit, "roll-out of the shop in "+s.Namespace, func(ctx context.Context) (bool, string, error) {
		d, err := s.Kube.AppsV1().Deployments(s.Namespace).Get(ctx, "shop", metav1.GetOptions{})
		if err != nil {
			return false, "", err
		}
		pods, err := s.Kube.CoreV1().Pods(s.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=shop"})
		if err != nil {
			return false, "", err
		}
		seen := fmt.Sprintf("%d of %d pods updated, %d available, %d pods there", d.Status.UpdatedReplicas, *d.Spec.Replicas,
			d.Status.AvailableReplicas, len(pods.Items))
		return rolledOut(d) && len(pods.Items) == int(*d.Spec.Replicas), seen, nil
	})
}

func rolledOut(d *appsv1.Deployment) bool {
	want := ptr.Deref(d.Spec.Replicas, 1)
	return d.Status.ObservedGeneration >= d.Generation && d.Status.UpdatedReplicas == want &&
		d.Status.Replicas == want && d.Status.AvailableReplicas == want
}

// migrateUsual runs the Job and waits for it.
func (s *Shop) migrateUsual(ctx context.Context, commit int) error {
	tree, err := s.Tree(commit)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("shop-migrate-%d", commit)
	files := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: name}, Data: tree.Under("db")}
	if err := s.Client.Create(ctx, files); err != nil {
		return err
	}
	job := migrateJob(s.Namespace, name, s.Cluster.ImageRef("shop-migrate", "1"))
	if err := s.Client.Create(ctx, job); err != nil {
		return err
	}
	return Wait(ctx, 5*time.Minute, "job "+name, func(ctx context.Context) (bool, string, error) {
		job, err := s.Kube.BatchV1().Jobs(s.Namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, "", err
		}
		return job.Status.Succeeded > 0, fmt.Sprintf("%d active, %d failed", job.Status.Active, job.Status.Failed), nil
	})
}

func migrateJob(namespace, name, image string) *batchv1.Job {
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: batchv1.JobSpec{
			BackoffLimit: ptr.To[int32](3),
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
				RestartPolicy: corev1.RestartPolicyNever,
				Containers: []corev1.Container{{
					Name: "migrate", Image: image, Args: []string{"--dir=/migrations"},
					Env: []corev1.EnvVar{{Name: "DATABASE_URL", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
						LocalObjectReference: corev1.LocalObjectReference{Name: "shop-db"}, Key: "uri"}}}},
					VolumeMounts: []corev1.VolumeMount{{Name: "files", MountPath: "/migrations", ReadOnly: true}},
				}},
				Volumes: []corev1.Volume{{Name: "files", VolumeSource: corev1.VolumeSource{
					ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: name}}}}},
			}},
		},
	}
}
