package schemamigration

import (
	"errors"
	"strings"
	"testing"
	"time"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/migrations/schema"
	"github.com/interlock-dev/interlock/migrations/schema/plan"
)

// contractStep returns a contract step that needs its readers at a version.
func contractStep(version int64) plan.Step {
	return plan.Step{Version: version, Name: "00005_contract.sql", Phase: schema.PhaseContract, NeedsReaders: version}
}

// runnable is an input for which the step runs; each test takes one thing away.
func runnable() contractInput {
	return contractInput{
		series: "shop", step: contractStep(5), need: 5,
		fence:    fenceView{state: v1alpha1.FenceHeld, version: 5, heldFor: time.Minute},
		quietFor: time.Hour, requestTimeout: time.Minute, hash: "abc",
	}
}

func TestDecideContract(t *testing.T) {
	holder := []v1alpha1.Holder{{Kind: "Pod", Name: "shop-1", Version: 1, Reason: "it was built for shop@1"}}
	tests := map[string]struct {
		change      func(*contractInput)
		want        contractAction
		wantReason  string
		wantMessage string
	}{
		"everything holds: it runs": {change: func(*contractInput) {}, want: contractRun, wantReason: ReasonContracting},
		"an old reader, no fence yet": {
			change: func(in *contractInput) { in.holders, in.fence = holder, fenceView{} },
			want:   contractWait, wantReason: ReasonWaitingForReaders, wantMessage: "shop-1",
		},
		"an old reader appears while the fence is held": {
			change: func(in *contractInput) { in.holders = holder },
			want:   contractWithdraw, wantReason: ReasonWaitingForReaders,
		},
		"an old reader below a committed fence still holds the step": {
			change: func(in *contractInput) {
				in.holders, in.fence = holder, fenceView{state: v1alpha1.FenceCommitted, version: 5, committed: 5}
			},
			want: contractWait, wantReason: ReasonWaitingForReaders,
		},
		"who reads is not known": {
			change: func(in *contractInput) { in.readersErr = errors.New("pods can not be listed") },
			want:   contractWithdraw, wantReason: ReasonWaitingForReaders, wantMessage: "not known",
		},
		"no fence yet": {
			change: func(in *contractInput) { in.fence = fenceView{} },
			want:   contractPropose, wantReason: ReasonRaisingFence,
		},
		"a committed fence that is too low": {
			change: func(in *contractInput) {
				in.fence = fenceView{state: v1alpha1.FenceCommitted, version: 3, committed: 3}
			},
			want: contractPropose, wantReason: ReasonRaisingFence,
		},
		"a held fence that is too low gives way": {
			change: func(in *contractInput) { in.fence.version = 4 },
			want:   contractWithdraw, wantReason: ReasonRaisingFence,
		},
		"a held fence that is too high was not counted for: it gives way": {
			change: func(in *contractInput) { in.fence.version = 12 },
			want:   contractWithdraw, wantReason: ReasonRaisingFence,
		},
		"held, and the approval is taken back": {
			change: func(in *contractInput) { in.needsApproval = true },
			want:   contractWithdraw, wantReason: ReasonWaitingForApproval,
		},
		"held, and suspended": {
			change: func(in *contractInput) { in.suspended = true },
			want:   contractWithdraw, wantReason: ReasonSuspended,
		},
		"held, and the Database changes to Audit": {
			change: func(in *contractInput) { in.audit, in.needsApproval = true, true },
			want:   contractWithdraw, wantReason: ReasonWaitingForApproval,
		},
		"a step whose need is committed already still soaks": {
			change: func(in *contractInput) {
				in.fence = fenceView{state: v1alpha1.FenceCommitted, version: 12, committed: 12}
				in.soak, in.quietFor = 24*time.Hour, time.Minute
			},
			want: contractWait, wantReason: ReasonSoaking,
		},
		"a step whose need is committed already still waits for approval": {
			change: func(in *contractInput) {
				in.fence, in.needsApproval = fenceView{state: v1alpha1.FenceCommitted, version: 12, committed: 12}, true
			},
			want: contractWait, wantReason: ReasonWaitingForApproval,
		},
		"proposed: it has to be proved": {
			change: func(in *contractInput) { in.fence.state, in.fence.heldFor = v1alpha1.FenceProposed, 0 },
			want:   contractHold, wantReason: ReasonRaisingFence,
		},
		"held, but a request admitted before may still be on its way": {
			change: func(in *contractInput) { in.fence.heldFor = 59 * time.Second },
			want:   contractWait, wantReason: ReasonRaisingFence, wantMessage: "1s",
		},
		"held, but one API server does not refuse": {
			change: func(in *contractInput) { in.proofErr = errors.New("10.0.0.2:6443 still lets in") },
			want:   contractWithdraw, wantReason: ReasonFenceNotStanding,
		},
		"committed, but one API server does not refuse": {
			change: func(in *contractInput) {
				in.fence = fenceView{state: v1alpha1.FenceCommitted, version: 5, committed: 5}
				in.proofErr = errors.New("10.0.0.2:6443 still lets in")
			},
			want: contractWait, wantReason: ReasonFenceNotStanding,
		},
		"committed before, for another step: requests are long over": {
			change: func(in *contractInput) {
				in.fence = fenceView{state: v1alpha1.FenceCommitted, version: 5, committed: 5}
			},
			want: contractRun, wantReason: ReasonContracting,
		},
		"soaking": {
			change: func(in *contractInput) { in.fence, in.soak, in.quietFor = fenceView{}, time.Hour, time.Minute },
			want:   contractWait, wantReason: ReasonSoaking, wantMessage: "59m0s",
		},
		"not approved": {
			change: func(in *contractInput) { in.fence, in.needsApproval = fenceView{}, true },
			want:   contractWait, wantReason: ReasonWaitingForApproval, wantMessage: "interlock.dev/approve=abc",
		},
		"approved": {
			change: func(in *contractInput) { in.fence, in.needsApproval, in.approved = fenceView{}, true, true },
			want:   contractPropose, wantReason: ReasonRaisingFence,
		},
		"audit: approved and proposed, no proof is asked for": {
			change: func(in *contractInput) {
				in.audit, in.needsApproval, in.approved, in.fence.heldFor = true, true, true, 0
			},
			want: contractRun, wantReason: ReasonContracting, wantMessage: "without a fence",
		},
		"audit never runs without approval": {
			change: func(in *contractInput) { in.audit, in.needsApproval, in.fence = true, true, fenceView{} },
			want:   contractWait, wantReason: ReasonWaitingForApproval,
		},
		"suspended before the fence": {
			change: func(in *contractInput) { in.suspended, in.fence = true, fenceView{} },
			want:   contractWait, wantReason: ReasonSuspended,
		},
		"begun and killed: it is completed under the same fence": {
			change: func(in *contractInput) { in.started, in.fence.heldFor = true, 0 },
			want:   contractRun, wantReason: ReasonContracting, wantMessage: "completed",
		},
		"begun, but the fence is gone: nothing is taken for granted": {
			change: func(in *contractInput) { in.started, in.fence, in.holders = true, fenceView{}, holder },
			want:   contractWait, wantReason: ReasonWaitingForReaders,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			in := runnable()
			tt.change(&in)
			got := decideContract(in)
			if got.action != tt.want || got.reason != tt.wantReason || !strings.Contains(got.message, tt.wantMessage) {
				t.Errorf("got %s %s %q, want %s %s …%s…", got.action, got.reason, got.message, tt.want, tt.wantReason, tt.wantMessage)
			}
		})
	}
}

func TestMayStart(t *testing.T) {
	data := map[string]string{"shop.ready": "4", "billing.ready": "1"}
	tests := map[string]struct {
		labels map[string]string
		want   bool
	}{
		"at ready":              {map[string]string{"schema.interlock.dev/shop": "4"}, true},
		"above ready":           {map[string]string{"schema.interlock.dev/shop": "5"}, false},
		"one of two is above":   {map[string]string{"schema.interlock.dev/shop": "4", "schema.interlock.dev/billing": "2"}, false},
		"a series nobody knows": {map[string]string{"schema.interlock.dev/stock": "1"}, false},
		"not a number":          {map[string]string{"schema.interlock.dev/shop": "new"}, false},
		"no stamps":             {map[string]string{"app": "shop"}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := mayStart(tt.labels, data); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
