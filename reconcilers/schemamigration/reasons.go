package schemamigration

import (
	"errors"
	"time"

	"github.com/interlock-dev/interlock/reconcilers/internal/halt"
)

// Reasons of the condition Ready, beside those of refused plans (migrations/schema/plan) and of a database
// that can not be reached (migrations/schema/postgres).
const (
	// ReasonMigrated: every expand and backfill step up to the target is applied and verified.
	ReasonMigrated = "Migrated"
	// ReasonProgressing: steps run, or are about to.
	ReasonProgressing = "Progressing"
	// ReasonSuspended: spec.suspend is set, and steps are left to run.
	ReasonSuspended = "Suspended"
	// ReasonDatabaseNotFound: spec.databaseRef names no Database.
	ReasonDatabaseNotFound = "DatabaseNotFound"
	// ReasonSecretNotFound: the Database's Secret, or the key in it, is missing.
	ReasonSecretNotFound = "SecretNotFound"
	// ReasonSourceNotFound: the ConfigMap of the source is missing.
	ReasonSourceNotFound = "SourceNotFound"
	// ReasonSourceInvalid: a migration file can not be read.
	ReasonSourceInvalid = "SourceInvalid"
	// ReasonClassificationRefused: a pending file mixes phases, does not parse, or holds what is not known.
	ReasonClassificationRefused = "ClassificationRefused"
	// ReasonSeriesTaken: an older SchemaMigration in the namespace has the same series.
	ReasonSeriesTaken = "SeriesTaken"
	// ReasonContractFirst: a contract step has to run before the next expand step may, and somebody still
	// reads what it takes away.
	ReasonContractFirst = "ContractFirst"
	// ReasonBusy: another runner works on the series.
	ReasonBusy = "Busy"
	// ReasonStepFailed: a step failed; what it did was undone, or is completed by the next try.
	ReasonStepFailed = "StepFailed"
	// ReasonLocked: a step could not get its lock in time; who blocks it is in the message.
	ReasonLocked = "LockTimeout"
	// ReasonClusterError: the API server did not do what was asked of it.
	ReasonClusterError = "ClusterError"
)

// stalledInterval is how often a migration that needs a change is looked at all the same.
const stalledInterval = 30 * time.Second

func stall(reason, format string, args ...any) error {
	return halt.Stall(stalledInterval, reason, format, args...)
}

// asHalt returns how a pass ended; an error of the API server is tried again.
func asHalt(err error) *halt.Halt {
	var h *halt.Halt
	if errors.As(err, &h) {
		return h
	}
	return &halt.Halt{Reason: ReasonClusterError, Message: err.Error(), After: 5 * time.Second, Cause: err}
}
