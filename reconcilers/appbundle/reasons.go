package appbundle

import (
	"errors"
	"time"

	"github.com/interlock-dev/interlock/reconcilers/internal/apply"
	"github.com/interlock-dev/interlock/reconcilers/internal/gitsource"
	"github.com/interlock-dev/interlock/reconcilers/internal/halt"
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

// stall ends a pass until the source or the spec changes; it is looked at again at the interval.
func stall(reason, format string, args ...any) error { return halt.Stall(0, reason, format, args...) }

// wait ends a pass that goes on soon.
func wait(reason, format string, args ...any) error { return halt.Wait(soon, reason, format, args...) }

// asHalt returns how a pass ended; an error that no package explained is the API server's and is tried again.
func asHalt(err error) *halt.Halt {
	var h *halt.Halt
	if errors.As(err, &h) {
		return h
	}
	var git *gitsource.Error
	if errors.As(err, &git) {
		stalled := git.Reason == gitsource.URLInvalid || git.Reason == gitsource.SourceTooLarge
		return &halt.Halt{Reason: string(git.Reason), Message: git.Message, Stalled: stalled, After: 10 * time.Second, Cause: err}
	}
	var rendered *render.Error
	if errors.As(err, &rendered) {
		return &halt.Halt{Reason: string(rendered.Reason), Message: rendered.Message, Stalled: true, Cause: err}
	}
	var kind *render.KindError
	if errors.As(err, &kind) {
		return &halt.Halt{Reason: string(apply.KindUnknown), Message: kind.Error(), After: 10 * time.Second, Cause: err}
	}
	var applied *apply.Error
	if errors.As(err, &applied) {
		return &halt.Halt{Reason: string(applied.Reason), Message: applied.Message, After: 10 * time.Second, Cause: err}
	}
	return &halt.Halt{Reason: ReasonClusterError, Message: err.Error(), After: 5 * time.Second, Cause: err}
}
