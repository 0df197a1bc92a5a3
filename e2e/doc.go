// Package e2e holds what runs on a real cluster: the cluster itself (cluster, a module of its own), the demo
// (demo), the scenarios that must hold (scenarios), and the load that both use (load).
// What can be tried without a cluster is tested beside the code.
package e2e
