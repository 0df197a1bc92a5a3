package run

import (
	"context"

	"github.com/interlock-dev/interlock/migrations/schema/compat"
	"github.com/interlock-dev/interlock/migrations/schema/journal"
)

// baselineDetail is what the journal says about a step that was never run here.
const baselineDetail = "baseline: taken as applied before Interlock came"

// Baseline records migrations as applied without running them, for a database that has a history of its own. A step
// that the journal knows already is left alone; one that was begun and did not end is finished by Apply, not here.
func (r *Runner) Baseline(ctx context.Context, files []compat.Classified, revision string) error {
	if r.conn == nil {
		return ErrLost
	}
	ctx, cancel := r.working(ctx)
	defer cancel()
	state, err := r.State(ctx)
	if err != nil {
		return err
	}
	for _, c := range files {
		step := state.Step(c.File.Version)
		if step != nil && step.Detail != baselineDetail {
			continue
		}
		if step == nil {
			if err := r.intent(ctx, c, revision, baselineDetail); err != nil {
				return err
			}
			r.fault("baseline intent")
		}
		if step != nil && step.State == journal.StepVerified {
			continue
		}
		if err := r.recordVersion(ctx, c.File, baselineDetail); err != nil {
			return err
		}
		r.fault("baseline recorded")
		if err := r.mark(ctx, c.File, journal.StepVerified, ""); err != nil {
			return err
		}
	}
	return nil
}
