package run

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/interlock-dev/interlock/migrations/schema"
	"github.com/interlock-dev/interlock/migrations/schema/compat"
)

// record is the journal's line about one statement.
type record struct {
	checksum string
	// state is intent, failed or applied.
	state  string
	before found
	cursor cursor
}

// runStatements runs a file statement by statement, each exactly once, and then records the version. One that can run
// in a transaction shares it with its line in the journal; of the others the catalog tells whether they were done.
func (r *Runner) runStatements(ctx context.Context, c compat.Classified, statements []statement) error {
	modes := make([]mode, len(statements))
	for i, s := range statements {
		var why string
		if modes[i], why = modeOf(s, c.Phase == schema.PhaseBackfill); modes[i] == modeRefused {
			return refuse(c.File, s.Statement, "%s", why)
		}
	}
	records, err := r.records(ctx, c.File.Version)
	if err != nil {
		return err
	}
	// Before anything else changes: a statement that was applied must still be the one in the file.
	for i, s := range statements {
		if rec := records[s.index]; rec.state == "applied" && modes[i] != modeSession && rec.checksum != checksum(s.SQL) {
			return &ChangedError{File: c.File.Name, Line: s.Line}
		}
	}
	for i, s := range statements {
		rec := records[s.index]
		if rec.state == "applied" && modes[i] != modeSession {
			continue
		}
		if err := r.runStatement(ctx, c.File, s, modes[i], rec); err != nil {
			return explain(c.File, s.Statement, s.SQL, err)
		}
		r.fault(fmt.Sprintf("statement %d", s.index))
	}
	notes, err := r.notes(ctx, c.File, statements)
	if err != nil {
		return err
	}
	r.fault("commit")
	return r.recordVersion(ctx, c.File, truncate(notes, maxDetail))
}

// notes says what the backfills of a file did, whichever runner did it.
func (r *Runner) notes(ctx context.Context, f schema.File, statements []statement) (string, error) {
	records, err := r.records(ctx, f.Version)
	if err != nil {
		return "", err
	}
	var notes []string
	for _, s := range statements {
		if c := records[s.index].cursor; c.changed > 0 {
			notes = append(notes, c.note(s.Line))
		}
	}
	return strings.Join(notes, "\n"), nil
}

func (r *Runner) records(ctx context.Context, version int64) (map[int]record, error) {
	rows, err := r.conn.Query(ctx, `SELECT statement, checksum, state, before, pass, coalesce(last_key, '{}'), rows_done, rows_changed, rows_still_matching, pass_ended
		FROM interlock.statements WHERE series = $1 AND version = $2`, r.o.Series, version)
	if err != nil {
		return nil, err
	}
	records := map[int]record{}
	var index int
	var rec record
	_, err = pgx.ForEachRow(rows, []any{&index, &rec.checksum, &rec.state, &rec.before, &rec.cursor.pass, &rec.cursor.last,
		&rec.cursor.done, &rec.cursor.changed, &rec.cursor.stuck, &rec.cursor.ended}, func() error {
		records[index] = rec
		rec = record{}
		return nil
	})
	return records, err
}

func (r *Runner) runStatement(ctx context.Context, f schema.File, s statement, m mode, rec record) error {
	switch m {
	case modeSession:
		_, err := r.conn.Exec(ctx, s.SQL)
		return err
	case modeTransaction:
		return r.retry(ctx, f.Version, func(ctx context.Context) error {
			return r.guarded(ctx, func(tx pgx.Tx) error {
				if _, err := tx.Exec(ctx, s.SQL); err != nil {
					return err
				}
				return r.record(ctx, tx, f, s, "applied", foundNothing)
			})
		})
	case modeBatched:
		return r.backfill(ctx, f, s, rec)
	}
	return r.runOutside(ctx, f, s, m, rec)
}

// record writes the line of a statement.
func (r *Runner) record(ctx context.Context, tx pgx.Tx, f schema.File, s statement, state string, before found) error {
	_, err := tx.Exec(ctx, `INSERT INTO interlock.statements (series, version, statement, checksum, state, before, finished)
		VALUES ($1, $2, $3, $4, $5, $6, CASE WHEN $5 = 'intent' THEN NULL ELSE now() END)
		ON CONFLICT (series, version, statement) DO UPDATE SET checksum = excluded.checksum, state = excluded.state,
			before = excluded.before, finished = excluded.finished`,
		r.o.Series, f.Version, s.index, checksum(s.SQL), state, string(before))
	return err
}

func (r *Runner) recordAlone(ctx context.Context, f schema.File, s statement, state string, before found) error {
	return r.guarded(ctx, func(tx pgx.Tx) error { return r.record(ctx, tx, f, s, state, before) })
}

// runOutside runs a statement that PostgreSQL refuses in a transaction.
func (r *Runner) runOutside(ctx context.Context, f schema.File, s statement, m mode, rec record) error {
	begun := rec.state == "intent" && rec.checksum == checksum(s.SQL)
	before := rec.before
	// Nobody in the application queues behind these locks, so they may wait long.
	if err := r.setLockTimeout(ctx, r.o.LockBudget); err != nil {
		return err
	}
	defer func() {
		if ctx.Err() == nil && !r.conn.IsClosed() {
			_ = r.setLockTimeout(ctx, r.o.LockTimeout)
		}
	}()
	err := r.retry(ctx, f.Version, func(ctx context.Context) error {
		now, err := look(ctx, r.conn, m, s.nodes[0])
		if err != nil {
			return err
		}
		if !begun {
			before = now
			if before == foundInvalid {
				before = foundAbsent // it is dropped before the statement runs
			}
			if err := r.recordAlone(ctx, f, s, "intent", before); err != nil {
				return err
			}
			r.fault(fmt.Sprintf("statement %d intent", s.index))
		}
		err = r.attempt(ctx, f, s, m, begun, before, now)
		begun = true
		return err
	})
	if err != nil {
		return r.afterFailure(ctx, f, s, m, before, err)
	}
	r.fault(fmt.Sprintf("statement %d done", s.index))
	return r.recordAlone(ctx, f, s, "applied", before)
}

func (r *Runner) attempt(ctx context.Context, f schema.File, s statement, m mode, begun bool, before, now found) error {
	node := s.nodes[0]
	todo, why := decide(m, begun, before, now, node.GetIndexStmt().GetIfNotExists())
	sql := s.SQL
	switch todo {
	case nextSkip:
		return nil
	case nextRefuse:
		return refuse(f, s.Statement, "%s; %s", why, r.wayOut(f, s, m))
	case nextCleanRun:
		if err := clean(ctx, r.conn, m, node); err != nil {
			return err
		}
	case nextFinalize:
		alter := node.GetAlterTableStmt()
		sql = fmt.Sprintf("ALTER TABLE %s DETACH PARTITION %s FINALIZE", relation(alter.Relation), relation(detached(alter)))
	}
	_, err := r.conn.Exec(ctx, sql)
	return explain(f, s.Statement, sql, err)
}

func (r *Runner) wayOut(f schema.File, s statement, m mode) string {
	if m != modeOpaque {
		return "then apply the migration again"
	}
	where := fmt.Sprintf("series = '%s' AND version = %d AND statement = %d", r.o.Series, f.Version, s.index)
	return fmt.Sprintf("look at what it changes; if it is done run \"UPDATE interlock.statements SET state = 'applied' WHERE %s\", "+
		"if it is to run again \"DELETE FROM interlock.statements WHERE %s\"", where, where)
}

// afterFailure notes that the server said no, which is no interruption, and does not leave an INVALID index behind.
func (r *Runner) afterFailure(ctx context.Context, f schema.File, s statement, m mode, before found, cause error) error {
	if ctx.Err() != nil || r.conn.IsClosed() || sqlstate(cause) == "" {
		return cause
	}
	if m == modeCreateIndex && before == foundAbsent {
		if err := clean(ctx, r.conn, m, s.nodes[0]); err != nil {
			return errors.Join(explain(f, s.Statement, s.SQL, cause), err)
		}
	}
	if err := r.recordAlone(ctx, f, s, "failed", before); err != nil {
		return errors.Join(explain(f, s.Statement, s.SQL, cause), err)
	}
	return cause
}

func (r *Runner) setLockTimeout(ctx context.Context, d time.Duration) error {
	_, err := r.conn.Exec(ctx, `SELECT pg_catalog.set_config('lock_timeout', $1, false)`, strconv.FormatInt(d.Milliseconds(), 10))
	return err
}
