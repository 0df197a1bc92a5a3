package appbundle

import (
	"errors"
	"fmt"
	"time"

	"github.com/interlock-dev/interlock/reconcilers/internal/apply"
	"github.com/interlock-dev/interlock/reconcilers/internal/gitsource"
	"github.com/interlock-dev/interlock/reconcilers/internal/render"
)

// Phases of a revision, in order, as status.phase shows them.
const (
	PhaseFetch    = "Fetch"
	PhaseRender   = "Render"
	PhaseCheck    = "Check"
	PhasePlan     = "Plan"
	PhaseExpand   = "Expand"
	PhaseBackfill = "Backfill"
	PhaseCertify  = "Certify"
	PhaseApply    = "Apply"
	PhaseSettle   = "Settle"
	PhasePrune    = "Prune"
	PhaseContract = "Contract"
	PhaseDone     = "Done"
)

// Reasons of the condition Ready, beside those of the packages gitsource, render and apply.
const (
	// ReasonApplied: the revision is applied and healthy.
	ReasonApplied = "Applied"
	// ReasonProgressing: a revision is on its way.
	ReasonProgressing = "Progressing"
	// ReasonSuspended: spec.suspend is set, and the revision is not applied in full.
	ReasonSuspended = "Suspended"
	// ReasonSecretNotFound: the Secret of spec.git.secretRef is missing.
	ReasonSecretNotFound = "SecretNotFound"
	// ReasonMigrationsInvalid: a migration can not be read, mixes phases, or holds what is not known.
	ReasonMigrationsInvalid = "MigrationsInvalid"
	// ReasonMigrationsTooLarge: the migrations do not fit into a ConfigMap.
	ReasonMigrationsTooLarge = "MigrationsTooLarge"
	// ReasonDatabaseNotFound: a databaseRef names no Database.
	ReasonDatabaseNotFound = "DatabaseNotFound"
	// ReasonDatabaseUnavailable: the journal, which knows for which version an image was built, can not be read.
	ReasonDatabaseUnavailable = "DatabaseUnavailable"
	// ReasonSeriesUnknown: spec.uses names a series that no SchemaMigration of the namespace has.
	ReasonSeriesUnknown = "SeriesUnknown"
	// ReasonSeriesConflict: the name of the bundle's SchemaMigration is taken by somebody else's.
	ReasonSeriesConflict = "SeriesConflict"
	// ReasonStampInvalid: a stamp in Git is no version, or contradicts what is known of the image.
	ReasonStampInvalid = "StampInvalid"
	// ReasonStampUnknown: for which version an image was built can not be derived from the history.
	ReasonStampUnknown = "StampUnknown"
	// ReasonRollbackRefused: the revision needs what a contract step has taken away.
	ReasonRollbackRefused = "RollbackRefused"
	// ReasonTwoStep: a migration lets new code write what running code can not read, and comes with that code.
	ReasonTwoStep = "TwoStep"
	// ReasonSchemaNotReady: expand or backfill steps run, or a fence is being withdrawn.
	ReasonSchemaNotReady = "SchemaNotReady"
	// ReasonSchemaStalled: the SchemaMigration needs somebody to change something.
	ReasonSchemaStalled = "SchemaStalled"
	// ReasonCertManagerMissing: spec.tls is set and the cluster has no cert-manager.
	ReasonCertManagerMissing = "CertManagerMissing"
	// ReasonCertificateNotReady: cert-manager has not issued the certificate yet.
	ReasonCertificateNotReady = "CertificateNotReady"
	// ReasonCertificateConflict: a Certificate of that name belongs to somebody else.
	ReasonCertificateConflict = "CertificateConflict"
	// ReasonSettling: the objects are applied and not healthy yet.
	ReasonSettling = "Settling"
	// ReasonHealthCheckFailed: an object is not healthy after spec.timeout, or says that it will not be.
	ReasonHealthCheckFailed = "HealthCheckFailed"
	// ReasonPruneFailed: what left the bundle can not be deleted.
	ReasonPruneFailed = "PruneFailed"
	// ReasonClusterError: the API server did not do what was asked of it.
	ReasonClusterError = "ClusterError"
)

// Reasons of the condition Contracted; while a step waits it has the reason of the SchemaMigration.
const (
	// ReasonContracted: every contract step up to the revision is applied.
	ReasonContracted = "Contracted"
	// ReasonContractPending: the SchemaMigration has not said yet whether a contract step waits.
	ReasonContractPending = "ContractPending"
)

// EventDriftCorrected is the reason of the event that tells of objects that were not as Git has them.
const EventDriftCorrected = "DriftCorrected"

// halt ends a pass with a reason. It is loud or quiet by what can help: a stalled one waits for a change of the spec,
// the source or a referred object; another one is tried again after a while.
type halt struct {
	reason  string
	message string
	stalled bool
	// waiting: nothing is wrong, the pass is just not over.
	waiting bool
	after   time.Duration
	cause   error
}

func (h *halt) Error() string { return h.reason + ": " + h.message }
func (h *halt) Unwrap() error { return h.cause }

// stall ends a pass until the source or the spec changes; after 0 it is looked at again at the interval.
func stall(reason, format string, args ...any) error {
	return &halt{reason: reason, message: fmt.Sprintf(format, args...), stalled: true}
}

func retryLater(after time.Duration, reason string, cause error) error {
	return &halt{reason: reason, message: cause.Error(), after: after, cause: cause}
}

// wait ends a pass that goes on soon.
func wait(reason, format string, args ...any) error {
	return &halt{reason: reason, message: fmt.Sprintf(format, args...), waiting: true, after: soon}
}

// asHalt returns how a pass ended; an error that no package explained is the API server's and is tried again.
func asHalt(err error) *halt {
	var h *halt
	if errors.As(err, &h) {
		return h
	}
	var git *gitsource.Error
	if errors.As(err, &git) {
		stalled := git.Reason == gitsource.URLInvalid || git.Reason == gitsource.SourceTooLarge
		return &halt{reason: string(git.Reason), message: git.Message, stalled: stalled, after: 10 * time.Second, cause: err}
	}
	var rendered *render.Error
	if errors.As(err, &rendered) {
		return &halt{reason: string(rendered.Reason), message: rendered.Message, stalled: true, cause: err}
	}
	var kind *render.KindError
	if errors.As(err, &kind) {
		return &halt{reason: string(apply.KindUnknown), message: kind.Error(), after: 10 * time.Second, cause: err}
	}
	var applied *apply.Error
	if errors.As(err, &applied) {
		return &halt{reason: string(applied.Reason), message: applied.Message, after: 10 * time.Second, cause: err}
	}
	return &halt{reason: ReasonClusterError, message: err.Error(), after: 5 * time.Second, cause: err}
}
