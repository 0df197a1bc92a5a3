// Package plan decides which step of a series runs next, which one waits, and what is refused.
// It is a pure function of the source, the journal and the fence.
// Reading any of these, and running the step, does not belong here.
package plan
