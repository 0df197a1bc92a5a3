package podspec

import (
	"maps"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestReaderContainers(t *testing.T) {
	ref := corev1.LocalObjectReference{Name: "shop-app"}
	fromEnv := corev1.Container{Name: "env", Image: "a:1", Env: []corev1.EnvVar{{Name: "X",
		ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: ref}}}}}
	fromEnvFrom := corev1.Container{Name: "envfrom", Image: "b:1", EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: ref}}}}
	mounts := corev1.Container{Name: "mounts", Image: "c:1", VolumeMounts: []corev1.VolumeMount{{Name: "v"}}}
	plain := corev1.Container{Name: "plain", Image: "d:1", Env: []corev1.EnvVar{{Name: "X", Value: "shop-app"}}}
	secretVolume := corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "shop-app"}}}
	projected := corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		Sources: []corev1.VolumeProjection{{Secret: &corev1.SecretProjection{LocalObjectReference: ref}}}}}}
	tests := map[string]struct {
		spec corev1.PodSpec
		want map[string]string
	}{
		"env":                       {corev1.PodSpec{Containers: []corev1.Container{fromEnv, plain}}, map[string]string{"env": "a:1"}},
		"envFrom, in init":          {corev1.PodSpec{InitContainers: []corev1.Container{fromEnvFrom}}, map[string]string{"envfrom": "b:1"}},
		"secret volume":             {corev1.PodSpec{Containers: []corev1.Container{mounts}, Volumes: []corev1.Volume{secretVolume}}, map[string]string{"mounts": "c:1"}},
		"projected volume":          {corev1.PodSpec{Containers: []corev1.Container{mounts}, Volumes: []corev1.Volume{projected}}, map[string]string{"mounts": "c:1"}},
		"volume that nobody mounts": {corev1.PodSpec{Containers: []corev1.Container{plain}, Volumes: []corev1.Volume{secretVolume}}, map[string]string{}},
		"ephemeral container": {corev1.PodSpec{EphemeralContainers: []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon(fromEnv)}}},
			map[string]string{"env": "a:1"}},
		"only to pull images": {corev1.PodSpec{Containers: []corev1.Container{plain}, ImagePullSecrets: []corev1.LocalObjectReference{ref}}, map[string]string{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := ReaderContainers(tt.spec, []string{"shop-app"}); !maps.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
