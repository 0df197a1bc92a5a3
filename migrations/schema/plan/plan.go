package plan

import "github.com/interlock-dev/interlock/migrations/schema"

// Step is one migration of the source.
type Step struct {
	Version int64
	// Name is the base name of the file.
	Name, Checksum string
	Phase          schema.Phase
	// NeedsReaders is the version below which no reader may be left; only contract steps use it.
	NeedsReaders int64
	// Touches are the relations that the step changes, normalised as compat does.
	Touches []string
}

// Applied is one step as the journal remembers it.
type Applied struct {
	Checksum string
	Phase    schema.Phase
	Name     string
}

// Input is everything that a decision depends on.
type Input struct {
	// Steps is the source, in ascending order of versions.
	Steps []Step
	// Applied is what the journal says has been done, by version.
	Applied map[int64]Applied
	// Known are the versions that the journal has ever seen in a source, applied or not, this source not included.
	// A version that is pending, lower than an applied one and not known came late.
	Known []int64
	// Target is the version to reach; 0 is the newest of the source.
	Target int64
	// Committed is the committed fence; 0 is none.
	Committed int64
}

// Action is what to do next.
type Action string

const (
	// ActionExpand: run Step, an expand step.
	ActionExpand Action = "Expand"
	// ActionBackfill: run Step, a backfill step.
	ActionBackfill Action = "Backfill"
	// ActionContract: run Step, a contract step, as soon as no reader below its NeedsReaders is left.
	ActionContract Action = "Contract"
	// ActionDone: nothing is left to do up to the target.
	ActionDone Action = "Done"
	// ActionRefuse: nothing may run; Reason and Message say why.
	ActionRefuse Action = "Refuse"
)

// Reasons of refusals.
const (
	// ReasonEditedMigration: an applied file has another checksum than the journal.
	ReasonEditedMigration = "EditedMigration"
	// ReasonLateVersion: a version appeared below one that is applied.
	ReasonLateVersion = "LateVersion"
	// ReasonSourceBehindFence: the source or the target lacks what the fence, or an applied contract step, has made final.
	ReasonSourceBehindFence = "SourceBehindFence"
	// ReasonTargetMissing: the target is not in the source.
	ReasonTargetMissing = "TargetMissing"
	// ReasonInvalidPlan: the source is not in ascending order, or a step has no runnable phase.
	ReasonInvalidPlan = "InvalidPlan"
)

// Decision is the next thing to do and where the series stands.
type Decision struct {
	Action Action
	// Step is what to run for Expand, Backfill and Contract.
	Step            *Step
	Reason, Message string
	// Ready is the largest version ≤ target such that every expand and backfill step up to it is applied.
	Ready int64
	// Contracted is the largest version ≤ target such that every step up to it is applied.
	Contracted int64
	// Target is the version that Input.Target stands for.
	Target int64
	// Pending is what remains, in the order in which it will run.
	Pending []Step
	// InOrder: Step is a contract step that must run before the next expand or backfill step may.
	InOrder bool
	// Hash names the pending steps: 12 hex digits over their versions and checksums. An approval speaks for it.
	Hash string
}

// Decide says what to do next.
func Decide(in Input) Decision { return Decision{} }
