// Package run applies migrations to a database: one runner per series, every step exactly once whatever is killed
// when, locks asked for in short tries, backfills in small batches.
// What may run when is decided by plan; the Kubernetes side of it belongs to the reconcilers.
package run
