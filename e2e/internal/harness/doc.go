// Package harness sets up what the demo and the scenarios share: the local cluster with the operator on it, and
// in a namespace of its own the example shop with its database and repository, guarded by Interlock or rolled out
// the usual way.
// What is shown belongs into demo, what must hold into scenarios, and what brings machines up into cluster.
package harness
