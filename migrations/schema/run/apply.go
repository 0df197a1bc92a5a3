package run

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	"github.com/pressly/goose/v3/lock"

	"github.com/interlock-dev/interlock/migrations/schema"
	"github.com/interlock-dev/interlock/migrations/schema/compat"
	"github.com/interlock-dev/interlock/migrations/schema/journal"
	"github.com/interlock-dev/interlock/migrations/schema/postgres"
)

// maxDetail bounds what the journal keeps of an error, in bytes.
const maxDetail = 1000

// Apply brings one migration to the state verified, from wherever an earlier runner left it; a verified one is left
// alone. A file with a transaction is applied by goose. One without, and every backfill, is applied statement by
// statement; UPDATE and DELETE of a backfill go in batches. The caller has decided that it may run now.
// Errors: *StatementError, *ChangedError, *LockError, ErrLost, or the context's.
func (r *Runner) Apply(ctx context.Context, c compat.Classified, revision string) error {
	if r.conn == nil {
		return ErrLost
	}
	ctx, cancel := r.working(ctx)
	defer cancel()
	err := r.apply(ctx, c, revision)
	if err != nil && context.Cause(ctx) != nil {
		return fmt.Errorf("%s: %w", c.File.Name, errors.Join(context.Cause(ctx), err))
	}
	if err != nil && r.conn.IsClosed() {
		return fmt.Errorf("%s: %w (%v)", c.File.Name, ErrLost, err) //nolint:errorlint // the cause must not look like one to try again
	}
	return err
}

func (r *Runner) apply(ctx context.Context, c compat.Classified, revision string) error {
	switch c.Phase {
	case schema.PhaseExpand, schema.PhaseBackfill, schema.PhaseContract:
	default:
		return fmt.Errorf("%s: its phase is %q; only expand, backfill and contract can run", c.File.Name, c.Phase)
	}
	if err := c.Err(); err != nil {
		return err
	}
	statements, err := parseFile(c.File)
	if err != nil {
		return err
	}
	state, err := r.State(ctx)
	if err != nil {
		return err
	}
	step := state.Step(c.File.Version)
	if done := step != nil && (step.State == journal.StepApplied || step.State == journal.StepVerified); done {
		if step.Checksum != c.File.Checksum {
			return &ChangedError{File: c.File.Name}
		}
		if step.State == journal.StepVerified {
			return nil
		}
	} else if err := r.execute(ctx, c, statements, revision); err != nil {
		return r.failed(ctx, c.File, err)
	}
	r.fault("applied")
	if err := r.verify(ctx, c.File, statements); err != nil {
		return r.failed(ctx, c.File, err)
	}
	r.fault("checked")
	return r.mark(ctx, c.File, journal.StepVerified, "")
}

func (r *Runner) execute(ctx context.Context, c compat.Classified, statements []statement, revision string) error {
	if err := r.intent(ctx, c, revision, ""); err != nil {
		return err
	}
	r.fault("intent")
	defer r.resetSession(ctx)
	if c.Phase == schema.PhaseBackfill || c.File.NoTransaction {
		return r.runStatements(ctx, c, statements)
	}
	return r.retry(ctx, c.File.Version, func(ctx context.Context) error { return r.runTransaction(ctx, c.File) })
}

// guard keeps a runner that was replaced from writing: the next one raises the epoch, and waits for who holds it.
const guard = `SELECT EXISTS (SELECT FROM interlock.runners WHERE series = $1 AND epoch = $2 FOR SHARE)`

func (r *Runner) guarded(ctx context.Context, body func(tx pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, r.conn, func(tx pgx.Tx) error {
		var mine bool
		if err := tx.QueryRow(ctx, guard, r.o.Series, r.epoch).Scan(&mine); err != nil {
			return err
		}
		if !mine {
			return ErrLost
		}
		return body(tx)
	})
}

func (r *Runner) intent(ctx context.Context, c compat.Classified, revision, detail string) error {
	return r.guarded(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO interlock.steps (series, version, name, checksum, phase, state, revision, assumptions, detail)
			VALUES ($1, $2, $3, $4, $5, 'intent', $6, $7, $8)
			ON CONFLICT (series, version) DO UPDATE SET name = excluded.name, checksum = excluded.checksum, phase = excluded.phase,
				state = 'intent', revision = excluded.revision, assumptions = excluded.assumptions, detail = excluded.detail
			WHERE steps.state IN ('intent', 'failed')`,
			r.o.Series, c.File.Version, c.File.Name, c.File.Checksum, string(c.Phase), revision, strings.Join(c.Assumptions, "\n"), detail)
		return err
	})
}

func (r *Runner) mark(ctx context.Context, f schema.File, state journal.StepState, detail string) error {
	return r.guarded(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE interlock.steps SET state = $3, finished = now(), detail = CASE WHEN $4 = '' THEN detail ELSE $4 END
			WHERE series = $1 AND version = $2`, r.o.Series, f.Version, string(state), detail)
		return err
	})
}

// failed notes in the journal why a step failed, if the session still lives. A step that is applied stays applied.
func (r *Runner) failed(ctx context.Context, f schema.File, cause error) error {
	if r.conn.IsClosed() {
		return cause
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := r.guarded(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE interlock.steps SET state = CASE state WHEN 'intent' THEN 'failed' ELSE state END,
			detail = $3, finished = now() WHERE series = $1 AND version = $2`, r.o.Series, f.Version, truncate(cause.Error(), maxDetail))
		return err
	})
	if err != nil && !r.conn.IsClosed() {
		return errors.Join(cause, fmt.Errorf("recording the failure: %w", err))
	}
	return cause
}

func truncate(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}

// runTransaction lets goose apply the file. The statements are the ones that were classified, in goose's transaction,
// together with goose's version and the journal's line: either all of it happens or nothing.
func (r *Runner) runTransaction(ctx context.Context, f schema.File) error {
	up := func(ctx context.Context, tx *sql.Tx) error {
		var mine bool
		if err := tx.QueryRowContext(ctx, guard, r.o.Series, r.epoch).Scan(&mine); err != nil {
			return err
		}
		if !mine {
			return ErrLost
		}
		for i, s := range f.Up {
			if _, err := tx.ExecContext(ctx, s.SQL); err != nil {
				return explain(f, s, s.SQL, err)
			}
			r.fault(fmt.Sprintf("statement %d", i+1))
		}
		// The file may have become another role, which may not touch the journal.
		if _, err := tx.ExecContext(ctx, `RESET ROLE`); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE interlock.steps SET state = 'applied', finished = now() WHERE series = $1 AND version = $2`,
			r.o.Series, f.Version)
		r.fault("commit")
		return err
	}
	provider, err := r.goose(goose.NewGoMigration(f.Version, &goose.GoFunc{RunTx: up}, nil))
	if err != nil {
		return err
	}
	_, err = provider.ApplyVersion(ctx, f.Version, true)
	if errors.Is(err, goose.ErrAlreadyApplied) {
		// goose knows it, the journal did not: a history that is older than the journal.
		return r.mark(ctx, f, journal.StepApplied, "goose had recorded this version before")
	}
	// goose's own words around the error say nothing more.
	var statement *StatementError
	if errors.As(err, &statement) {
		return statement
	}
	return err
}

func (r *Runner) goose(m *goose.Migration) (*goose.Provider, error) {
	// The lock is already held by this very session, so taking it again succeeds at once.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(journal.LockID(r.o.Series)))
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, r.db, nil,
		goose.WithGoMigrations(m), goose.WithDisableGlobalRegistry(true), goose.WithAllowOutofOrder(true),
		goose.WithTableName(journal.GooseTable(r.o.Series)), goose.WithSessionLocker(locker), goose.WithLogger(goose.NopLogger()))
}

// recordVersion writes goose's row and the journal's line in one transaction, for a file that goose did not run itself.
func (r *Runner) recordVersion(ctx context.Context, f schema.File, detail string) error {
	store, err := database.NewStore(database.DialectPostgres, journal.GooseTable(r.o.Series))
	if err != nil {
		return err
	}
	empty, err := r.goose(goose.NewGoMigration(f.Version, nil, nil))
	if err != nil {
		return err
	}
	// Asking for the version makes goose create its table where there is none.
	if _, err := empty.GetDBVersion(ctx); err != nil {
		return fmt.Errorf("goose's table: %w", err)
	}
	tx, err := r.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	var mine bool
	if err := tx.QueryRowContext(ctx, guard, r.o.Series, r.epoch).Scan(&mine); err != nil {
		return err
	}
	if !mine {
		return ErrLost
	}
	if _, err := store.GetMigration(ctx, tx, f.Version); errors.Is(err, database.ErrVersionNotFound) {
		err = store.Insert(ctx, tx, database.InsertRequest{Version: f.Version})
		if err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE interlock.steps SET state = 'applied', finished = now(), detail = $3
		WHERE series = $1 AND version = $2`, r.o.Series, f.Version, detail); err != nil {
		return err
	}
	return tx.Commit()
}

// resetSession takes back what a file has set, so that no file depends on the one before.
func (r *Runner) resetSession(ctx context.Context) {
	if r.conn.IsClosed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_, err := r.conn.Exec(ctx, `RESET SESSION AUTHORIZATION; RESET ALL; DISCARD TEMP`)
	if err == nil {
		err = postgres.Settings(ctx, r.conn, r.o.postgres())
	}
	if err != nil {
		r.lose(fmt.Errorf("%w: the session could not be reset: %v", ErrLost, err)) //nolint:errorlint // as above
	}
}

func checksum(sql string) string {
	sum := sha256.Sum256([]byte(sql))
	return hex.EncodeToString(sum[:])
}
