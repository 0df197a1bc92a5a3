package schemamigration

import (
	"fmt"
	"time"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/migrations/schema/plan"
)

// Reasons of the condition Contracted.
const (
	// ReasonContracted: every contract step up to the target is applied.
	ReasonContracted = "Contracted"
	// ReasonWaitingForReaders: somebody below the step is left, or who is left is not known.
	ReasonWaitingForReaders = "WaitingForReaders"
	// ReasonSoaking: nobody below the step is left, but not for long enough.
	ReasonSoaking = "Soaking"
	// ReasonWaitingForApproval: the annotation interlock.dev/approve does not name the plan's hash.
	ReasonWaitingForApproval = "WaitingForApproval"
	// ReasonRaisingFence: the fence is being published, proved, and the requests admitted before it waited out.
	ReasonRaisingFence = "RaisingFence"
	// ReasonFenceNotStanding: an API server still lets old readers in; the fence was withdrawn.
	ReasonFenceNotStanding = "FenceNotStanding"
	// ReasonContracting: the step runs.
	ReasonContracting = "Contracting"
	// ReasonContractFailed: the step failed; nothing of it is left in the database.
	ReasonContractFailed = "ContractFailed"
	// ReasonExpandFirst: expand and backfill steps come first.
	ReasonExpandFirst = "ExpandFirst"
)

// contractAction is what to do next about a contract step.
type contractAction string

const (
	contractWait     contractAction = "wait"
	contractPropose  contractAction = "propose"
	contractHold     contractAction = "hold"
	contractWithdraw contractAction = "withdraw"
	contractRun      contractAction = "run"
)

// fenceView is the fence of a series, as far as a decision needs it.
type fenceView struct {
	state     v1alpha1.FenceState
	version   int64
	committed int64
	// heldFor is how long the fence has been held, by the database's clock.
	heldFor time.Duration
}

// stands says whether the fence is up at a version or above: held, or committed.
func (f fenceView) stands(version int64) bool {
	return f.committed >= version || f.state == v1alpha1.FenceHeld && f.version >= version
}

// raised says whether a fence above the committed one is proposed or held.
func (f fenceView) raised() bool {
	return f.state == v1alpha1.FenceProposed || f.state == v1alpha1.FenceHeld
}

// contractInput is everything that the decision about a contract step depends on.
type contractInput struct {
	series string
	// need is the version below which no reader may be left.
	need  int64
	step  plan.Step
	fence fenceView
	// started: the step was begun before and half of it may be done, so that only its end is safe.
	started bool
	// holders were counted after heldFor was read; readersErr says why they could not be.
	holders    []v1alpha1.Holder
	readersErr error
	// proofErr says where the fence does not stand; only asked for while it is held or committed.
	proofErr       error
	audit          bool
	needsApproval  bool
	approved       bool
	hash           string
	quietFor, soak time.Duration
	requestTimeout time.Duration
	suspended      bool
}

// contractVerdict is the decision, with the reason and the words for status.
type contractVerdict struct {
	action          contractAction
	reason, message string
	// after is when to look again.
	after time.Duration
}

// decideContract says what to do next about a contract step (design §4, "The fence"). It never says run
// unless the fence stands, was proved to stand, requests admitted before it are over, and nobody below was
// counted after that. Missing knowledge counts as an old reader.
func decideContract(in contractInput) contractVerdict {
	if in.started && in.fence.stands(in.need) {
		return contractVerdict{contractRun, ReasonContracting, fmt.Sprintf("contract step %s was begun and is completed", in.step.Name), 0}
	}
	if v, waits := waitsForReaders(in); waits {
		return v
	}
	if v, waits := waitsForPeople(in); waits {
		return v
	}
	return raiseFence(in)
}

func waitsForReaders(in contractInput) (contractVerdict, bool) {
	v := contractVerdict{action: contractWait, reason: ReasonWaitingForReaders, after: 3 * time.Second}
	switch {
	case in.readersErr != nil:
		v.message = fmt.Sprintf("contract step %s waits: who reads %s is not known: %v", in.step.Name, in.series, in.readersErr)
	case len(in.holders) > 0:
		v.message = fmt.Sprintf("contract step %s waits for %s", in.step.Name, describeHolders(in.holders))
	default:
		return v, false
	}
	if in.fence.raised() {
		v.action = contractWithdraw
	}
	return v, true
}

func waitsForPeople(in contractInput) (contractVerdict, bool) {
	v := contractVerdict{action: contractWait, after: 10 * time.Second}
	switch {
	case in.suspended:
		v.reason, v.message = ReasonSuspended, fmt.Sprintf("contract step %s waits: spec.suspend is set", in.step.Name)
	case in.quietFor < in.soak:
		left := (in.soak - in.quietFor).Round(time.Second)
		v.reason, v.message, v.after = ReasonSoaking, fmt.Sprintf(
			"contract step %s waits: the last old reader is gone, %s of the soak time %s are left; going back is still possible",
			in.step.Name, left, in.soak), min(left+time.Second, 10*time.Second)
	case in.needsApproval && !in.approved:
		v.reason, v.message = ReasonWaitingForApproval, fmt.Sprintf(
			"contract step %s waits for approval: annotate with %s=%s", in.step.Name, v1alpha1.ApproveAnnotation, in.hash)
	default:
		return v, false
	}
	if in.fence.raised() {
		v.action = contractWithdraw
	}
	return v, true
}

func raiseFence(in contractInput) contractVerdict {
	v := contractVerdict{reason: ReasonRaisingFence, after: time.Second}
	name := in.step.Name
	switch {
	case in.fence.raised() && in.fence.version != in.need && !in.fence.committedAt(in.need):
		// Readers were counted below this step's need alone: no other fence may stand for it.
		v.action, v.message = contractWithdraw, fmt.Sprintf("contract step %s waits: the fence at %d gives way to one at %d", name, in.fence.version, in.need)
	case in.audit && in.fence.stands(in.need):
		v.action, v.reason, v.message = contractRun, ReasonContracting, fmt.Sprintf("contract step %s runs, approved, without a fence (enforcement Audit)", name)
	case in.fence.state == v1alpha1.FenceProposed && in.fence.version == in.need && !in.fence.committedAt(in.need):
		v.action, v.message = contractHold, fmt.Sprintf("contract step %s waits: the fence at %d is being proved at every API server", name, in.fence.version)
	case !in.fence.stands(in.need):
		v.action, v.message = contractPropose, fmt.Sprintf("contract step %s waits: the fence goes to %d", name, in.need)
	case in.proofErr != nil:
		v.action, v.reason, v.after = contractWithdraw, ReasonFenceNotStanding, 5*time.Second
		v.message = fmt.Sprintf("contract step %s waits: the fence does not stand: %v", name, in.proofErr)
		if in.fence.committedAt(in.need) {
			v.action = contractWait
		}
	case !in.fence.committedAt(in.need) && in.fence.heldFor < in.requestTimeout:
		left := (in.requestTimeout - in.fence.heldFor).Round(time.Second)
		v.action, v.after = contractWait, min(left+100*time.Millisecond, 2*time.Second)
		v.message = fmt.Sprintf("contract step %s waits %s for requests that were admitted before the fence stood", name, left)
	default:
		v.action, v.reason, v.message = contractRun, ReasonContracting, fmt.Sprintf("contract step %s runs", name)
	}
	return v
}

// committedAt says whether the committed fence covers a version.
func (f fenceView) committedAt(version int64) bool { return f.committed >= version }

// describeHolders names the first holder and counts the rest.
func describeHolders(holders []v1alpha1.Holder) string {
	first := holders[0]
	text := fmt.Sprintf("%s %s: %s", first.Kind, first.Name, first.Reason)
	if more := len(holders) - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}
	return text
}
