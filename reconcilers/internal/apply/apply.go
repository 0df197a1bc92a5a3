package apply

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/fluxcd/pkg/ssa"
	ssaerrors "github.com/fluxcd/pkg/ssa/errors"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/reconcilers/internal/render"
)

// PruneAnnotation with the value PruneDisabled on an object keeps it when it leaves the bundle.
const (
	PruneAnnotation = "interlock.dev/prune"
	PruneDisabled   = "disabled"
)

// Reason is why the cluster did not take an object; it becomes the reason of a condition.
type Reason string

const (
	// Forbidden: the identity may not do this.
	Forbidden Reason = "Forbidden"
	// KindUnknown: the cluster does not know the kind.
	KindUnknown Reason = "KindUnknown"
	// ApplyFailed: the API server, or an admission policy, refuses the object.
	ApplyFailed Reason = "ApplyFailed"
)

// Error says which object the cluster did not take, and why.
type Error struct {
	Reason  Reason
	Message string
	cause   error
}

func (e *Error) Error() string { return e.Message }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// Applier applies and deletes objects as one identity.
type Applier struct {
	manager *ssa.ResourceManager
	client  client.Client
	as      Identity
	bundle  string
}

// New makes an applier for the objects of a bundle.
func New(c client.Client, as Identity, bundle string) *Applier {
	m := ssa.NewResourceManager(c, nil, ssa.Owner{Field: v1alpha1.FieldOwner, Group: v1alpha1.GroupVersion.Group})
	m.SetConcurrency(4)
	return &Applier{manager: m, client: c, as: as, bundle: bundle}
}

// Client is the client that the applier acts with.
func (a *Applier) Client() client.Client { return a.client }

// Apply applies the objects of one stage. An object that is already as it should be is not written. Errors are *Error.
func (a *Applier) Apply(ctx context.Context, objects []*unstructured.Unstructured) (Counts, error) {
	if len(objects) == 0 {
		return Counts{}, nil
	}
	copies := make([]*unstructured.Unstructured, 0, len(objects))
	for _, u := range objects {
		copies = append(copies, u.DeepCopy())
	}
	changes, err := a.manager.ApplyAll(ctx, copies, ssa.DefaultApplyOptions())
	if err != nil {
		return Counts{}, a.explain(err)
	}
	counts := Counts{}
	for _, c := range changes.Entries {
		switch c.Action {
		case ssa.CreatedAction:
			counts.Created++
		case ssa.ConfiguredAction:
			counts.Changed++
		case ssa.UnchangedAction, ssa.SkippedAction, ssa.DeletedAction, ssa.UnknownAction:
			counts.Unchanged++
		}
	}
	return counts, nil
}

// explain turns an error of the API server into one with a reason. What it says of a Secret may hold its content, so
// that is left out.
func (a *Applier) explain(err error) error {
	text := strings.Join(strings.Fields(err.Error()), " ")
	var dry *ssaerrors.DryRunErr
	if errors.As(err, &dry) && dry.InvolvedObject() != nil && dry.InvolvedObject().GetKind() == "Secret" && !apierrors.IsForbidden(err) {
		text = fmt.Sprintf("%s is refused (%s); the details are left out because it is a Secret", render.Describe(dry.InvolvedObject()), apierrors.ReasonForError(err))
	}
	switch {
	case meta.IsNoMatchError(err):
		return &Error{Reason: KindUnknown, Message: text + "; install its CustomResourceDefinition first", cause: err}
	case apierrors.IsForbidden(err) && strings.Contains(text, "cannot ") && a.as.User() != "":
		return &Error{Reason: Forbidden, cause: err,
			Message: fmt.Sprintf("%s; give ServiceAccount %q in namespace %q the right to, or name another in spec.serviceAccountName", text, a.as.ServiceAccount, a.as.Namespace)}
	case apierrors.IsForbidden(err) && strings.Contains(text, "cannot "):
		return &Error{Reason: Forbidden, cause: err,
			Message: text + "; the operator may not do this: name a service account that may in spec.serviceAccountName"}
	}
	return &Error{Reason: ApplyFailed, Message: text, cause: err}
}

// Delete deletes the objects of an inventory that still belong to the bundle, those first that were applied last. It
// returns the entries that could not be deleted, with the first reason why.
func (a *Applier) Delete(ctx context.Context, entries []v1alpha1.InventoryEntry) (deleted int, survivors []v1alpha1.InventoryEntry, err error) {
	options := ssa.DefaultDeleteOptions()
	options.Inclusions = map[string]string{v1alpha1.BundleLabel: render.LabelValue(a.bundle)}
	options.Exclusions = map[string]string{PruneAnnotation: PruneDisabled}
	for _, e := range inReverse(entries) {
		u := stub(e)
		if u == nil {
			continue
		}
		change, deleteErr := a.manager.Delete(ctx, u, options)
		switch {
		case deleteErr == nil && change.Action == ssa.DeletedAction:
			deleted++
		case deleteErr == nil, meta.IsNoMatchError(deleteErr), apierrors.IsNotFound(deleteErr):
			// It is kept on purpose, it belongs to somebody else now, or its kind is gone and it with it.
		default:
			survivors = append(survivors, e)
			if err == nil {
				err = a.explain(deleteErr)
			}
		}
	}
	return deleted, sorted(survivors), err
}

// inReverse orders entries for deletion: Ingresses, workloads, the rest, definitions.
func inReverse(entries []v1alpha1.InventoryEntry) []v1alpha1.InventoryEntry {
	byStage := map[Stage][]v1alpha1.InventoryEntry{}
	for _, e := range entries {
		if u := stub(e); u != nil {
			byStage[StageOf(u)] = append(byStage[StageOf(u)], e)
		}
	}
	var out []v1alpha1.InventoryEntry
	for s := StageIngress; s >= StageDefinitions; s-- {
		out = append(out, byStage[s]...)
	}
	return out
}
