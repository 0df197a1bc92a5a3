// Package v1alpha1 holds the kinds of interlock.dev/v1alpha1, their conditions and reasons.
// Only types, constants and small accessors belong here; the pages in apis/spec explain each kind.
// Behaviour does not belong here: decisions live in migrations and reconcilers.
//
// +kubebuilder:object:generate=true
// +groupName=interlock.dev
package v1alpha1
