// Package statuswriter writes an object's status in one request, conditions and fields together.
// Only the writing belongs here; what a status says is computed by each reconciler.
// Flux's patch helper writes conditions and fields in two requests, between which a reader sees neither.
package statuswriter

import (
	"context"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
)

// Object is a kind with conditions.
type Object interface {
	client.Object
	GetConditions() []metav1.Condition
	SetConditions([]metav1.Condition)
}

// Writer writes the status of one object during one pass.
type Writer[T Object] struct {
	// Client writes, Live reads past the cache.
	Client client.Client
	Live   client.Reader
	// Status returns what is compared to see whether somebody else wrote it.
	Status func(T) any

	written T
}

// New starts a pass with the object as it was read.
func New[T Object](c client.Client, live client.Reader, read T, status func(T) any) *Writer[T] {
	return &Writer[T]{Client: c, Live: live, Status: status, written: clone(read)}
}

// Write writes the status of an object, and nothing if it did not change. If somebody else wrote the object since,
// it is written all the same where that was not its status (an annotation, say); where it was, as after a pause in
// which another operator took over, it is a conflict and nothing is written.
func (w *Writer[T]) Write(ctx context.Context, obj T) error {
	keepTransitionTimes(obj, w.written.GetConditions())
	if equality.Semantic.DeepEqual(w.Status(w.written), w.Status(obj)) {
		return nil
	}
	err := w.try(ctx, obj)
	if !apierrors.IsConflict(err) {
		return err
	}
	live := clone(obj)
	if err := w.Live.Get(ctx, client.ObjectKeyFromObject(obj), live); err != nil {
		return err
	}
	if live.GetUID() != obj.GetUID() || !equality.Semantic.DeepEqual(w.Status(live), w.Status(w.written)) {
		return err
	}
	w.written.SetResourceVersion(live.GetResourceVersion())
	return w.try(ctx, obj)
}

func (w *Writer[T]) try(ctx context.Context, obj T) error {
	next := clone(obj)
	next.SetResourceVersion(w.written.GetResourceVersion())
	patch := client.MergeFromWithOptions(w.written, client.MergeFromWithOptimisticLock{})
	if err := w.Client.Status().Patch(ctx, next, patch, client.FieldOwner(v1alpha1.FieldOwner)); err != nil {
		return err
	}
	w.written = next
	return nil
}

// keepTransitionTimes lets a condition's time speak of its status alone, as the API conventions have it: another
// message is no transition.
func keepTransitionTimes(obj Object, before []metav1.Condition) {
	now := obj.GetConditions()
	for i := range now {
		for _, b := range before {
			if b.Type == now[i].Type && b.Status == now[i].Status {
				now[i].LastTransitionTime = b.LastTransitionTime
			}
		}
	}
	obj.SetConditions(now)
}

func clone[T Object](o T) T { return o.DeepCopyObject().(T) }
