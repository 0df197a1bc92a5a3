package appbundle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/reconcilers/internal/apply"
	"github.com/interlock-dev/interlock/reconcilers/internal/halt"
	"github.com/interlock-dev/interlock/reconcilers/internal/render"
)

func (s *scope) prunes() bool { return s.obj.Spec.Prune == nil || *s.obj.Spec.Prune }

// prune deletes what left the bundle. What can not be deleted stays in the inventory.
func (r *Reconciler) prune(ctx context.Context, s *scope) error {
	stale := apply.Without(s.obj.Status.Inventory, s.desired)
	deleted := 0
	var survivors []v1alpha1.InventoryEntry
	var err error
	if s.prunes() {
		deleted, survivors, err = s.applier.Delete(ctx, stale)
	}
	s.obj.Status.Inventory = apply.Union(survivors, s.desired)
	if err != nil {
		return halt.Retry(10*time.Second, ReasonPruneFailed, fmt.Errorf("%d objects that left the bundle can not be deleted: %w", len(survivors), err))
	}
	if err := r.pruneOwn(ctx, s); err != nil {
		return err
	}
	message := fmt.Sprintf("%d objects deleted", deleted)
	if !s.prunes() && len(stale) > 0 {
		message = fmt.Sprintf("%d objects that left the bundle stay, because spec.prune is off", len(stale))
	}
	s.finish(PhasePrune, message, r.Clock.Now())
	return nil
}

// pruneOwn deletes what Interlock made for earlier revisions: SchemaMigrations of series that the bundle gave up,
// ConfigMaps that none refers to, Certificates that no Ingress needs.
func (r *Reconciler) pruneOwn(ctx context.Context, s *scope) error {
	keep := map[string]bool{}
	for _, o := range s.owned {
		keep["SchemaMigration/"+o.sm.Name] = true
		keep["ConfigMap/"+o.sm.Spec.ConfigMapRef.Name] = true
	}
	for _, c := range s.certificates {
		keep["Certificate/"+c.secret] = true
	}
	ours := client.MatchingLabels{v1alpha1.BundleLabel: render.LabelValue(s.obj.Name)}
	for _, list := range []struct {
		apiVersion, kind string
		options          []client.ListOption
	}{
		{v1alpha1.GroupVersion.String(), "SchemaMigration", []client.ListOption{ours}},
		{"v1", "ConfigMap", []client.ListOption{ours, client.HasLabels{migrationsLabel}}},
		{certificateKind.GroupVersion().String(), "Certificate", []client.ListOption{ours}},
	} {
		found := &unstructured.UnstructuredList{}
		found.SetAPIVersion(list.apiVersion)
		found.SetKind(list.kind + "List")
		err := s.own.Client().List(ctx, found, append(list.options, client.InNamespace(s.obj.Namespace))...)
		if meta.IsNoMatchError(err) {
			continue
		} else if err != nil {
			return err
		}
		for i := range found.Items {
			u := &found.Items[i]
			if keep[list.kind+"/"+u.GetName()] || !metav1.IsControlledBy(u, s.obj) {
				continue
			}
			if err := s.own.Client().Delete(ctx, u); client.IgnoreNotFound(err) != nil {
				return err
			}
		}
	}
	return nil
}

// suspend starts nothing, and keeps the bundle's SchemaMigrations from starting anything either.
func (r *Reconciler) suspend(ctx context.Context, s *scope) error {
	s.suspended = true
	list := &v1alpha1.SchemaMigrationList{}
	if err := r.Client.List(ctx, list, client.InNamespace(s.obj.Namespace)); err != nil {
		return err
	}
	for i := range list.Items {
		sm := &list.Items[i]
		if !metav1.IsControlledBy(sm, s.obj) || sm.Spec.Suspend {
			continue
		}
		before := sm.DeepCopy()
		sm.Spec.Suspend = true
		if err := r.Client.Patch(ctx, sm, client.MergeFrom(before), client.FieldOwner(v1alpha1.FieldOwner)); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}

// finalize deletes what the bundle applied, and lets it go. In a namespace that goes away everything goes by itself.
// It reports whether the bundle is gone.
func (r *Reconciler) finalize(ctx context.Context, s *scope) (bool, error) {
	if !slices.Contains(s.obj.Finalizers, v1alpha1.Finalizer) {
		return true, nil
	}
	s.enter(PhasePrune, r.Clock.Now())
	leaving, err := r.namespaceLeaves(ctx, s.obj.Namespace)
	if err != nil {
		return false, err
	}
	if s.prunes() && !leaving {
		if err := r.actAs(s); err != nil {
			return false, err
		}
		var survivors []v1alpha1.InventoryEntry
		if _, survivors, err = s.applier.Delete(ctx, s.obj.Status.Inventory); err != nil {
			s.obj.Status.Inventory = survivors
			return false, halt.Retry(10*time.Second, ReasonPruneFailed, fmt.Errorf(
				"the bundle is deleted, and %d of its objects can not be: %w; to leave them, set spec.prune to false", len(survivors), err))
		}
	}
	if err := r.source.Forget(string(s.obj.UID)); err != nil {
		return false, fmt.Errorf("the cached clone can not be removed: %w", err)
	}
	r.memory.forget(s.obj.UID)
	if controllerutil.RemoveFinalizer(s.obj, v1alpha1.Finalizer) {
		if err := r.Client.Update(ctx, s.obj); err != nil && !apierrors.IsNotFound(err) {
			return false, errors.Join(errors.New("the finalizer can not be removed"), err)
		}
	}
	return true, nil
}

func (r *Reconciler) namespaceLeaves(ctx context.Context, name string) (bool, error) {
	ns := &corev1.Namespace{}
	if err := r.Live.Get(ctx, client.ObjectKey{Name: name}, ns); err != nil {
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	}
	return !ns.DeletionTimestamp.IsZero(), nil
}
