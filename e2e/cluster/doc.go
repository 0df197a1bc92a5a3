// Package cluster starts a real Kubernetes with real nodes on one Linux machine:
// what `make demo` and every end-to-end test run on.
//
// Here belongs what brings the machine up, down, and images and Git commits into
// it. What is tested on it belongs in e2e/scenarios; nothing here knows Interlock.
package cluster
