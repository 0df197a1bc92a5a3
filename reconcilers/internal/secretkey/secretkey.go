// Package secretkey reads one key of a Secret that an object refers to.
// Only the reading and its errors belong here; what the value means does not.
package secretkey

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
)

// Read returns the value of a Secret's key, without white space around it. Its errors name the Secret and
// the key, never a value.
func Read(ctx context.Context, live client.Reader, namespace string, ref v1alpha1.SecretKeyReference) (string, error) {
	secret := &corev1.Secret{}
	err := live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ref.Name}, secret)
	switch {
	case apierrors.IsNotFound(err):
		return "", fmt.Errorf("there is no Secret %q in namespace %q; create it with the key %q", ref.Name, namespace, ref.Key)
	case err != nil:
		return "", fmt.Errorf("Secret %q in namespace %q can not be read: %w", ref.Name, namespace, err)
	}
	value := strings.TrimSpace(string(secret.Data[ref.Key]))
	if value == "" {
		return "", fmt.Errorf("Secret %q in namespace %q has no key %q", ref.Name, namespace, ref.Key)
	}
	return value, nil
}
