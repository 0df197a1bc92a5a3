// Package node is what runs as a node of the local cluster: it builds the node's
// view of the machine (cgroups, mounts, network namespace) and is its process 1.
//
// It runs inside `cluster node`, never in a test; what a node is made of is
// decided by package cluster and arrives here as a Config.
package node
