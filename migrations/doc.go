// Package migrations is the root of the engines: schema (changes of a database's shape) and live (moves).
// The engines are libraries: they know databases, files and processes.
// Kubernetes does not belong here; reconcilers is its side of each engine.
package migrations
