package harness

import (
	"context"
	"fmt"
	"time"
)

// Wait asks every half second until done is true. When time is up the error says what was seen last.
func Wait(ctx context.Context, limit time.Duration, what string, look func(context.Context) (done bool, seen string, err error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not within %s", limit))
	defer cancel()
	last := "nothing yet"
	for {
		done, seen, err := look(ctx)
		switch {
		case done:
			return nil
		case err != nil && ctx.Err() == nil:
			last = err.Error()
		case err == nil:
			last = seen
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w; last seen: %s", what, context.Cause(ctx), last)
		case <-time.After(500 * time.Millisecond):
		}
	}
}
