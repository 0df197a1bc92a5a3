// Package serve is what a local cluster needs beside Kubernetes, in one process on
// the host: an image registry, a Git server and a provisioner of volumes.
//
// It runs inside `cluster serve`, which package cluster starts and ends.
package serve
