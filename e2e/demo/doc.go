// Command demo is `make demo`: it rolls one breaking change of the example shop out twice on a real cluster, under
// load, once guarded by Interlock and once the usual way, and shows both side by side.
// The order of events and what people see belong here; how a shop or a cluster is set up belongs into
// internal/harness.
package main
