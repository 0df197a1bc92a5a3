package schemamigration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/migrations/schema"
	"github.com/interlock-dev/interlock/migrations/schema/journal"
	"github.com/interlock-dev/interlock/migrations/schema/plan"
	"github.com/interlock-dev/interlock/migrations/schema/postgres"
	"github.com/interlock-dev/interlock/migrations/schema/run"
	"github.com/interlock-dev/interlock/reconcilers/internal/halt"
	"github.com/interlock-dev/interlock/reconcilers/internal/params"
)

// applicationName is what Interlock calls itself in the database.
const applicationName = "interlock"

// connect opens the pass's session. It is for reading; steps run on a session of their own.
func (r *Reconciler) connect(ctx context.Context, s *scope) error {
	conn, err := postgres.Connect(ctx, s.uri, postgres.Options{ApplicationName: applicationName})
	if err != nil {
		return databaseHalt(s, err)
	}
	s.conn = conn
	if s.identity, err = postgres.ReadIdentity(ctx, conn); err != nil {
		return databaseHalt(s, err)
	}
	if s.identity.InRecovery {
		return databaseHalt(s, &postgres.Error{Reason: postgres.Standby, Message: "the server is a standby and its journal may be old; name the primary in the connection"})
	}
	return nil
}

// databaseHalt turns an error of the database into one with the Database's name in it.
func databaseHalt(s *scope, err error) error {
	reason := ReasonStepFailed
	var pe *postgres.Error
	if errors.As(err, &pe) {
		reason = string(pe.Reason)
	}
	return halt.Retry(5*time.Second, reason, fmt.Errorf("Database %q: %w", s.db.Name, err))
}

// decide reads the journal and decides what is next.
func (r *Reconciler) decide(ctx context.Context, s *scope) error {
	state, err := journal.Read(ctx, s.conn, s.obj.Spec.Series)
	if err != nil {
		return databaseHalt(s, err)
	}
	if err := s.conn.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&s.databaseNow); err != nil {
		return databaseHalt(s, err)
	}
	s.take(state)
	if err := refusePending(s); err != nil {
		return err
	}
	if s.decision.Action == plan.ActionRefuse {
		return stall(s.decision.Reason, "%s", s.decision.Message)
	}
	return nil
}

// take makes a state of the journal the one that the pass goes by.
func (s *scope) take(state journal.State) {
	s.state = state
	s.decision = plan.Decide(planInput(s.steps, state, s.target()))
}

// planInput makes the plan's input from the source and the journal.
func planInput(steps []plan.Step, state journal.State, target int64) plan.Input {
	needs := map[int64]int64{}
	for _, step := range steps {
		needs[step.Version] = step.NeedsReaders
	}
	applied := map[int64]plan.Applied{}
	for _, step := range state.Steps {
		if step.State == journal.StepVerified {
			applied[step.Version] = plan.Applied{Checksum: step.Checksum, Phase: step.Phase, Name: step.Name, NeedsReaders: needs[step.Version]}
		}
	}
	known := make([]int64, 0, len(state.Versions))
	for _, v := range state.Versions {
		known = append(known, v.Version)
	}
	return plan.Input{Steps: steps, Applied: applied, Known: known, Target: target, Committed: state.Fence.Committed}
}

// publish mirrors what may start, and the fence, into the params objects, then lets gated pods go.
func (r *Reconciler) publish(ctx context.Context, s *scope) error {
	publisher := params.Publisher{Client: r.Client, Live: r.Live}
	_, err := publisher.Publish(ctx, s.obj.Namespace, func(ctx context.Context) (params.Entry, error) {
		state, err := journal.Read(ctx, s.conn, s.obj.Spec.Series)
		if err != nil {
			return params.Entry{}, databaseHalt(s, err)
		}
		if s.take(state); s.decision.Action == plan.ActionRefuse {
			return params.Entry{}, stall(s.decision.Reason, "%s", s.decision.Message)
		}
		return entryOf(s), nil
	})
	if err != nil {
		return err
	}
	s.gatedNow, err = r.openGates(ctx, s.obj.Namespace, s.obj.Spec.Series)
	return err
}

// entryOf says what the policies have to know of the series now.
func entryOf(s *scope) params.Entry {
	return params.Entry{
		Series:      s.obj.Spec.Series,
		Ready:       s.decision.Ready,
		Min:         fenceMin(s.state.Fence),
		Hint:        oldestRevision(s, fenceMin(s.state.Fence)),
		Secrets:     s.db.Spec.Readers.Secrets,
		Exempt:      s.db.Spec.Readers.ExemptServiceAccounts,
		Enforcement: s.db.Spec.Enforcement,
		Server:      params.Server{SystemIdentifier: s.identity.SystemIdentifier, Timeline: s.identity.Timeline},
	}
}

// fenceMin is the version that admission refuses below: a fence is published as soon as it is proposed.
func fenceMin(f journal.Fence) int64 {
	if f.State == journal.FenceProposed || f.State == journal.FenceHeld {
		return max(f.Version, f.Committed)
	}
	return f.Committed
}

// migrate runs expand and backfill steps until a contract step, or nothing, is next.
func (r *Reconciler) migrate(ctx context.Context, s *scope) error {
	if s.decision.Action != plan.ActionExpand && s.decision.Action != plan.ActionBackfill {
		return nil
	}
	if s.obj.Spec.Suspend {
		return halt.Wait(settled, ReasonSuspended, "step %s waits: spec.suspend is set", s.decision.Step.Name)
	}
	s.running = s.decision.Step
	if err := r.showProgress(ctx, s, "starts"); err != nil {
		return err
	}
	runner, err := r.openRunner(ctx, s)
	if err != nil {
		return err
	}
	defer closeRunner(runner)
	return s.on(runner.Conn(), func() error { return r.runSteps(ctx, s, runner) })
}

// runSteps decides again, under the series' lock, and runs what is next until it is a contract step.
func (r *Reconciler) runSteps(ctx context.Context, s *scope, runner *run.Runner) error {
	if err := r.decide(ctx, s); err != nil {
		return err
	}
	if err := recordVersions(ctx, s, runner); err != nil {
		return err
	}
	for s.decision.Action == plan.ActionExpand || s.decision.Action == plan.ActionBackfill {
		if err := r.applyStep(ctx, s, runner, *s.decision.Step); err != nil {
			return err
		}
		if err := r.publish(ctx, s); err != nil {
			return err
		}
	}
	s.running = nil
	return nil
}

// recordVersions tells the journal which versions the plan was made with. One that turns up below them later is
// late; what lies above the target was not judged yet, and is not recorded.
func recordVersions(ctx context.Context, s *scope, runner *run.Runner) error {
	judged := slices.DeleteFunc(slices.Clone(s.files), func(f schema.File) bool { return f.Version > s.decision.Target })
	if err := journal.RecordVersions(ctx, runner.Conn(), s.obj.Spec.Series, judged); err != nil {
		return databaseHalt(s, err)
	}
	return nil
}

// openRunner opens the one session that may change the series.
func (r *Reconciler) openRunner(ctx context.Context, s *scope) (*run.Runner, error) {
	runner, err := run.Open(ctx, run.Options{
		URI: s.uri, Series: s.obj.Spec.Series, ApplicationName: applicationName,
		LockBudget: time.Minute,
		Progress:   r.progressReporter(ctx, s),
	})
	var busy *run.BusyError
	switch {
	case errors.As(err, &busy):
		return nil, halt.Retry(5*time.Second, ReasonBusy, err)
	case err != nil:
		return nil, databaseHalt(s, err)
	}
	return runner, nil
}

func closeRunner(runner *run.Runner) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	runner.Close(ctx)
}

// applyStep runs one step and leaves a receipt.
func (r *Reconciler) applyStep(ctx context.Context, s *scope, runner *run.Runner, step plan.Step) error {
	c, ok := s.class(step.Version)
	if !ok {
		return fmt.Errorf("step %d is in the plan and not in the source", step.Version)
	}
	started := r.Clock.Now()
	s.running = &step
	if err := r.showProgress(ctx, s, "runs"); err != nil {
		return err
	}
	if err := runner.Apply(ctx, c, s.obj.Spec.Revision); err != nil {
		return stepHalt(s, step, err)
	}
	message := fmt.Sprintf("%s: %s step applied and verified", step.Name, step.Phase)
	for _, a := range c.Assumptions {
		message += "; assumed: " + a
	}
	s.receipt(r.Clock.Now(), started, title(step.Phase), message)
	r.Recorder.Event(s.obj, "Normal", "StepApplied", message)
	return nil
}

// stepHalt tells what failed and what happens next.
func stepHalt(s *scope, step plan.Step, err error) error {
	var locked *run.LockError
	var pe *postgres.Error
	switch {
	case errors.As(err, &locked):
		return halt.Retry(5*time.Second, ReasonLocked, err)
	case errors.As(err, &pe):
		return databaseHalt(s, err)
	default:
		return halt.Retry(15*time.Second, ReasonStepFailed, fmt.Errorf("step %s failed: %w; correct the file, or what it stumbled over: it is tried again", step.Name, err))
	}
}

// finalize takes the series out of the params objects, unless stamped templates still need them: then its
// entries stay as they are, so that a fence outlives the object. It asks nothing of the database.
func (r *Reconciler) finalize(ctx context.Context, obj *v1alpha1.SchemaMigration) error {
	if !slices.Contains(obj.Finalizers, v1alpha1.Finalizer) {
		return nil
	}
	if err := r.forget(ctx, obj); err != nil {
		return err
	}
	obj.Finalizers = slices.DeleteFunc(obj.Finalizers, func(f string) bool { return f == v1alpha1.Finalizer })
	if err := r.Client.Update(ctx, obj); err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	ctrl.LoggerFrom(ctx).Info("the series is no longer looked after", "series", obj.Spec.Series)
	return nil
}
