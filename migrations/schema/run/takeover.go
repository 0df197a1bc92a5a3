package run

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/interlock-dev/interlock/migrations/schema/journal"
)

// holder is the session that has the series' lock.
type holder struct {
	pid               int32
	role, application string
	start             time.Time
	// silent is how long ago it last did anything.
	silent time.Duration
	// recorded: the journal knows it as the runner of the series, and how long it may be silent.
	recorded bool
	lease    time.Duration
	// watched: its watch session is there; watchSilent is how long ago that one last did anything.
	watched     bool
	watchSilent time.Duration
}

// dead decides whether a holder may be replaced. A client that was killed leaves its server process running, with the
// lock, but its watch session ends with it; one that was stopped, or cut off, leaves both, silent.
// lease is the caller's own, for a holder that has not said its own.
func (h holder) dead(lease time.Duration) bool {
	if !h.recorded {
		return h.silent > lease // it just got the lock, or never came to say so
	}
	return !h.watched || h.watchSilent > h.lease
}

// takeLock gets the lock without ever waiting in it: a waiter would hold a snapshot, and CREATE INDEX CONCURRENTLY waits
// for snapshots.
func (r *Runner) takeLock(ctx context.Context) error {
	for try := 0; ; try++ {
		var got bool
		if err := r.conn.QueryRow(ctx, `SELECT pg_catalog.pg_try_advisory_lock($1)`, journal.LockID(r.o.Series)).Scan(&got); err != nil {
			return fmt.Errorf("taking the lock of series %q: %w", r.o.Series, err)
		}
		if got {
			return r.register(ctx)
		}
		h, err := r.findHolder(ctx)
		if errors.Is(err, pgx.ErrNoRows) && try < 10 {
			continue // it just let go
		}
		if err != nil {
			return fmt.Errorf("asking who holds series %q: %w", r.o.Series, err)
		}
		if !h.dead(r.o.Lease) || try >= 10 {
			return &BusyError{Series: r.o.Series, PID: h.pid, Role: h.role, ApplicationName: h.application, Since: h.start}
		}
		if err := r.terminate(ctx, h.pid, h.start); err != nil {
			return err
		}
	}
}

func (r *Runner) findHolder(ctx context.Context) (holder, error) {
	const sql = `SELECT l.pid, coalesce(a.usename::text, ''), coalesce(a.application_name, ''), coalesce(a.backend_start, now()),
			coalesce(extract(epoch FROM clock_timestamp() - a.state_change), 0)::float8,
			coalesce(r.pid = a.pid AND r.backend_start = a.backend_start, false),
			a.backend_start IS NULL OR w.pid IS NOT NULL,
			coalesce(extract(epoch FROM clock_timestamp() - w.state_change), 0)::float8,
			coalesce(extract(epoch FROM r.lease), 0)::float8
		FROM pg_catalog.pg_locks l
		LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
		LEFT JOIN interlock.runners r ON r.series = $1
		LEFT JOIN pg_catalog.pg_stat_activity w ON w.pid = r.watch_pid AND w.backend_start = r.watch_start
		WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
			AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
			AND (l.classid::bigint << 32 | l.objid::bigint) = $2`
	var h holder
	var silent, watchSilent, lease float64
	err := r.conn.QueryRow(ctx, sql, r.o.Series, journal.LockID(r.o.Series)).Scan(
		&h.pid, &h.role, &h.application, &h.start, &silent, &h.recorded, &h.watched, &watchSilent, &lease)
	h.silent, h.watchSilent, h.lease = seconds(silent), seconds(watchSilent), seconds(lease)
	return h, err
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// register ends what the runner before has left on the server, and only then raises the epoch.
func (r *Runner) register(ctx context.Context) error {
	rows, err := r.conn.Query(ctx, `SELECT p.pid, p.start FROM interlock.runners r,
		LATERAL (VALUES (r.pid, r.backend_start), (r.watch_pid, r.watch_start)) AS p(pid, start) WHERE r.series = $1`, r.o.Series)
	if err != nil {
		return fmt.Errorf("reading the runner before: %w", err)
	}
	type process struct {
		PID   int32
		Start time.Time
	}
	before, err := pgx.CollectRows(rows, pgx.RowToStructByPos[process])
	if err != nil {
		return fmt.Errorf("reading the runner before: %w", err)
	}
	for _, p := range before {
		if err := r.terminate(ctx, p.PID, p.Start); err != nil {
			return err
		}
	}
	// The role reads its own sessions in pg_stat_activity without any grant.
	err = r.conn.QueryRow(ctx, `INSERT INTO interlock.runners AS r (series, epoch, runner, pid, backend_start, watch_pid, watch_start, lease)
		SELECT $1, 1, $2, a.pid, a.backend_start, w.pid, w.backend_start, pg_catalog.make_interval(secs => $4)
			FROM pg_catalog.pg_stat_activity a, pg_catalog.pg_stat_activity w WHERE a.pid = pg_catalog.pg_backend_pid() AND w.pid = $3
		ON CONFLICT (series) DO UPDATE SET epoch = r.epoch + 1, runner = excluded.runner, pid = excluded.pid,
			backend_start = excluded.backend_start, watch_pid = excluded.watch_pid, watch_start = excluded.watch_start, lease = excluded.lease, opened = now()
		RETURNING epoch`, r.o.Series, r.o.ApplicationName, int32(r.watch.PgConn().PID()), r.o.Lease.Seconds()).Scan(&r.epoch)
	if err != nil {
		return fmt.Errorf("registering as the runner of series %q: %w", r.o.Series, err)
	}
	return nil
}

// terminate ends a server process if it is still the one that began at start, and waits until it is gone.
func (r *Runner) terminate(ctx context.Context, pid int32, start time.Time) error {
	const patience = 10 * time.Second
	var gone *bool
	err := r.conn.QueryRow(ctx, `SELECT (SELECT pg_catalog.pg_terminate_backend(pid, $3) FROM pg_catalog.pg_stat_activity
		WHERE pid = $1 AND backend_start = $2 AND pid <> pg_catalog.pg_backend_pid())`, pid, start, patience.Milliseconds()).Scan(&gone)
	if err != nil {
		return fmt.Errorf("ending the server process %d of a dead runner of series %q: %w", pid, r.o.Series, err)
	}
	if gone != nil && !*gone {
		return fmt.Errorf("the server process %d of a dead runner of series %q does not end; look at it in pg_stat_activity", pid, r.o.Series)
	}
	return nil
}
