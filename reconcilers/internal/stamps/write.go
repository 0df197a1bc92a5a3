package stamps

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Write puts the stamps onto the pod templates of the workloads.
func (r Result) Write(objects []*unstructured.Unstructured) error {
	for _, u := range objects {
		if !IsWorkload(u) {
			continue
		}
		key := Key{u.GetKind(), u.GetName()}
		if err := write(u, r.labels[key], r.annotations[key]); err != nil {
			return fmt.Errorf("%s can not be stamped: %w", key, err)
		}
	}
	return nil
}
