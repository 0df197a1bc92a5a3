package apply

import (
	"fmt"

	"github.com/fluxcd/pkg/ssa/utils"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/interlock-dev/interlock/reconcilers/internal/stamps"
)

// Stage is when an object is applied, relative to the others of its bundle.
type Stage int

const (
	// StageDefinitions: namespaces, kinds, classes and cluster roles, which others need to exist.
	StageDefinitions Stage = iota
	// StageConfig: everything that starts nothing and exposes nothing.
	StageConfig
	// StageWorkloads: what is, or makes, pods.
	StageWorkloads
	// StageIngress: what exposes a host.
	StageIngress
)

// StageOf tells when an object is applied.
func StageOf(u *unstructured.Unstructured) Stage {
	switch {
	case utils.IsClusterDefinition(u):
		return StageDefinitions
	case stamps.IsWorkload(u):
		return StageWorkloads
	case IsIngress(u):
		return StageIngress
	}
	return StageConfig
}

// IsIngress says whether an object is an Ingress.
func IsIngress(u *unstructured.Unstructured) bool {
	return u.GetKind() == "Ingress" && u.GroupVersionKind().Group == "networking.k8s.io"
}

// Of returns the objects of a stage.
func (s Stage) Of(objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	for _, u := range objects {
		if StageOf(u) == s {
			out = append(out, u)
		}
	}
	return out
}

// Counts are how many objects an apply created, changed, and left alone.
type Counts struct{ Created, Changed, Unchanged int }

func (c Counts) String() string {
	return fmt.Sprintf("%d created, %d changed, %d unchanged", c.Created, c.Changed, c.Unchanged)
}

// Add adds the counts of another stage.
func (c Counts) Add(o Counts) Counts {
	return Counts{c.Created + o.Created, c.Changed + o.Changed, c.Unchanged + o.Unchanged}
}
