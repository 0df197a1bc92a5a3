package schemamigration

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/migrations/schema"
	"github.com/interlock-dev/interlock/migrations/schema/journal"
	"github.com/interlock-dev/interlock/migrations/schema/plan"
	"github.com/interlock-dev/interlock/migrations/schema/postgres"
	"github.com/interlock-dev/interlock/migrations/schema/run"
	"github.com/interlock-dev/interlock/reconcilers/internal/readers"
)

// proofLimit is how long a fence is given to reach the admission of every API server.
const proofLimit = 10 * time.Second

// settleFence brings the fence in line with what the journal says has happened: a contract step that is
// applied has its fence committed, and a fence that no step asks for any more is withdrawn.
func (r *Reconciler) settleFence(ctx context.Context, s *scope) error {
	s.contracting = true
	if settle(s) == nil {
		return nil
	}
	return r.underLock(ctx, s, func(runner *run.Runner) error {
		if move := settle(s); move != nil {
			return r.moveFence(ctx, s, runner, move)
		}
		return nil
	})
}

// settle says which move of the fence is overdue; nil for none.
func settle(s *scope) fenceMove {
	fence := viewFence(s)
	if need := appliedNeed(s.steps, s.state); need > fence.committed {
		return func(ctx context.Context, conn *pgx.Conn) error { return forceCommit(ctx, conn, s, need) }
	}
	if s.decision.Action != plan.ActionContract && fence.raised() && !anyStarted(s) {
		return withdraw(s)
	}
	return nil
}

// fenceMove changes the fence in the journal.
type fenceMove func(context.Context, *pgx.Conn) error

func withdraw(s *scope) fenceMove {
	return func(ctx context.Context, conn *pgx.Conn) error {
		_, err := journal.Withdraw(ctx, conn, s.obj.Spec.Series, s.state.Fence.Version)
		return err
	}
}

// commit makes the fence that is held final; one that is final already stays.
func commit(s *scope) fenceMove {
	return func(ctx context.Context, conn *pgx.Conn) error {
		_, err := journal.Commit(ctx, conn, s.obj.Spec.Series, s.state.Fence.Version)
		return err
	}
}

// forceCommit brings the fence to where an applied contract step is, whatever the fence was before: the
// step is history, so nothing below it works.
func forceCommit(ctx context.Context, conn *pgx.Conn, s *scope, need int64) error {
	series := s.obj.Spec.Series
	if f := viewFence(s); f.raised() && f.version < need {
		if _, err := journal.Withdraw(ctx, conn, series, f.version); err != nil {
			return err
		}
	} else if f.raised() {
		need = f.version
	}
	if !viewFence(s).stands(need) {
		if _, err := journal.Propose(ctx, conn, series, need, oldestRevision(s, need)); err != nil {
			return err
		}
	}
	if _, err := journal.Hold(ctx, conn, series, need); err != nil {
		return err
	}
	_, err := journal.Commit(ctx, conn, series, need)
	return err
}

// underLock opens the series' one runner, reads the journal again, and acts. What was decided without the
// lock may be old by now: another operator may have moved the fence in between, so whoever acts decides
// again in here.
func (r *Reconciler) underLock(ctx context.Context, s *scope, act func(*run.Runner) error) error {
	runner, err := r.openRunner(ctx, s)
	if err != nil {
		return err
	}
	defer closeRunner(runner)
	return s.on(runner.Conn(), func() error {
		if err := r.decide(ctx, s); err != nil {
			return err
		}
		if err := recordVersions(ctx, s, runner); err != nil {
			return err
		}
		return act(runner)
	})
}

// appliedNeed is the highest version that an applied contract step needs its readers at.
func appliedNeed(steps []plan.Step, state journal.State) int64 {
	var need int64
	for _, step := range steps {
		if done := state.Step(step.Version); done != nil && done.State == journal.StepVerified && done.Phase == schema.PhaseContract {
			need = max(need, step.NeedsReaders)
		}
	}
	return need
}

// anyStarted says whether a contract step was begun and not finished.
func anyStarted(s *scope) bool {
	for _, step := range s.state.Steps {
		if step.Phase == schema.PhaseContract && begun(&step) {
			return true
		}
	}
	return false
}

// begun says whether a step may have changed the database without being known to be done: goose has recorded
// it, or some of its statements ran outside a transaction. One that only said that it would, or failed as a
// whole, has changed nothing.
func begun(step *journal.Step) bool {
	return step != nil && step.State != journal.StepVerified && (step.State == journal.StepApplied || step.Partial)
}

// contract does the next thing about the next contract step.
func (r *Reconciler) contract(ctx context.Context, s *scope) error {
	if s.decision.Action != plan.ActionContract {
		return nil
	}
	verdict := decideContract(r.contractInput(ctx, s))
	s.contract, s.after = &verdict, verdict.after
	if verdict.action == contractWait {
		return nil
	}
	return r.underLock(ctx, s, func(runner *run.Runner) error { return r.act(ctx, s, runner) })
}

// act decides once more, under the lock, and does it.
func (r *Reconciler) act(ctx context.Context, s *scope, runner *run.Runner) error {
	if s.decision.Action != plan.ActionContract {
		s.contract, s.after = nil, time.Millisecond
		return nil
	}
	in := r.contractInput(ctx, s)
	verdict := decideContract(in)
	s.contract, s.after = &verdict, verdict.after
	switch verdict.action {
	case contractPropose:
		return r.propose(ctx, s, runner, in.need)
	case contractHold:
		return r.hold(ctx, s, runner, in)
	case contractWithdraw:
		return r.moveFence(ctx, s, runner, withdraw(s))
	case contractRun:
		return r.runContract(ctx, s, runner)
	}
	return nil
}

// contractInput gathers what the decision needs, in the order that makes it sound: the proof first, then
// pods and templates by consistent reads, then sessions.
func (r *Reconciler) contractInput(ctx context.Context, s *scope) contractInput {
	step := *s.decision.Step
	in := contractInput{
		series: s.obj.Spec.Series, step: step, need: step.NeedsReaders, fence: viewFence(s),
		audit: s.audit(), hash: s.decision.Hash, soak: s.obj.Spec.Contract.Soak.Duration,
		requestTimeout: r.RequestTimeout + etcdMargin, suspended: s.obj.Spec.Suspend,
	}
	in.started = begun(s.state.Step(step.Version))
	in.needsApproval = in.audit || s.obj.Spec.Contract.Approval == v1alpha1.ApprovalManual
	in.approved = s.obj.Annotations[v1alpha1.ApproveAnnotation] == s.decision.Hash
	if !in.audit && in.fence.stands(step.NeedsReaders) {
		in.proofErr = r.prove(ctx, s, step.NeedsReaders)
	}
	below, err := r.countReaders(ctx, s)
	if err != nil {
		in.readersErr = err
		s.obj.Status.QuietSince = nil
		return in
	}
	in.holders = below(in.need)
	s.holders = in.holders
	in.quietFor = r.quiet(s, in.need)
	return in
}

// prove asks every API server whether the fence stands there.
func (r *Reconciler) prove(ctx context.Context, s *scope, version int64) error {
	return proveFence(ctx, r.Config, r.Live, proof{namespace: s.obj.Namespace, series: s.obj.Spec.Series, version: version,
		secrets: s.db.Spec.Readers.Secrets})
}

// quiet keeps since when nobody below a version was seen, and returns for how long.
func (r *Reconciler) quiet(s *scope, need int64) time.Duration {
	if len(s.holders) > 0 {
		s.obj.Status.QuietSince = nil
		return 0
	}
	if s.obj.Status.QuietSince == nil || s.obj.Status.QuietBelow != need {
		now := metav1.NewTime(r.Clock.Now())
		s.obj.Status.QuietSince, s.obj.Status.QuietBelow = &now, need
	}
	return r.Clock.Since(s.obj.Status.QuietSince.Time)
}

// countReaders lists everybody once and returns who is below a version.
func (r *Reconciler) countReaders(ctx context.Context, s *scope) (func(int64) []v1alpha1.Holder, error) {
	pods, templates, err := readers.List(ctx, r.Live, s.obj.Namespace)
	if err != nil {
		return nil, err
	}
	sessions, err := postgres.Sessions(ctx, s.conn, s.db.Spec.Readers.IgnoreRoles)
	if err != nil {
		return nil, err
	}
	return func(need int64) []v1alpha1.Holder {
		return readers.Judge(readers.Input{Series: s.obj.Spec.Series, Need: need, Readers: s.db.Spec.Readers,
			Pods: pods, Templates: templates, Sessions: sessions})
	}, nil
}

// propose writes the fence to the journal and publishes it.
func (r *Reconciler) propose(ctx context.Context, s *scope, runner *run.Runner, need int64) error {
	if _, err := journal.Propose(ctx, runner.Conn(), s.obj.Spec.Series, need, oldestRevision(s, need)); err != nil {
		return databaseHalt(s, err)
	}
	r.Recorder.Eventf(s.obj, "Normal", "FenceProposed", "the fence goes to %d: nothing below it may start", need)
	return r.publish(ctx, s)
}

// oldestRevision names the first revision whose image works at a version; empty where there is no fence.
func oldestRevision(s *scope, need int64) string {
	if need == 0 {
		return ""
	}
	var oldest *journal.Image
	for i := range s.state.Images {
		if img := &s.state.Images[i]; img.Version >= need && (oldest == nil || img.FirstSeen.Before(oldest.FirstSeen)) {
			oldest = img
		}
	}
	switch {
	case oldest != nil && oldest.Revision != "":
		return fmt.Sprintf("%s (image %s)", oldest.Revision, oldest.Image)
	case s.state.Fence.Version == need && s.state.Fence.OldestRevision != "":
		return s.state.Fence.OldestRevision
	case s.obj.Spec.Revision != "":
		return s.obj.Spec.Revision
	default:
		return fmt.Sprintf("one built for %s@%d", s.obj.Spec.Series, need)
	}
}

// hold proves the fence at every API server and, once it stands, records since when.
func (r *Reconciler) hold(ctx context.Context, s *scope, runner *run.Runner, in contractInput) error {
	if err := r.publish(ctx, s); err != nil {
		return err
	}
	if !in.audit {
		err := proveFenceWithin(ctx, proofLimit, func(ctx context.Context) error {
			return r.prove(ctx, s, s.state.Fence.Version)
		})
		if err != nil {
			s.contract.reason, s.contract.after = ReasonFenceNotStanding, 15*time.Second
			s.contract.message = fmt.Sprintf("contract step %s waits: the fence does not stand: %v", in.step.Name, err)
			return r.moveFence(ctx, s, runner, withdraw(s))
		}
	}
	return r.moveFence(ctx, s, runner, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := journal.Hold(ctx, conn, s.obj.Spec.Series, s.state.Fence.Version)
		return err
	})
}

// moveFence changes the fence in the journal, then in the mirror.
func (r *Reconciler) moveFence(ctx context.Context, s *scope, runner *run.Runner, move fenceMove) error {
	if err := move(ctx, runner.Conn()); err != nil {
		return databaseHalt(s, err)
	}
	return r.publish(ctx, s)
}

// runContract runs the step under the fence and commits the fence when it is done. A step that failed and
// left nothing behind gives the fence back, so that going back stays possible; one that only waits for a
// lock keeps it.
func (r *Reconciler) runContract(ctx context.Context, s *scope, runner *run.Runner) error {
	step := *s.decision.Step
	if err := r.applyStep(ctx, s, runner, step); err != nil {
		return errors.Join(err, r.giveBack(ctx, s, runner, step, err))
	}
	s.running = nil
	if err := r.moveFence(ctx, s, runner, commit(s)); err != nil {
		return err
	}
	r.Recorder.Eventf(s.obj, "Normal", "Contracted", "contract step %s is applied; nothing below %s@%d comes back",
		step.Name, s.obj.Spec.Series, step.NeedsReaders)
	s.contract, s.after = nil, time.Millisecond
	return nil
}

// giveBack withdraws the fence of a contract step that failed as a whole.
func (r *Reconciler) giveBack(ctx context.Context, s *scope, runner *run.Runner, step plan.Step, failure error) error {
	c, _ := s.class(step.Version)
	var locked *run.LockError
	if c.File.NoTransaction || errors.As(failure, &locked) || !viewFence(s).raised() {
		return nil
	}
	state, err := journal.Read(ctx, runner.Conn(), s.obj.Spec.Series)
	if err != nil {
		return databaseHalt(s, err) // not known to have left nothing behind: the fence stays
	}
	if done := state.Step(step.Version); done == nil || done.State != journal.StepFailed {
		return nil
	}
	return r.moveFence(ctx, s, runner, withdraw(s))
}

// viewFence is the journal's fence as decisions need it. How long it has been held is told by the
// database's clock alone.
func viewFence(s *scope) fenceView {
	f := s.state.Fence
	v := fenceView{version: f.Version, committed: f.Committed}
	switch f.State {
	case journal.FenceProposed:
		v.state = v1alpha1.FenceProposed
	case journal.FenceHeld:
		v.state, v.heldFor = v1alpha1.FenceHeld, s.databaseNow.Sub(f.Changed)
	case journal.FenceCommitted:
		v.state = v1alpha1.FenceCommitted
	}
	return v
}
