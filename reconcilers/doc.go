// Package reconcilers is the Kubernetes side of the engines: one folder per kind.
// A reconciler reads everything into a scope, decides with pure functions, acts, and computes status once.
// What knows no Kubernetes belongs in migrations; flags and wiring belong in operator.
package reconcilers
