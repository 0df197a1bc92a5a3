package main

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/e2e/load"
)

// view is what is known at one moment about a roll-out.
type view struct {
	title   string
	elapsed time.Duration
	// bundle and migration are nil in the usual arm, or as long as there are none.
	bundle    *v1alpha1.AppBundle
	migration *v1alpha1.SchemaMigration
	// step is what the usual arm does.
	step string
	// pods by the tag of their image, with how many of them are ready.
	pods   map[string]podCount
	counts load.Report
}

type podCount struct{ there, ready int }

// width that lines are cut to, so that a redraw never has to know where the terminal wrapped.
const width = 110

// lines is the table that redraws itself.
func (v view) lines() []string {
	out := []string{fmt.Sprintf("── %s ── %s", v.title, clock(v.elapsed))}
	add := func(label, format string, args ...any) {
		out = append(out, cut(fmt.Sprintf("   %-10s %s", label, fmt.Sprintf(format, args...)), width))
	}
	if v.step != "" {
		add("step", "%s", v.step)
	}
	if b := v.bundle; b != nil {
		add("phase", "%-9s %s", b.Status.Phase, waiting(b.Status.WaitingOn))
	}
	if m := v.migration; m != nil {
		s := m.Status
		add("schema", "version %d is ready of %d, contracted up to %d, %s", s.ReadyVersion, s.TargetVersion, s.ContractedVersion, fence(s.Fence))
		for _, step := range s.Steps {
			add("", "%-34s %-9s %-9s %s", step.Name, step.Phase, strings.ToLower(step.State), step.Message)
		}
		for _, h := range s.Holders {
			add("held by", "%s %s, built for version %d: %s", h.Kind, h.Name, h.Version, h.Reason)
		}
		if more := int(s.HoldersTotal) - len(s.Holders); more > 0 {
			add("", "and %d more", more)
		}
	}
	add("pods", "%s", podWords(v.pods))
	add("requests", "%s", countWords(v.counts))
	return out
}

// key changes when something happened that a log should show. Numbers alone that grow are no event.
func (v view) key() string {
	key := v.step
	if v.bundle != nil {
		key += v.bundle.Status.Phase + "|" + v.bundle.Status.WaitingOn
	}
	if v.migration != nil {
		key += "|" + v.migration.Status.Phase + "|" + v.migration.Status.WaitingOn
	}
	return digits.ReplaceAllString(key, "0")
}

var digits = regexp.MustCompile(`[0-9]+`)

// line says the same in one line, for a log.
func (v view) line() string {
	said := []string{clock(v.elapsed)}
	if v.step != "" {
		said = append(said, v.step)
	}
	if b := v.bundle; b != nil {
		said = append(said, cmp.Or(strings.TrimSpace(b.Status.Phase+" "+waiting(b.Status.WaitingOn)), "nothing yet"))
	}
	if m := v.migration; m != nil {
		s := m.Status
		said = append(said, fmt.Sprintf("schema %d/%d contracted %d", s.ReadyVersion, s.TargetVersion, s.ContractedVersion))
		if len(s.Holders) > 0 {
			h := s.Holders[0]
			said = append(said, fmt.Sprintf("held by %d, first %s %s (%s)", s.HoldersTotal, h.Kind, h.Name, h.Reason))
		}
	}
	return strings.Join(append(said, podWords(v.pods), countWords(v.counts)), " · ")
}

func waiting(on string) string {
	if on == "" {
		return ""
	}
	return "waits: " + on
}

func fence(f v1alpha1.FenceStatus) string {
	if f.State == v1alpha1.FenceNone {
		return "no fence"
	}
	return fmt.Sprintf("fence %s at %d", strings.ToLower(string(f.State)), f.Version)
}

func podWords(pods map[string]podCount) string {
	var said []string
	for _, tag := range slices.Sorted(maps.Keys(pods)) {
		said = append(said, fmt.Sprintf("version %s: %d (%d ready)", tag, pods[tag].there, pods[tag].ready))
	}
	if len(said) == 0 {
		return "none"
	}
	return strings.Join(said, ", ")
}

func countWords(r load.Report) string {
	said := fmt.Sprintf("%d requests, %d failed", r.Requests, r.Failed)
	for _, kind := range slices.Sorted(maps.Keys(r.ByKind)) {
		said += fmt.Sprintf(", %d× %s", r.ByKind[kind], kind)
	}
	return said
}

func clock(d time.Duration) string {
	s := int(d.Seconds())
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// cut shortens a line to a number of characters.
func cut(line string, to int) string {
	runes := []rune(strings.ReplaceAll(line, "\n", " "))
	if len(runes) <= to {
		return string(runes)
	}
	return string(runes[:to-1]) + "…"
}
