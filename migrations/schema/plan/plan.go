package plan

import "github.com/interlock-dev/interlock/migrations/schema"

// Everything is the entry in Touches of a step that may touch any object, such as a DO block.
const Everything = "*"

// Step is one migration of the source.
type Step struct {
	Version int64
	// Name is the base name of the file.
	Name, Checksum string
	Phase          schema.Phase
	// NeedsReaders is the version below which no reader may be left; only contract steps use it.
	NeedsReaders int64
	// Touches are the relations that the step changes, normalised as compat does; Everything touches all.
	Touches []string
}

// Applied is one step as the journal remembers it.
type Applied struct {
	// Checksum may be empty for a step that was there before the journal; then it is not compared.
	Checksum string
	Phase    schema.Phase
	Name     string
	// NeedsReaders is that of the step when it ran; 0 stands for its version.
	NeedsReaders int64
}

// Input is everything that a decision depends on.
type Input struct {
	// Steps is the source, in ascending order of versions.
	Steps []Step
	// Applied is what the journal says has been done, by version.
	Applied map[int64]Applied
	// Known are the versions that the journal has seen in a source, applied or not. Record the versions of a source
	// only after a decision that was no refusal: a pending version that is lower than an applied one and not
	// known came late, and it must not become known by being refused.
	Known []int64
	// Baseline: versions up to it count as applied, whether the source has them or not; 0 is none.
	Baseline int64
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
	// ReasonMissingMigration: an applied version below the target is no longer in the source.
	ReasonMissingMigration = "MissingMigration"
	// ReasonSourceBehindFence: the source, or the target, is older than what a contract step made final.
	ReasonSourceBehindFence = "SourceBehindFence"
	// ReasonTargetMissing: the target is not in the source, or lies below the baseline.
	ReasonTargetMissing = "TargetMissing"
	// ReasonInvalidPlan: the source is not in ascending order, or a step that has to run has no runnable phase.
	ReasonInvalidPlan = "InvalidPlan"
)

// Decision is the next thing to do and where the series stands.
type Decision struct {
	Action Action
	// Step is what to run for Expand, Backfill and Contract.
	Step *Step
	// Reason is set for a refusal; Message says in one sentence what is next or what to do.
	Reason, Message string
	// Ready is the largest version ≤ target such that every expand and backfill step up to it is applied.
	// For a refusal it is 0, as is Contracted: whoever publishes them keeps what stands.
	Ready int64
	// Contracted is the largest version ≤ target such that every step up to it is applied.
	Contracted int64
	// Target is the version that Input.Target stands for.
	Target int64
	// Pending is what remains, in the order in which it will run.
	Pending []Step
	// InOrder: Step is a contract step that must run before the next expand or backfill step may, because both
	// touch the same object.
	InOrder bool
	// Hash names the pending steps: 12 hex digits over their versions and checksums; empty if there are none.
	// An approval speaks for it.
	Hash string
}
