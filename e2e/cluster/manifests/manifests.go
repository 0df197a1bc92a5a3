// Package manifests holds what a local cluster applies to itself.
package manifests

import "embed"

// FS holds one template per addon; its fields are those of package cluster's addon.
//
//go:embed *.yaml
var FS embed.FS
