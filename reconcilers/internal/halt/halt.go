// Package halt says how a pass of a reconciler ended early: for which reason, how loudly, and when to look again.
// Only that belongs here; reasons are declared, and shown in status, by each reconciler.
package halt

import (
	"fmt"
	"time"
)

// Halt ends a pass with a reason. It is loud or quiet by what can help: a stalled one waits for a change of the spec,
// the source or a referred object; a waiting one is just not over; any other one failed and is tried again.
type Halt struct {
	// Reason fits a condition's reason.
	Reason string
	// Message says what is wrong or waited for, and what to do about it. It never holds a secret.
	Message string
	// Stalled: only a change helps.
	Stalled bool
	// Waiting: nothing is wrong.
	Waiting bool
	// After is when to look again; 0 is the object's interval.
	After time.Duration
	// Cause is the error behind it, or nil.
	Cause error
}

// Error is the reason and the message.
func (h *Halt) Error() string { return h.Reason + ": " + h.Message }

// Unwrap is the cause.
func (h *Halt) Unwrap() error { return h.Cause }

// Stall ends a pass until something is changed.
func Stall(after time.Duration, reason, format string, args ...any) error {
	return &Halt{Reason: reason, Message: fmt.Sprintf(format, args...), Stalled: true, After: after}
}

// Retry ends a pass that failed and is tried again.
func Retry(after time.Duration, reason string, cause error) error {
	return &Halt{Reason: reason, Message: cause.Error(), After: after, Cause: cause}
}

// Wait ends a pass that goes on later.
func Wait(after time.Duration, reason, format string, args ...any) error {
	return &Halt{Reason: reason, Message: fmt.Sprintf(format, args...), Waiting: true, After: after}
}
