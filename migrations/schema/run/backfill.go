package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/interlock-dev/interlock/migrations/schema"
)

const (
	// maxPasses bounds how often a backfill goes through its table for rows that came up behind it.
	maxPasses = 10
	// maxUnbatched is how many rows a table without a primary key may have.
	maxUnbatched = 100_000
	// maxPause between two batches.
	maxPause = 50 * time.Millisecond
)

// cursor is how far a backfill got; it is stored in the transaction of each batch.
type cursor struct {
	pass int
	// last is the key that the last window ended with; empty at the start of a pass. ended: the pass is through.
	last  []string
	ended bool
	// done counts the rows of this pass's windows, changed and stuck those of all passes: rows that were changed, and
	// of these the ones that match the condition still.
	done, changed, stuck int64
}

// afterPass decides whether a backfill goes through the table again. It does so only if the condition becomes false by
// the change, as seen on every changed row: else a row would be changed twice, which one UPDATE never does.
func afterPass(conditional bool, c cursor, left bool) (again bool, err error) {
	switch {
	case !conditional, c.stuck > 0, !left:
		return false, nil
	case c.pass >= maxPasses:
		return false, fmt.Errorf("after %d passes there are still rows to change: running code keeps adding them; "+
			"let a trigger in an earlier expand step fill them", c.pass)
	}
	return true, nil
}

// note is what a finished backfill says in the journal.
func (c cursor) note(line int) string {
	text := fmt.Sprintf("line %d: %d rows changed", line, c.changed)
	if c.stuck > 0 {
		text += fmt.Sprintf(", of which %d match the condition still; each was changed once", c.stuck)
	}
	return text
}

func (r *Runner) backfill(ctx context.Context, f schema.File, s statement, rec record) error {
	d := dmlOf(s.nodes[0])
	table := relation(d.relation)
	kind, key, err := r.backfillTable(ctx, table)
	if err != nil {
		return err
	}
	why := ""
	switch {
	case kind == "":
		why = fmt.Sprintf("there is no table %s", table)
	case kind != "r" && kind != "p":
		return refuse(f, s.Statement, "%s is not a table; a backfill changes tables", table)
	case len(key) == 0:
		why = "the table has no primary key to go by"
	case d.with:
		why = "WITH can not be cut into batches"
	case d.where.GetCurrentOfExpr() != nil:
		return refuse(f, s.Statement, "WHERE CURRENT OF can not be used in a backfill")
	case slices.ContainsFunc(key, func(k keyColumn) bool { return slices.Contains(d.sets, k.name) }):
		why = "it changes the primary key, by which batches go"
	}
	if why != "" {
		return r.unbatched(ctx, f, s, table, kind, why)
	}
	b, err := d.build(key)
	if err != nil {
		return refuse(f, s.Statement, "this can not be cut into batches: %v", err)
	}
	c := cursor{pass: 1}
	if rec.state == "intent" && rec.checksum == checksum(s.SQL) {
		c = rec.cursor
	} else if err := r.beginBackfill(ctx, f, s); err != nil {
		return err
	}
	return r.passes(ctx, f, s, b, c, len(key), table)
}

// backfillTable is the kind of a relation (as pg_class has it, empty if there is none) and its primary key.
func (r *Runner) backfillTable(ctx context.Context, table string) (string, []keyColumn, error) {
	var kind string
	err := r.conn.QueryRow(ctx, `SELECT relkind::text FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass($1)`, table).Scan(&kind)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil, nil
	}
	if err != nil {
		return "", nil, err
	}
	key, err := primaryKey(ctx, r.conn, table)
	return kind, key, err
}

// unbatched runs a statement whole if its table is small. Where there is no table the server says so.
func (r *Runner) unbatched(ctx context.Context, f schema.File, s statement, table, kind, why string) error {
	if kind != "" {
		var rows int64
		err := r.conn.QueryRow(ctx, fmt.Sprintf(`SELECT count(*) FROM (SELECT 1 FROM %s LIMIT %d) AS t`, table, maxUnbatched+1)).Scan(&rows)
		if err != nil {
			return err
		}
		if rows > maxUnbatched {
			return refuse(f, s.Statement, "%s, and %s has more than %d rows, too many for one statement; rewrite it as an UPDATE by primary key",
				why, table, maxUnbatched)
		}
	}
	return r.runStatement(ctx, f, s, modeTransaction, record{})
}

func (r *Runner) beginBackfill(ctx context.Context, f schema.File, s statement) error {
	return r.guarded(ctx, func(tx pgx.Tx) error {
		if err := r.record(ctx, tx, f, s, "intent", foundNothing); err != nil {
			return err
		}
		return r.storeCursor(ctx, tx, f, s, cursor{pass: 1})
	})
}

func (r *Runner) storeCursor(ctx context.Context, tx pgx.Tx, f schema.File, s statement, c cursor) error {
	if c.last == nil {
		c.last = []string{}
	}
	_, err := tx.Exec(ctx, `UPDATE interlock.statements SET pass = $4, last_key = $5, rows_done = $6, rows_changed = $7, rows_still_matching = $8,
		pass_ended = $9
		WHERE series = $1 AND version = $2 AND statement = $3`,
		r.o.Series, f.Version, s.index, c.pass, c.last, c.done, c.changed, c.stuck, c.ended)
	return err
}

// passes goes through the table until nothing is left to do.
func (r *Runner) passes(ctx context.Context, f schema.File, s statement, b batchSQL, c cursor, keys int, table string) error {
	total, err := r.estimate(ctx, table)
	if err != nil {
		return err
	}
	for {
		if c, err = r.pass(ctx, f, s, b, c, keys, total); err != nil {
			return err
		}
		left := false
		if b.conditional && c.stuck == 0 {
			if left, err = r.anyLeft(ctx, b); err != nil {
				return err
			}
		}
		again, err := afterPass(b.conditional, c, left)
		if err != nil {
			return refuse(f, s.Statement, "%v", err)
		}
		if !again {
			r.progress(Progress{Version: f.Version, Message: c.note(s.Line), RowsDone: c.done, RowsTotal: max(total, c.done)})
			return r.recordAlone(ctx, f, s, "applied", foundNothing)
		}
		c.pass, c.last, c.ended, c.done = c.pass+1, nil, false, 0
		if err := r.guarded(ctx, func(tx pgx.Tx) error { return r.storeCursor(ctx, tx, f, s, c) }); err != nil {
			return err
		}
		r.fault(fmt.Sprintf("statement %d next pass", s.index))
	}
}

func (r *Runner) anyLeft(ctx context.Context, b batchSQL) (bool, error) {
	tag, err := r.conn.Exec(ctx, b.left)
	return tag.RowsAffected() > 0, err
}

// estimate is the planner's number of rows, or 0 if it has none.
func (r *Runner) estimate(ctx context.Context, table string) (int64, error) {
	var total int64
	err := r.conn.QueryRow(ctx, `SELECT coalesce(sum(GREATEST(c.reltuples, 0)), 0)::bigint FROM pg_catalog.pg_class c
		WHERE c.oid = pg_catalog.to_regclass($1)
			OR c.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(pg_catalog.to_regclass($1)) WHERE isleaf)`, table).Scan(&total)
	return total, err
}

// pass goes once through the table, window by window in the order of the key.
func (r *Runner) pass(ctx context.Context, f schema.File, s statement, b batchSQL, c cursor, keys int, total int64) (cursor, error) {
	rows := r.o.BatchRows
	for n := 1; !c.ended; n++ {
		start := time.Now()
		var after cursor
		err := r.retry(ctx, f.Version, func(ctx context.Context) (err error) {
			after, err = r.batch(ctx, f, s, b, c, keys, rows)
			return err
		})
		if err != nil {
			return c, explain(f, s.Statement, "", err)
		}
		c = after
		r.fault(fmt.Sprintf("statement %d batch %d", s.index, n))
		took := time.Since(start)
		rows = resize(rows, took, r.o.BatchTarget, r.o.BatchMax)
		r.progress(Progress{Version: f.Version, Message: fmt.Sprintf("line %d: pass %d", s.Line, c.pass), RowsDone: c.done, RowsTotal: max(total, c.done)})
		if err := sleep(ctx, min(took/4, maxPause)); err != nil {
			return c, err
		}
	}
	return c, nil
}

// batch changes the rows of one window in one transaction. The rows are locked first: the change, a later statement,
// then computes from a snapshot that is newer than the last write to any of them.
func (r *Runner) batch(ctx context.Context, f schema.File, s statement, b batchSQL, c cursor, keys, rows int) (cursor, error) {
	err := r.guarded(ctx, func(tx pgx.Tx) error {
		upTo, err := windowEnd(ctx, tx, b, c.last, keys, rows)
		if err != nil {
			return err
		}
		locked, count, err := lockRows(ctx, tx, b, c.last, upTo, keys)
		if err != nil {
			return err
		}
		r.fault(fmt.Sprintf("statement %d locked", s.index))
		changed, stuck, err := changeRows(ctx, tx, b, locked, count)
		if err != nil {
			return err
		}
		c.last, c.changed, c.stuck = upTo, c.changed+changed, c.stuck+stuck
		if c.ended = upTo == nil; c.ended {
			c.done += int64(count)
		} else {
			c.done += int64(rows)
		}
		return r.storeCursor(ctx, tx, f, s, c)
	})
	return c, err
}

func windowEnd(ctx context.Context, tx pgx.Tx, b batchSQL, last []string, keys, rows int) ([]string, error) {
	sql, args := b.first, []any{}
	if len(last) > 0 {
		sql, args = b.window, anys(last)
	}
	upTo := make([]string, keys)
	err := tx.QueryRow(ctx, sql, append(args, rows-1)...).Scan(pointers(upTo)...)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return upTo, err
}

// lockRows returns one list per column of the key, and how many rows they name.
func lockRows(ctx context.Context, tx pgx.Tx, b batchSQL, last, upTo []string, keys int) ([]any, int, error) {
	sql := b.lock[min(len(last), 1)][min(len(upTo), 1)]
	rows, err := tx.Query(ctx, sql, append(anys(last), anys(upTo)...)...)
	if err != nil {
		return nil, 0, err
	}
	columns := make([][]string, keys)
	row := make([]string, keys)
	tag, err := pgx.ForEachRow(rows, pointers(row), func() error {
		for i := range columns {
			columns[i] = append(columns[i], row[i])
		}
		return nil
	})
	args := make([]any, keys)
	for i := range columns {
		args[i] = columns[i]
	}
	return args, int(tag.RowsAffected()), err
}

func changeRows(ctx context.Context, tx pgx.Tx, b batchSQL, locked []any, count int) (changed, stuck int64, err error) {
	if count == 0 {
		return 0, 0, nil
	}
	rows, err := tx.Query(ctx, b.change, locked...)
	if err != nil {
		return 0, 0, err
	}
	for rows.Next() {
		var still bool
		if err := rows.Scan(&still); err != nil {
			rows.Close()
			return 0, 0, err
		}
		if still {
			stuck++
		}
	}
	return rows.CommandTag().RowsAffected(), stuck, rows.Err()
}

func anys(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

func pointers(list []string) []any {
	out := make([]any, len(list))
	for i := range list {
		out[i] = &list[i]
	}
	return out
}
