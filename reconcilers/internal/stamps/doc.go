// Package stamps decides which version of a series a pod template is stamped with: declared in Git, derived from the
// history, or kept because only a label would change. Deciding is a pure function; Oldest walks a history, Journal
// remembers images in the database.
// Whether a stamp may start is decided elsewhere: by the roll-out's order and by the admission policies.
package stamps
