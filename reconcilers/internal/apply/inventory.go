package apply

import (
	"cmp"
	"maps"
	"slices"

	"github.com/fluxcd/cli-utils/pkg/object"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
)

// Inventory lists the objects, in order of their ids.
func Inventory(objects []*unstructured.Unstructured) []v1alpha1.InventoryEntry {
	entries := make([]v1alpha1.InventoryEntry, 0, len(objects))
	for _, u := range objects {
		entries = append(entries, v1alpha1.InventoryEntry{
			ID: object.UnstructuredToObjMetadata(u).String(), Version: u.GroupVersionKind().Version,
		})
	}
	return sorted(entries)
}

func sorted(entries []v1alpha1.InventoryEntry) []v1alpha1.InventoryEntry {
	slices.SortFunc(entries, func(a, b v1alpha1.InventoryEntry) int { return cmp.Compare(a.ID, b.ID) })
	return entries
}

// Union lists what is in either inventory; where both have an object, the version is that of b.
func Union(a, b []v1alpha1.InventoryEntry) []v1alpha1.InventoryEntry {
	byID := map[string]v1alpha1.InventoryEntry{}
	for _, e := range slices.Concat(a, b) {
		byID[e.ID] = e
	}
	return sorted(slices.Collect(maps.Values(byID)))
}

// Without lists what is in a and not in b, whatever the version.
func Without(a, b []v1alpha1.InventoryEntry) []v1alpha1.InventoryEntry {
	var out []v1alpha1.InventoryEntry
	for _, e := range a {
		if !slices.ContainsFunc(b, func(o v1alpha1.InventoryEntry) bool { return o.ID == e.ID }) {
			out = append(out, e)
		}
	}
	return out
}

// stub is an object that only has a name, to get or delete it. An id that is not one of ours gives nil.
func stub(e v1alpha1.InventoryEntry) *unstructured.Unstructured {
	id, err := object.ParseObjMetadata(e.ID)
	if err != nil {
		return nil
	}
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(schema.GroupVersionKind{Group: id.GroupKind.Group, Version: e.Version, Kind: id.GroupKind.Kind})
	u.SetNamespace(id.Namespace)
	u.SetName(id.Name)
	return u
}
