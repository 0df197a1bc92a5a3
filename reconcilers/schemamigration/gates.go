package schemamigration

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/reconcilers/internal/params"
)

// mayStart says whether every stamp of a pod is at or below what its series is ready for. A series that is
// not known, or a stamp that is no number, holds the pod.
func mayStart(labels, data map[string]string) bool {
	for key, value := range labels {
		series, ok := strings.CutPrefix(key, v1alpha1.StampLabelPrefix)
		if !ok {
			continue
		}
		stamp, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return false
		}
		ready, err := strconv.ParseInt(data[series+v1alpha1.ParamsReadySuffix], 10, 64)
		if err != nil || stamp > ready {
			return false
		}
	}
	return true
}

// gated returns the position of the schema gate in a pod's list, or -1.
func gated(p *corev1.Pod) int {
	return slices.IndexFunc(p.Spec.SchedulingGates, func(g corev1.PodSchedulingGate) bool { return g.Name == v1alpha1.SchemaGate })
}

// openGates takes the schema gate off every pod of the series that may start by now, and returns how many
// pods of the series still wait. The pods come from the cache, what they may from a live read.
func (r *Reconciler) openGates(ctx context.Context, namespace, series string) (waiting int, err error) {
	pods := &corev1.PodList{}
	if err := r.Client.List(ctx, pods, client.InNamespace(namespace), client.HasLabels{v1alpha1.StampLabel(series)}); err != nil {
		return 0, err
	}
	held := slices.DeleteFunc(pods.Items, func(p corev1.Pod) bool { return gated(&p) < 0 || p.DeletionTimestamp != nil })
	if len(held) == 0 {
		return 0, nil
	}
	data, err := params.Read(ctx, r.Live, namespace)
	if err != nil {
		return 0, err
	}
	for i := range held {
		if !mayStart(held[i].Labels, data) {
			waiting++
			continue
		}
		if err := r.openGate(ctx, &held[i]); err != nil {
			return waiting, err
		}
	}
	return waiting, nil
}

// openGate removes the gate by position, and only if it still is at that position.
func (r *Reconciler) openGate(ctx context.Context, p *corev1.Pod) error {
	path := fmt.Sprintf("/spec/schedulingGates/%d", gated(p))
	patch, err := json.Marshal([]map[string]any{
		{"op": "test", "path": path + "/name", "value": v1alpha1.SchemaGate},
		{"op": "remove", "path": path},
	})
	if err != nil {
		return err
	}
	err = r.Client.Patch(ctx, p, client.RawPatch(types.JSONPatchType, patch))
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) || apierrors.IsInvalid(err) {
		return nil // gone, or its gates changed meanwhile (a failed test is Invalid, a policy's refusal Forbidden): the watch brings it back
	}
	return err
}
