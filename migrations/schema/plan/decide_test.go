package plan

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/interlock-dev/interlock/migrations/schema"
)

// step reads "3 expand a,b"; a fourth word is the readers that it needs.
func step(text string) Step {
	words := strings.Fields(text)
	var s Step
	_, _ = fmt.Sscan(words[0], &s.Version)
	s.Name, s.Checksum, s.Phase, s.NeedsReaders = words[0]+"_x.sql", "sum"+words[0], schema.Phase(words[1]), s.Version
	if len(words) > 2 {
		s.Touches = strings.Split(words[2], ",")
	}
	if len(words) > 3 {
		_, _ = fmt.Sscan(words[3], &s.NeedsReaders)
	}
	return s
}

func steps(texts ...string) []Step {
	var list []Step
	for _, text := range texts {
		list = append(list, step(text))
	}
	return list
}

// applied is what the journal holds once the listed steps ran.
func applied(list ...Step) map[int64]Applied {
	m := map[int64]Applied{}
	for _, s := range list {
		m[s.Version] = Applied{Checksum: s.Checksum, Phase: s.Phase, Name: s.Name, NeedsReaders: s.NeedsReaders}
	}
	return m
}

func TestDecide(t *testing.T) {
	all := steps("1 expand a", "2 backfill a", "3 contract a", "4 expand b")
	edited := applied(all[0])
	edited[1] = Applied{Checksum: "other", Phase: schema.PhaseExpand, Name: "1_old.sql"}
	tests := []struct {
		name           string
		in             Input
		wantAction     Action
		wantVersion    int64
		wantReason     string
		wantMessage    string
		wantReady      int64
		wantContracted int64
		wantPending    []int64
		wantInOrder    bool
	}{
		{name: "nothing at all", wantAction: ActionDone},
		{name: "fresh: the first expand step", in: Input{Steps: all}, wantAction: ActionExpand, wantVersion: 1,
			wantMessage: "1_x.sql is the next expand step", wantPending: []int64{1, 2, 4, 3}},
		{name: "backfill next", in: Input{Steps: all, Applied: applied(all[0])}, wantAction: ActionBackfill, wantVersion: 2,
			wantReady: 1, wantContracted: 1, wantPending: []int64{2, 4, 3}},
		{name: "a waiting contract step blocks no other object", in: Input{Steps: all, Applied: applied(all[:2]...)},
			wantAction: ActionExpand, wantVersion: 4, wantReady: 3, wantContracted: 2, wantPending: []int64{4, 3}},
		{name: "then the contract step", in: Input{Steps: all, Applied: applied(all[0], all[1], all[3]), Known: []int64{1, 2, 3, 4}},
			wantAction: ActionContract, wantVersion: 3, wantMessage: "3_x.sql waits for readers at 3 or newer",
			wantReady: 4, wantContracted: 2, wantPending: []int64{3}},
		{name: "done", in: Input{Steps: all, Applied: applied(all...)}, wantAction: ActionDone,
			wantMessage: "every step up to version 4 is applied", wantReady: 4, wantContracted: 4},
		{name: "same object: the contract step goes first", in: Input{Steps: steps("1 contract a", "2 expand a,b")},
			wantAction: ActionContract, wantVersion: 1, wantInOrder: true, wantReady: 1, wantPending: []int64{1, 2},
			wantMessage: "1_x.sql must run before 2_x.sql, which touches the same objects; it needs readers at 1 or newer"},
		{name: "what that one needs goes before it", in: Input{Steps: steps("1 contract a", "2 contract c", "3 contract a,b", "4 backfill b")},
			wantAction: ActionContract, wantVersion: 1, wantInOrder: true, wantReady: 3, wantPending: []int64{1, 3, 4, 2}},
		{name: "in order only later", in: Input{Steps: steps("1 contract a", "2 expand b", "3 expand a")},
			wantAction: ActionExpand, wantVersion: 2, wantReady: 1, wantPending: []int64{2, 1, 3}},
		{name: "a step that may touch anything", in: Input{Steps: steps("1 contract a", "2 expand *")},
			wantAction: ActionContract, wantVersion: 1, wantInOrder: true, wantReady: 1, wantPending: []int64{1, 2}},
		{name: "a schema has its tables", in: Input{Steps: steps("1 contract a.t", "2 expand b.t")},
			wantAction: ActionExpand, wantVersion: 2, wantReady: 1, wantPending: []int64{2, 1}},
		{name: "since", in: Input{Steps: steps("1 expand a", "4 contract a 2"), Applied: applied(step("1 expand a"))},
			wantAction: ActionContract, wantVersion: 4, wantMessage: "readers at 2 or newer", wantReady: 4, wantContracted: 1, wantPending: []int64{4}},

		{name: "target", in: Input{Steps: all, Target: 2, Applied: applied(all[0])}, wantAction: ActionBackfill, wantVersion: 2,
			wantReady: 1, wantContracted: 1, wantPending: []int64{2}},
		{name: "target reached, more in the source", in: Input{Steps: all, Target: 2, Applied: applied(all[:2]...)},
			wantAction: ActionDone, wantReady: 2, wantContracted: 2},
		{name: "target missing", in: Input{Steps: all, Target: 9}, wantAction: ActionRefuse, wantReason: ReasonTargetMissing,
			wantMessage: "no migration has version 9, the newest is 4_x.sql; correct the target"},
		{name: "target of an empty source", in: Input{Target: 9}, wantAction: ActionRefuse, wantReason: ReasonTargetMissing,
			wantMessage: "the source has none at all; correct its path"},
		{name: "baseline", in: Input{Steps: all, Baseline: 2}, wantAction: ActionExpand, wantVersion: 4,
			wantReady: 3, wantContracted: 2, wantPending: []int64{4, 3}},
		{name: "baseline without its files", in: Input{Steps: all[3:], Baseline: 3}, wantAction: ActionExpand, wantVersion: 4,
			wantReady: 3, wantContracted: 3, wantPending: []int64{4}},
		{name: "target below the baseline", in: Input{Steps: all, Baseline: 2, Target: 1}, wantAction: ActionRefuse,
			wantReason: ReasonTargetMissing, wantMessage: "below the baseline 2"},

		{name: "edited", in: Input{Steps: all, Applied: edited}, wantAction: ActionRefuse, wantReason: ReasonEditedMigration,
			wantMessage: "1_x.sql was edited after it was applied as 1_old.sql; restore it"},
		{name: "no checksum from before the journal", in: Input{Steps: all[:1], Applied: map[int64]Applied{1: {}}},
			wantAction: ActionDone, wantReady: 1, wantContracted: 1},
		{name: "late", in: Input{Steps: all, Applied: applied(all[0], all[3]), Known: []int64{1, 3, 4}}, wantAction: ActionRefuse,
			wantReason: ReasonLateVersion, wantMessage: "2_x.sql came after 4_x.sql was applied; give it a version above 4"},
		{name: "late above the target is not asked for", in: Input{Steps: all, Target: 1, Applied: applied(all[0], all[3])},
			wantAction: ActionDone, wantReady: 1, wantContracted: 1},
		{name: "hole in the source", in: Input{Steps: steps("1 expand a", "3 expand a"), Applied: applied(steps("1 expand a", "2 expand a")...)},
			wantAction: ActionRefuse, wantReason: ReasonMissingMigration, wantMessage: "2_x.sql (version 2) is applied but not in the source"},
		{name: "back before contract", in: Input{Steps: all[:1], Applied: applied(all[:2]...)}, wantAction: ActionDone, wantReady: 1, wantContracted: 1},
		{name: "back past a contract step", in: Input{Steps: all[:2], Applied: applied(all[:3]...)}, wantAction: ActionRefuse,
			wantReason: ReasonSourceBehindFence, wantMessage: "version 2 is behind: the contract step 3_x.sql is applied and the fence stands at 3; use a revision whose migrations reach at least 3"},
		{name: "back past the committed fence", in: Input{Steps: all[:1], Applied: applied(all[0]), Committed: 2}, wantAction: ActionRefuse,
			wantReason: ReasonSourceBehindFence, wantMessage: "the fence stands at 2"},
		{name: "target past the fence", in: Input{Steps: all, Target: 1, Applied: applied(all[:3]...)}, wantAction: ActionRefuse,
			wantReason: ReasonSourceBehindFence, wantMessage: "version 1 is behind"},
		{name: "everything gone past the fence", in: Input{Applied: applied(all[:3]...), Committed: 3}, wantAction: ActionRefuse,
			wantReason: ReasonSourceBehindFence, wantMessage: "version 0 is behind"},
		{name: "a contract step with since: back to what it needs", wantAction: ActionDone, wantReady: 2, wantContracted: 2,
			in: Input{Steps: steps("1 expand a", "2 expand b"), Applied: applied(steps("1 expand a", "2 expand b", "4 contract a 2")...), Committed: 2}},
		{name: "a contract step with since: and no further", wantAction: ActionRefuse, wantReason: ReasonSourceBehindFence, wantMessage: "the fence stands at 2",
			in: Input{Steps: steps("1 expand a"), Applied: applied(steps("1 expand a", "2 expand b", "4 contract a 2")...), Committed: 2}},
		{name: "a hole below the fence", wantAction: ActionRefuse, wantReason: ReasonSourceBehindFence, wantMessage: "2_x.sql (version 2) is applied but not in the source",
			in: Input{Steps: []Step{all[0], all[2], all[3]}, Applied: applied(all[:3]...), Committed: 3}},

		{name: "not in order", in: Input{Steps: steps("2 expand a", "1 expand a")}, wantAction: ActionRefuse, wantReason: ReasonInvalidPlan,
			wantMessage: "1_x.sql: version 1 does not follow 2"},
		{name: "mixed", in: Input{Steps: steps("1 mixed a")}, wantAction: ActionRefuse, wantReason: ReasonInvalidPlan, wantMessage: `1_x.sql: its phase is "mixed"`},
		{name: "an applied step may have no phase", in: Input{Steps: steps("1 unknown a"), Applied: applied(step("1 expand a"))},
			wantAction: ActionDone, wantReady: 1, wantContracted: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := Decide(tt.in)
			if d.Action != tt.wantAction || d.Reason != tt.wantReason || !strings.Contains(d.Message, tt.wantMessage) {
				t.Fatalf("got %s %s %q, want %s %s %q", d.Action, d.Reason, d.Message, tt.wantAction, tt.wantReason, tt.wantMessage)
			}
			if got := version(d.Step); got != tt.wantVersion || d.InOrder != tt.wantInOrder {
				t.Errorf("step %d in order %v, want %d %v", got, d.InOrder, tt.wantVersion, tt.wantInOrder)
			}
			if d.Ready != tt.wantReady || d.Contracted != tt.wantContracted {
				t.Errorf("ready %d contracted %d, want %d %d", d.Ready, d.Contracted, tt.wantReady, tt.wantContracted)
			}
			var pending []int64
			for _, s := range d.Pending {
				pending = append(pending, s.Version)
			}
			if !slices.Equal(pending, tt.wantPending) {
				t.Errorf("pending %v, want %v", pending, tt.wantPending)
			}
			if (d.Hash == "") != (len(pending) == 0) || (d.Hash != "" && len(d.Hash) != 12) {
				t.Errorf("hash %q for %d pending steps", d.Hash, len(pending))
			}
		})
	}
}

func version(s *Step) int64 {
	if s == nil {
		return 0
	}
	return s.Version
}

func TestOverlap(t *testing.T) {
	tests := []struct {
		a, b string
		want bool
	}{
		{"t", "t", true}, {"t", "u", false}, {"s.t", "t", false}, {"*", "t", true}, {"t", "*", true},
		{"schema s", "s.t", true}, {"s.t", "schema s", true}, {"schema s", "st.t", false}, {"schema s", "t", false},
	}
	for _, tt := range tests {
		if got := overlap([]string{tt.a}, []string{tt.b}); got != tt.want {
			t.Errorf("overlap(%q, %q) = %v, want %v", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestHash(t *testing.T) {
	base := Decide(Input{Steps: steps("1 expand a", "2 contract a")}).Hash
	other := steps("1 expand a", "2 contract a")
	other[1].Checksum = "edited"
	if Decide(Input{Steps: other}).Hash == base || Decide(Input{Steps: steps("1 expand a")}).Hash == base {
		t.Error("another plan must have another hash")
	}
	if again := Decide(Input{Steps: steps("1 expand a", "2 contract a")}).Hash; again != base {
		t.Errorf("the same plan gave %s and %s", base, again)
	}
}

// TestRunToTheEnd applies what Decide says until it is done, over random plans, with targets that rise on the way.
func TestRunToTheEnd(t *testing.T) {
	phases := []schema.Phase{schema.PhaseExpand, schema.PhaseBackfill, schema.PhaseContract}
	for seed := range int64(3000) {
		r := rand.New(rand.NewSource(seed))
		var source []Step
		v := int64(0)
		for range r.Intn(12) {
			v += 1 + int64(r.Intn(3))
			s := step(fmt.Sprintf("%d %s t%d,t%d", v, phases[r.Intn(3)], r.Intn(5), r.Intn(5)))
			source = append(source, s)
		}
		in := Input{Steps: source, Applied: map[int64]Applied{}}
		for _, s := range source {
			in.Known = append(in.Known, s.Version)
		}
		if len(source) > 0 && r.Intn(2) == 0 {
			in.Target = source[r.Intn(len(source))].Version
		}
		runAll(t, seed, in)
		in.Target = 0
		runAll(t, seed, in)
		if len(in.Applied) != len(source) {
			t.Fatalf("seed %d: %d of %d steps ran", seed, len(in.Applied), len(source))
		}
	}
}

func runAll(t *testing.T, seed int64, in Input) {
	t.Helper()
	ready := int64(0)
	for range len(in.Steps) + 1 {
		d := Decide(in)
		if d.Ready < ready || d.Contracted > d.Ready {
			t.Fatalf("seed %d: ready went from %d to %d, contracted %d", seed, ready, d.Ready, d.Contracted)
		}
		ready = d.Ready
		if d.Action == ActionDone {
			if d.Ready != d.Target || d.Contracted != d.Target {
				t.Fatalf("seed %d: done at ready %d contracted %d, target %d", seed, d.Ready, d.Contracted, d.Target)
			}
			return
		}
		if d.Step == nil {
			t.Fatalf("seed %d: %s without a step: %s", seed, d.Action, d.Message)
		}
		checkStep(t, seed, in, d)
		in.Applied[d.Step.Version] = Applied{Checksum: d.Step.Checksum, Phase: d.Step.Phase, Name: d.Step.Name}
	}
	t.Fatalf("seed %d: never done", seed)
}

// checkStep fails if the step ran before, lies above the target, skips an expand or backfill step, or runs over a
// lower step that is pending and touches the same objects.
func checkStep(t *testing.T, seed int64, in Input, d Decision) {
	t.Helper()
	if _, again := in.Applied[d.Step.Version]; again || d.Step.Version > d.Target {
		t.Fatalf("seed %d: step %d again, or above the target %d", seed, d.Step.Version, d.Target)
	}
	for _, s := range in.Steps {
		if _, ran := in.Applied[s.Version]; ran || s.Version >= d.Step.Version {
			continue
		}
		if overlap(s.Touches, d.Step.Touches) || s.Phase != schema.PhaseContract {
			t.Fatalf("seed %d: step %d (%s) runs while %d (%s) is pending", seed, d.Step.Version, d.Step.Phase, s.Version, s.Phase)
		}
	}
}
