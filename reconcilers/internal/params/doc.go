// Package params publishes what the admission policies read: the params object of a namespace.
// The journal in the database is the truth; the object is a mirror, and only this package writes it.
// Whether a fence may stand is not decided here.
package params
