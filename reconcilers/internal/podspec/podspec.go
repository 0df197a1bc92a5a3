// Package podspec reads pod specs: which containers take which Secrets.
// Only what several reconcilers ask of a pod spec belongs here.
// Stamps and readers are decided elsewhere.
package podspec

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// ReaderContainers returns the names and images of the containers, init and ephemeral ones too, that take
// one of the Secrets: by env, envFrom, or a volume that they mount. A Secret that a pod only names to pull
// images does not count.
func ReaderContainers(spec corev1.PodSpec, secrets []string) map[string]string {
	volumes := secretVolumes(spec, secrets)
	out := map[string]string{}
	for _, c := range allContainers(spec) {
		if takes(c, secrets, volumes) {
			out[c.Name] = c.Image
		}
	}
	return out
}

// Images returns the images of all containers by name, init containers too.
func Images(spec corev1.PodSpec) map[string]string {
	out := map[string]string{}
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		out[c.Name] = c.Image
	}
	return out
}

func allContainers(spec corev1.PodSpec) []corev1.Container {
	all := slices.Concat(spec.InitContainers, spec.Containers)
	for _, e := range spec.EphemeralContainers {
		all = append(all, corev1.Container(e.EphemeralContainerCommon))
	}
	return all
}

// secretVolumes returns the names of the volumes that carry one of the Secrets.
func secretVolumes(spec corev1.PodSpec, secrets []string) []string {
	var names []string
	for _, v := range spec.Volumes {
		if v.Secret != nil && slices.Contains(secrets, v.Secret.SecretName) {
			names = append(names, v.Name)
		}
		if v.Projected == nil {
			continue
		}
		for _, s := range v.Projected.Sources {
			if s.Secret != nil && slices.Contains(secrets, s.Secret.Name) {
				names = append(names, v.Name)
			}
		}
	}
	return names
}

func takes(c corev1.Container, secrets, volumes []string) bool {
	for _, e := range c.EnvFrom {
		if e.SecretRef != nil && slices.Contains(secrets, e.SecretRef.Name) {
			return true
		}
	}
	for _, e := range c.Env {
		if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil && slices.Contains(secrets, e.ValueFrom.SecretKeyRef.Name) {
			return true
		}
	}
	return slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return slices.Contains(volumes, m.Name) })
}
