package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/interlock-dev/interlock/migrations/schema"
)

// Decide says what to do next. The same input gives the same decision.
func Decide(in Input) Decision {
	d := Decision{Target: target(in)}
	if d.Reason, d.Message = refusal(in, d.Target); d.Reason != "" {
		d.Action = ActionRefuse
		return d
	}
	d.Ready, d.Contracted = reached(in, d.Target)
	pending := pendingSteps(in, d.Target)
	d.Hash = hashOf(pending)
	var inOrder int
	d.Pending, inOrder = order(pending)
	if len(d.Pending) == 0 {
		d.Action, d.Message = ActionDone, fmt.Sprintf("every step up to version %d is applied", d.Target)
		return d
	}
	d.Step = &d.Pending[0]
	d.InOrder = inOrder > 0
	d.Action, d.Message = next(d, inOrder)
	return d
}

// target is the version that is asked for, or the newest that there is.
func target(in Input) int64 {
	if in.Target != 0 {
		return in.Target
	}
	newest := in.Baseline
	for _, s := range in.Steps {
		newest = max(newest, s.Version)
	}
	return newest
}

// next puts the first pending step into words. inOrder is how many contract steps lead the queue because the
// expand or backfill step behind them needs them done.
func next(d Decision, inOrder int) (Action, string) {
	s := d.Step
	switch {
	case s.Phase == schema.PhaseExpand:
		return ActionExpand, s.Name + " is the next expand step"
	case s.Phase == schema.PhaseBackfill:
		return ActionBackfill, s.Name + " is the next backfill step"
	case d.InOrder:
		return ActionContract, fmt.Sprintf("%s must run before %s, which touches the same objects; it needs readers at %d or newer",
			s.Name, d.Pending[inOrder].Name, needs(s.NeedsReaders, s.Version))
	}
	return ActionContract, fmt.Sprintf("%s waits for readers at %d or newer", s.Name, needs(s.NeedsReaders, s.Version))
}

func needs(needsReaders, version int64) int64 {
	if needsReaders > 0 {
		return needsReaders
	}
	return version
}

// done says whether a version counts as applied.
func done(in Input, version int64) bool {
	_, applied := in.Applied[version]
	return applied || version <= in.Baseline
}

// reached is how far the expand and backfill steps have come, and how far all steps have.
func reached(in Input, target int64) (ready, contracted int64) {
	ready, contracted = in.Baseline, in.Baseline
	whole := true
	for _, s := range in.Steps {
		if s.Version > target && !done(in, s.Version) {
			break // what is applied above the target stays: going back takes nothing out of the database
		}
		if !done(in, s.Version) {
			whole = false
			if s.Phase != schema.PhaseContract {
				break
			}
		}
		ready = max(ready, s.Version)
		if whole {
			contracted = max(contracted, s.Version)
		}
	}
	return ready, contracted
}

func pendingSteps(in Input, target int64) []Step {
	var pending []Step
	for _, s := range in.Steps {
		if s.Version <= target && !done(in, s.Version) {
			pending = append(pending, s)
		}
	}
	return pending
}

// order is the order in which pending steps run: expand and backfill steps by version, then contract steps by
// version; but a contract step goes before a higher step that touches the same objects. inOrder is how many
// contract steps stand at the front for that reason.
func order(pending []Step) (queue []Step, inOrder int) {
	var waiting []Step
	for _, s := range pending {
		if s.Phase == schema.PhaseContract {
			waiting = append(waiting, s)
			continue
		}
		first, rest := before(waiting, s)
		if len(queue) == 0 {
			inOrder = len(first)
		}
		queue = append(append(queue, first...), s)
		waiting = rest
	}
	return append(queue, waiting...), inOrder
}

// before splits the waiting contract steps, all lower than s, into those that must run before s and the rest: those
// that touch what s touches, and those that these need done first.
func before(waiting []Step, s Step) (first, rest []Step) {
	wanted := []Step{s}
	for i := len(waiting) - 1; i >= 0; i-- {
		if slices.ContainsFunc(wanted, func(w Step) bool { return overlap(w.Touches, waiting[i].Touches) }) {
			wanted = append(wanted, waiting[i])
			first = append(first, waiting[i])
		} else {
			rest = append(rest, waiting[i])
		}
	}
	slices.Reverse(first)
	slices.Reverse(rest)
	return first, rest
}

// overlap says whether two lists of touched objects have one in common. "schema s" has everything in s.
func overlap(a, b []string) bool {
	for _, x := range a {
		for _, y := range b {
			if x == y || x == Everything || y == Everything || within(x, y) || within(y, x) {
				return true
			}
		}
	}
	return false
}

func within(relation, schemaEntry string) bool {
	name, isSchema := strings.CutPrefix(schemaEntry, "schema ")
	return isSchema && strings.HasPrefix(relation, name+".")
}

func hashOf(pending []Step) string {
	if len(pending) == 0 {
		return ""
	}
	h := sha256.New()
	for _, s := range pending {
		_, _ = fmt.Fprintf(h, "%d %s\n", s.Version, s.Checksum)
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}
