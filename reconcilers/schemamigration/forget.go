package schemamigration

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/reconcilers/internal/params"
	"github.com/interlock-dev/interlock/reconcilers/internal/readers"
)

// forget takes a series out of the params objects, unless its namespace is going away or something stamped
// is left.
func (r *Reconciler) forget(ctx context.Context, obj *v1alpha1.SchemaMigration) error {
	ns := &corev1.Namespace{}
	err := r.Live.Get(ctx, client.ObjectKey{Name: obj.Namespace}, ns)
	if apierrors.IsNotFound(err) || err == nil && !ns.DeletionTimestamp.IsZero() {
		return nil
	} else if err != nil {
		return err
	}
	pods, templates, err := readers.List(ctx, r.Live, obj.Namespace)
	if err != nil {
		return err
	}
	if stampedWith(obj.Spec.Series, pods, templates) {
		r.Recorder.Eventf(obj, corev1.EventTypeNormal, "FenceKept",
			"stamped workloads of series %q are left, so what may start stays as it is; delete them and the ConfigMap entries go with the next SchemaMigration", obj.Spec.Series)
		return nil
	}
	return params.Publisher{Client: r.Client, Live: r.Live}.Forget(ctx, obj.Namespace, obj.Spec.Series)
}

func stampedWith(series string, pods []corev1.Pod, templates []readers.Template) bool {
	label := v1alpha1.StampLabel(series)
	for i := range pods {
		if _, ok := pods[i].Labels[label]; ok {
			return true
		}
	}
	for i := range templates {
		if _, ok := templates[i].Pods.Labels[label]; ok {
			return true
		}
	}
	return false
}
