package plan

import (
	"fmt"
	"slices"

	"github.com/interlock-dev/interlock/migrations/schema"
)

// refusal is the first thing that is wrong with the source, as a reason and a message; empty if nothing is.
func refusal(in Input, target int64) (reason, message string) {
	for _, check := range []func(Input, int64) (string, string){invalid, behindFence, targetMissing, edited, missing, late} {
		if reason, message = check(in, target); reason != "" {
			return reason, message
		}
	}
	return "", ""
}

func invalid(in Input, target int64) (string, string) {
	last := int64(0)
	for _, s := range in.Steps {
		if s.Version <= last {
			return ReasonInvalidPlan, fmt.Sprintf("%s: version %d does not follow %d; give the files ascending versions from 1", s.Name, s.Version, last)
		}
		last = s.Version
		runnable := s.Phase == schema.PhaseExpand || s.Phase == schema.PhaseBackfill || s.Phase == schema.PhaseContract
		if !runnable && s.Version <= target && !done(in, s.Version) {
			return ReasonInvalidPlan, fmt.Sprintf("%s: its phase is %q, so it can not run; see the findings of its statements", s.Name, s.Phase)
		}
	}
	return "", ""
}

// behindFence refuses a source or target that is older than what can not be undone. An applied contract step that
// needed readers at n works with any source from n on.
func behindFence(in Input, target int64) (string, string) {
	fence, name := in.Committed, ""
	for _, v := range versions(in.Applied) {
		a := in.Applied[v]
		if n := needs(a.NeedsReaders, v); a.Phase == schema.PhaseContract && n >= fence {
			fence, name = n, a.Name
		}
	}
	what := fmt.Sprintf("the fence stands at %d", fence)
	if name != "" {
		what = fmt.Sprintf("the contract step %s is applied and the fence stands at %d", name, fence)
	}
	if target < fence {
		return ReasonSourceBehindFence, fmt.Sprintf("version %d is behind: %s; use a revision whose migrations reach at least %d", target, what, fence)
	}
	have := sourceVersions(in)
	for _, v := range versions(in.Applied) {
		if v <= fence && v > in.Baseline && !have[v] {
			return ReasonSourceBehindFence, fmt.Sprintf("%s (version %d) is applied but not in the source, and %s; use a revision that has it",
				nameOf(in.Applied[v], v), v, what)
		}
	}
	return "", ""
}

func targetMissing(in Input, target int64) (string, string) {
	switch {
	case target < in.Baseline:
		return ReasonTargetMissing, fmt.Sprintf("the target %d is below the baseline %d; raise the target", target, in.Baseline)
	case in.Target == 0 || in.Target == in.Baseline || sourceVersions(in)[in.Target]:
		return "", ""
	case len(in.Steps) == 0:
		return ReasonTargetMissing, fmt.Sprintf("no migration has version %d: the source has none at all; correct its path", in.Target)
	}
	newest := in.Steps[len(in.Steps)-1]
	return ReasonTargetMissing, fmt.Sprintf("no migration has version %d, the newest is %s; correct the target or the path of the source", in.Target, newest.Name)
}

func edited(in Input, _ int64) (string, string) {
	for _, s := range in.Steps {
		a, applied := in.Applied[s.Version]
		if applied && a.Checksum != "" && a.Checksum != s.Checksum {
			return ReasonEditedMigration, fmt.Sprintf("%s was edited after it was applied%s; restore it and put the change into a new migration", s.Name, formerly(a.Name, s.Name))
		}
	}
	return "", ""
}

func formerly(was, is string) string {
	if was == "" || was == is {
		return ""
	}
	return " as " + was
}

// missing refuses a source with a hole below its target. What is applied above the target is a roll-back before
// contract: the extra shape stays, and nobody minds.
func missing(in Input, target int64) (string, string) {
	have := sourceVersions(in)
	for _, v := range versions(in.Applied) {
		if v <= target && v > in.Baseline && !have[v] {
			return ReasonMissingMigration, fmt.Sprintf("%s (version %d) is applied but not in the source; put the file back, or set the target below it",
				nameOf(in.Applied[v], v), v)
		}
	}
	return "", ""
}

func late(in Input, target int64) (string, string) {
	applied := versions(in.Applied)
	if len(applied) == 0 {
		return "", ""
	}
	newest := applied[len(applied)-1]
	for _, s := range in.Steps {
		if s.Version > target || s.Version > newest || done(in, s.Version) || slices.Contains(in.Known, s.Version) {
			continue
		}
		return ReasonLateVersion, fmt.Sprintf("%s came after %s was applied; give it a version above %d",
			s.Name, nameOf(in.Applied[newest], newest), newest)
	}
	return "", ""
}

func nameOf(a Applied, version int64) string {
	if a.Name != "" {
		return a.Name
	}
	return fmt.Sprintf("version %d", version)
}

func versions(applied map[int64]Applied) []int64 {
	list := make([]int64, 0, len(applied))
	for v := range applied {
		list = append(list, v)
	}
	slices.Sort(list)
	return list
}

func sourceVersions(in Input) map[int64]bool {
	have := make(map[int64]bool, len(in.Steps))
	for _, s := range in.Steps {
		have[s.Version] = true
	}
	return have
}
