// Package scenarios holds the end-to-end tests: what Interlock promises, tried on a real cluster under load, with
// kills, bad input and roll-backs.
// Each scenario has a namespace, a database and a repository of its own. How these are set up belongs into
// internal/harness; what can be tried without a cluster belongs beside the code.
package scenarios
