package appbundle

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/migrations/schema"
	"github.com/interlock-dev/interlock/reconcilers/internal/apply"
	"github.com/interlock-dev/interlock/reconcilers/internal/halt"
	"github.com/interlock-dev/interlock/reconcilers/internal/stamps"
)

func stampOf(series string, version int64) stamps.Stamp {
	return stamps.Stamp{Key: stamps.Key{Kind: "Deployment", Name: "app"}, Series: series, Version: version, Why: "declared"}
}

func committed(v int64) v1alpha1.FenceStatus {
	return v1alpha1.FenceStatus{State: v1alpha1.FenceCommitted, Version: v, Committed: v, OldestRevision: "main@sha1:good"}
}

func TestRefusals(t *testing.T) {
	tests := map[string]struct {
		stamps []stamps.Stamp
		views  []seriesView
		want   []string
		audit  bool
	}{
		"nothing speaks against it": {[]stamps.Stamp{stampOf("shop", 5)}, []seriesView{{name: "shop", owned: true, newest: 5, fence: committed(5)}}, nil, false},
		"no fence yet":              {[]stamps.Stamp{stampOf("shop", 1)}, []seriesView{{name: "shop", owned: true, newest: 5}}, nil, false},
		"held is not committed": {[]stamps.Stamp{stampOf("shop", 1)}, []seriesView{{name: "shop", owned: true, newest: 5,
			fence: v1alpha1.FenceStatus{State: v1alpha1.FenceHeld, Version: 5}}}, nil, false},
		"a stamp below the fence": {[]stamps.Stamp{stampOf("shop", 4)}, []seriesView{{name: "shop", owned: true, newest: 5, fence: committed(5)}},
			[]string{"RollbackRefused: rev goes back past the fence: Deployment app is built for shop@4 (declared), and the contract step at 5 is done, so nothing below works any more; the oldest revision that still works is main@sha1:good"}, false},
		"the tree lacks the end": {nil, []seriesView{{name: "shop", owned: true, newest: 4, fence: committed(5)}},
			[]string{"RollbackRefused: rev goes back past the fence: its tree has series shop without anything above 4"}, false},
		"the tree lacks one in between": {nil, []seriesView{{name: "shop", owned: true, newest: 7, lost: []int64{3, 4}, fence: committed(5)}},
			[]string{"without version 3, 4"}, false},
		"a used series": {[]stamps.Stamp{stampOf("billing", 2)}, []seriesView{{name: "billing", fence: committed(3)}}, []string{"built for billing@2"}, false},
		"nobody knows the oldest revision": {[]stamps.Stamp{stampOf("shop", 4)}, []seriesView{{name: "shop", owned: true, newest: 5, fence: v1alpha1.FenceStatus{Committed: 5}}},
			[]string{"roll forward: deploy a revision built for shop@5 or newer"}, false},
		"declared above the tree":         {[]stamps.Stamp{stampOf("shop", 9)}, []seriesView{{name: "shop", owned: true, newest: 5}}, []string{"StampInvalid: Deployment app declares shop@9, and the newest migration in the tree is 5"}, false},
		"above the tree, of another one":  {[]stamps.Stamp{stampOf("billing", 9)}, []seriesView{{name: "billing"}}, nil, false},
		"above the tree, and running":     {[]stamps.Stamp{{Key: stamps.Key{Kind: "Deployment", Name: "app"}, Series: "shop", Version: 5, Kept: true}}, []seriesView{{name: "shop", owned: true, newest: 4}}, nil, false},
		"enforcement Audit only reports":  {[]stamps.Stamp{stampOf("shop", 4)}, []seriesView{{name: "shop", owned: true, newest: 5, fence: committed(5), audit: true}}, []string{"built for shop@4"}, true},
		"a stamp of an unknown series":    {[]stamps.Stamp{stampOf("x", 4)}, []seriesView{{name: "shop", owned: true, newest: 5, fence: committed(5)}}, nil, false},
		"two series, one below its fence": {[]stamps.Stamp{stampOf("shop", 5), stampOf("billing", 1)}, []seriesView{{name: "shop", owned: true, newest: 5, fence: committed(5)}, {name: "billing", fence: committed(2)}}, []string{"billing@1"}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := refusals(tt.stamps, tt.views, "rev")
			if len(got) != len(tt.want) {
				t.Fatalf("got %v, want %v", got, tt.want)
			}
			for i, want := range tt.want {
				if text := got[i].reason + ": " + got[i].message; !strings.Contains(text, want) || got[i].audit != tt.audit {
					t.Errorf("got %q (audit %v), want …%s… (%v)", text, got[i].audit, want, tt.audit)
				}
			}
		})
	}
}

func TestTooEarly(t *testing.T) {
	raised := func(state v1alpha1.FenceState, v int64) v1alpha1.FenceStatus {
		return v1alpha1.FenceStatus{State: state, Version: v}
	}
	tests := map[string]struct {
		stamp int64
		view  seriesView
		want  string
	}{
		"ready":                      {5, seriesView{name: "shop", ready: 5}, ""},
		"not ready":                  {6, seriesView{name: "shop", ready: 5}, "the database is ready for 5"},
		"no such series":             {6, seriesView{name: "other", ready: 9}, "no SchemaMigration of the namespace has that series"},
		"a fence is proposed above":  {4, seriesView{name: "shop", ready: 5, fence: raised(v1alpha1.FenceProposed, 5)}, "a fence at 5 is being raised"},
		"a fence is held above":      {4, seriesView{name: "shop", ready: 5, fence: raised(v1alpha1.FenceHeld, 5)}, "a fence at 5 is being raised"},
		"a fence is held, not above": {5, seriesView{name: "shop", ready: 5, fence: raised(v1alpha1.FenceHeld, 5)}, ""},
		"audit holds nobody":         {9, seriesView{name: "shop", ready: 5, audit: true}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tooEarly([]stamps.Stamp{stampOf("shop", tt.stamp)}, []seriesView{tt.view}); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestMissing(t *testing.T) {
	if got := missing([]int64{1, 2, 3, 4}, []int64{1, 3}, 3); !slices.Equal(got, []int64{2}) {
		t.Errorf("got %v, want only 2: 4 is above the limit", got)
	}
}

func TestReleased(t *testing.T) {
	holder := v1alpha1.Holder{Kind: "Deployment", Name: "app"}
	sm := func(steps ...v1alpha1.SchemaStep) *v1alpha1.SchemaMigration {
		return &v1alpha1.SchemaMigration{Status: v1alpha1.SchemaMigrationStatus{Steps: steps, Holders: []v1alpha1.Holder{holder}}}
	}
	waiting := v1alpha1.SchemaStep{Version: 5, Phase: "contract", State: "Waiting"}
	key := stamps.Key{Kind: "Deployment", Name: "app"}
	tests := map[string]struct {
		sm    *v1alpha1.SchemaMigration
		files []schema.File
		want  map[stamps.Key]int64
	}{
		"no SchemaMigration":       {nil, nil, nil},
		"nothing waits":            {sm(v1alpha1.SchemaStep{Version: 5, Phase: "contract", State: "Pending"}), nil, nil},
		"a backfill is no reason":  {sm(v1alpha1.SchemaStep{Version: 5, Phase: "backfill", State: "Waiting"}), nil, nil},
		"a contract step waits":    {sm(waiting), nil, map[stamps.Key]int64{key: 5}},
		"it needs an older reader": {sm(waiting), []schema.File{{Version: 5, Since: 3}}, map[stamps.Key]int64{key: 3}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := released(tt.sm, tt.files); !maps.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestJudgeHealth(t *testing.T) {
	slow := apply.Unhealthy{Object: "Deployment a", Message: "1 of 2"}
	dead := apply.Unhealthy{Object: "Job b", Message: "failed", Failed: true}
	tests := map[string]struct {
		list        []apply.Unhealthy
		elapsed     time.Duration
		wantReason  string
		wantWaiting bool
		want        string
	}{
		"all well":                {nil, time.Hour, "", false, ""},
		"on its way":              {[]apply.Unhealthy{slow}, time.Second, ReasonSettling, true, "Deployment a: 1 of 2"},
		"had its time":            {[]apply.Unhealthy{slow}, time.Minute, ReasonHealthCheckFailed, false, "not healthy after 1m0s"},
		"will not make it":        {[]apply.Unhealthy{slow, dead}, time.Second, ReasonHealthCheckFailed, false, "Job b: failed"},
		"many are cut to a count": {[]apply.Unhealthy{slow, slow, slow, slow, slow}, time.Second, ReasonSettling, true, "and 2 more"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := judgeHealth(tt.list, tt.elapsed, time.Minute)
			if tt.wantReason == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var h *halt.Halt
			if !errors.As(err, &h) || h.Reason != tt.wantReason || h.Waiting != tt.wantWaiting || !strings.Contains(h.Message, tt.want) {
				t.Errorf("got %+v", h)
			}
		})
	}
}

func TestJudgeSchema(t *testing.T) {
	sm := func(change func(*v1alpha1.SchemaMigration), c ...metav1.Condition) *v1alpha1.SchemaMigration {
		sm := &v1alpha1.SchemaMigration{ObjectMeta: metav1.ObjectMeta{Name: "sm", Generation: 2}}
		sm.Status = v1alpha1.SchemaMigrationStatus{ObservedGeneration: 2, TargetVersion: 5, SourceDigest: "d", Phase: "Done", Conditions: c}
		if change != nil {
			change(sm)
		}
		return sm
	}
	ready := condition("Ready", metav1.ConditionTrue, "Migrated", "m")
	not := func(reason string) metav1.Condition {
		return condition("Ready", metav1.ConditionFalse, reason, "why")
	}
	tests := map[string]struct {
		sm   *v1alpha1.SchemaMigration
		want schemaVerdict
	}{
		"ready":                       {sm(nil, ready), schemaVerdict{ready: true}},
		"ready, of an older spec":     {sm(func(s *v1alpha1.SchemaMigration) { s.Status.ObservedGeneration = 1 }, ready), schemaVerdict{phase: PhaseExpand, message: "has not taken up version 5"}},
		"ready, of another target":    {sm(func(s *v1alpha1.SchemaMigration) { s.Status.TargetVersion = 4 }, ready), schemaVerdict{phase: PhaseExpand, message: "SchemaMigration sm"}},
		"ready, of other files":       {sm(func(s *v1alpha1.SchemaMigration) { s.Status.SourceDigest = "x" }, ready), schemaVerdict{phase: PhaseExpand, message: "SchemaMigration sm"}},
		"nothing said yet":            {sm(nil), schemaVerdict{phase: PhaseExpand, message: "has not taken up version 5"}},
		"at work":                     {sm(nil, not("Progressing")), schemaVerdict{phase: PhaseExpand, message: "why"}},
		"at work on a backfill":       {sm(func(s *v1alpha1.SchemaMigration) { s.Status.Phase = "Backfill" }, not("Progressing")), schemaVerdict{phase: PhaseBackfill, message: "why"}},
		"a step failed":               {sm(nil, not("StepFailed")), schemaVerdict{failed: true, phase: PhaseExpand, message: "why"}},
		"stalled":                     {sm(nil, not("EditedMigration"), condition("Stalled", metav1.ConditionTrue, "EditedMigration", "why")), schemaVerdict{stalled: true, phase: PhaseExpand, message: "why"}},
		"stalled, before a new spec":  {sm(func(s *v1alpha1.SchemaMigration) { s.Status.ObservedGeneration = 1 }, condition("Stalled", metav1.ConditionTrue, "X", "why")), schemaVerdict{phase: PhaseExpand, message: "has not taken up"}},
		"ready and stalled: not sure": {sm(nil, ready, condition("Stalled", metav1.ConditionTrue, "X", "why")), schemaVerdict{stalled: true, phase: PhaseExpand, message: "why"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := judgeSchema(tt.sm, 5, "d")
			if !strings.Contains(got.message, tt.want.message) {
				t.Errorf("message %q, want …%s…", got.message, tt.want.message)
			}
			if got.message = tt.want.message; got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestJudgeContracted(t *testing.T) {
	series := func(c ...metav1.Condition) *ownedSeries {
		sm := &v1alpha1.SchemaMigration{ObjectMeta: metav1.ObjectMeta{Name: "sm"}}
		sm.Status.Conditions = c
		return &ownedSeries{sm: sm}
	}
	done := series(condition("Contracted", metav1.ConditionTrue, "Contracted", "done"))
	waits := series(condition("Contracted", metav1.ConditionFalse, "Soaking", "an hour is left"))
	tests := map[string]struct {
		owned      []*ownedSeries
		wantStatus metav1.ConditionStatus
		wantReason string
	}{
		"all done":      {[]*ownedSeries{done, done}, metav1.ConditionTrue, ReasonContracted},
		"one waits":     {[]*ownedSeries{done, waits}, metav1.ConditionFalse, "Soaking"},
		"one is silent": {[]*ownedSeries{series(), waits}, metav1.ConditionUnknown, ReasonContractPending},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := judgeContracted(tt.owned); got.Status != tt.wantStatus || got.Reason != tt.wantReason {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestTrail(t *testing.T) {
	history := func(revisions ...string) []v1alpha1.Receipt {
		var out []v1alpha1.Receipt
		for _, r := range revisions {
			out = append(out, v1alpha1.Receipt{Revision: r, Phase: PhaseFetch})
		}
		return out
	}
	for name, tt := range map[string]struct {
		history []v1alpha1.Receipt
		want    int
	}{
		"none":            {nil, 0},
		"all of it":       {history("a", "a"), 2},
		"after another":   {history("b", "a", "a"), 2},
		"only the latest": {history("a", "a", "b", "a"), 1},
		"another's":       {history("a", "b"), 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := len(trail(tt.history, "a")); got != tt.want {
				t.Errorf("%d receipts, want %d", got, tt.want)
			}
		})
	}
}

func TestMigrationName(t *testing.T) {
	long := migrationName(strings.Repeat("a", 253), "shop")
	if len(long)+9 > 253 || long == migrationName(strings.Repeat("a", 253), "other") {
		t.Errorf("a long name became %q", long)
	}
	if got := migrationName("shop", "orders"); got != "shop-orders" {
		t.Errorf("got %q", got)
	}
}
