package schema

// Phase is when a statement, or a whole migration, may run relative to the roll-out of code.
type Phase string

const (
	// PhaseExpand: every live version keeps working.
	PhaseExpand Phase = "expand"
	// PhaseBackfill moves data in batches; every live version keeps working.
	PhaseBackfill Phase = "backfill"
	// PhaseContract breaks versions that still use what it takes away, or tightens what writers may write.
	PhaseContract Phase = "contract"
	// PhaseMixed: a file whose statements belong to several phases; it has to be split.
	PhaseMixed Phase = "mixed"
	// PhaseUnknown: a statement that can not be classified; it is refused unless assumed with a reason.
	PhaseUnknown Phase = "unknown"
)

// File is one goose SQL migration, <version>_<name>.sql.
type File struct {
	// Version is the number before the first underscore; at least 1.
	Version int64
	// Name is the base name of the file, for messages.
	Name string
	// Source is the whole text.
	Source string
	// Checksum is the SHA-256 of Source in hex.
	Checksum string
	// NoTransaction is set by "-- +goose NO TRANSACTION".
	NoTransaction bool
	// Up and Down are the statements of the two directions, in order.
	Up, Down []Statement
	// DeclaredPhase is set by "-- +interlock phase contract" (or backfill): stricter than the classifier.
	DeclaredPhase Phase
	// AssumeReason is set by "-- +interlock assume expand reason=\"…\"": laxer than the classifier, and it
	// ends up in the receipt.
	AssumeReason string
	// AssumePhase is the phase that AssumeReason speaks for; empty when nothing is assumed.
	AssumePhase Phase
	// Since is set by "-- +interlock since 12": a contract step that needs readers at 12 or newer.
	Since int64
}

// Statement is one SQL statement of a file.
type Statement struct {
	// SQL text, without the annotations of goose, with its comments.
	SQL string
	// Line on which the statement starts, from 1.
	Line int
}

// NeedsReaders is the version below which no reader may be left before this file's contract step runs.
func (f File) NeedsReaders() int64 {
	if f.Since > 0 {
		return f.Since
	}
	return f.Version
}
