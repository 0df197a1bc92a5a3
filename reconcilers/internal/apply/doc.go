// Package apply brings objects into the cluster in stages, remembers them in an inventory, tells whether they are
// healthy, and deletes what left. It acts as whoever the client impersonates.
// What is applied, and when, is decided by the caller.
package apply
