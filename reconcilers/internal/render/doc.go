// Package render turns a folder of a tree into Kubernetes objects: plain YAML, or Kustomize where there is a
// kustomization. It is a function of the tree alone: no network, no disk, no cluster.
// Whether an object may be applied is decided by Refine; applying it does not belong here.
package render
