package journal

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ensureLock keeps two sessions from creating the journal at once. It is held for one short transaction only.
const ensureLock int64 = 0x696e7465726c6f63 // "interloc"

// migrations of the journal itself, in order; meta.version counts how many are done. Never change one, add one.
var migrations = []string{
	`CREATE TABLE interlock.series (
		name text PRIMARY KEY,
		system_identifier text NOT NULL DEFAULT '',
		timeline bigint NOT NULL DEFAULT 0,
		fence_state text NOT NULL DEFAULT 'open' CHECK (fence_state IN ('open', 'proposed', 'held', 'committed')),
		fence_version bigint NOT NULL DEFAULT 0,
		fence_committed bigint NOT NULL DEFAULT 0,
		fence_oldest_revision text NOT NULL DEFAULT '',
		fence_changed timestamptz,
		created timestamptz NOT NULL DEFAULT now());
	-- Apart from series: runners lock this row for the length of their transactions, fences must not wait for that.
	CREATE TABLE interlock.runners (
		series text PRIMARY KEY,
		epoch bigint NOT NULL,
		runner text NOT NULL,
		pid integer NOT NULL,
		backend_start timestamptz NOT NULL,
		watch_pid integer NOT NULL,
		watch_start timestamptz NOT NULL,
		lease interval NOT NULL,
		opened timestamptz NOT NULL DEFAULT now());
	CREATE TABLE interlock.steps (
		series text NOT NULL,
		version bigint NOT NULL CHECK (version > 0),
		name text NOT NULL,
		checksum text NOT NULL,
		phase text NOT NULL,
		state text NOT NULL CHECK (state IN ('intent', 'failed', 'applied', 'verified')),
		revision text NOT NULL DEFAULT '',
		started timestamptz NOT NULL DEFAULT now(),
		finished timestamptz,
		assumptions text NOT NULL DEFAULT '',
		detail text NOT NULL DEFAULT '',
		PRIMARY KEY (series, version));
	-- Statements of files that do not run in one transaction, and how far a backfill got.
	CREATE TABLE interlock.statements (
		series text NOT NULL,
		version bigint NOT NULL,
		statement integer NOT NULL,
		checksum text NOT NULL,
		state text NOT NULL CHECK (state IN ('intent', 'failed', 'applied')),
		before text NOT NULL DEFAULT '',
		pass integer NOT NULL DEFAULT 1,
		last_key text[],
		pass_ended boolean NOT NULL DEFAULT false,
		rows_done bigint NOT NULL DEFAULT 0,
		rows_changed bigint NOT NULL DEFAULT 0,
		rows_still_matching bigint NOT NULL DEFAULT 0,
		started timestamptz NOT NULL DEFAULT now(),
		finished timestamptz,
		PRIMARY KEY (series, version, statement));
	CREATE TABLE interlock.versions (
		series text NOT NULL,
		version bigint NOT NULL CHECK (version > 0),
		name text NOT NULL,
		checksum text NOT NULL,
		first_seen timestamptz NOT NULL DEFAULT now(),
		PRIMARY KEY (series, version));
	CREATE TABLE interlock.images (
		series text NOT NULL,
		image text NOT NULL,
		version bigint NOT NULL,
		commit_id text NOT NULL DEFAULT '',
		revision text NOT NULL DEFAULT '',
		first_seen timestamptz NOT NULL DEFAULT now(),
		PRIMARY KEY (series, image))`,
}

// Ensure creates the journal or brings it up to date. It may be called by several sessions at once, and is cheap when
// there is nothing to do. A journal of a newer Interlock is an error.
func Ensure(ctx context.Context, conn *pgx.Conn) error {
	have, err := schemaVersion(ctx, conn)
	if err == nil && have == len(migrations) {
		return nil
	}
	if err != nil {
		return err
	}
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return migrate(ctx, tx) })
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "42501" {
		return fmt.Errorf("creating the schema interlock: %s; run as the owner of the database: GRANT CREATE ON DATABASE %s TO %s",
			pg.Message, pgx.Identifier{conn.Config().Database}.Sanitize(), pgx.Identifier{conn.Config().User}.Sanitize())
	}
	if err != nil {
		return fmt.Errorf("creating the schema interlock: %w", err)
	}
	return nil
}

func migrate(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, `SELECT pg_catalog.pg_advisory_xact_lock($1)`, ensureLock); err != nil {
		return err
	}
	have, err := schemaVersion(ctx, tx)
	if err != nil {
		return err
	}
	if have > len(migrations) {
		return fmt.Errorf("it is at version %d, this Interlock knows %d: use the newer Interlock", have, len(migrations))
	}
	if have == 0 {
		if _, err := tx.Exec(ctx, `CREATE SCHEMA IF NOT EXISTS interlock;
			CREATE TABLE interlock.meta (version integer NOT NULL);
			INSERT INTO interlock.meta VALUES (0)`); err != nil {
			return err
		}
	}
	for _, sql := range migrations[have:] {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, `UPDATE interlock.meta SET version = $1`, len(migrations))
	return err
}

// querier is a connection or a transaction.
type querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// schemaVersion is 0 if there is no journal yet.
func schemaVersion(ctx context.Context, q querier) (int, error) {
	// Not to_regclass: inside a transaction that waited for the lock it may answer from a stale cache.
	const sql = `SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'interlock' AND c.relname = 'meta')`
	var exists bool
	if err := q.QueryRow(ctx, sql).Scan(&exists); err != nil {
		return 0, fmt.Errorf("looking for the journal: %w", err)
	}
	if !exists {
		return 0, nil
	}
	var version int
	if err := q.QueryRow(ctx, `SELECT version FROM interlock.meta`).Scan(&version); err != nil {
		return 0, fmt.Errorf("reading the journal's version: %w", err)
	}
	return version, nil
}

// GooseTable is the name of the series' goose version table, with its schema: interlock.goose_shop. goose puts the name
// into its SQL unquoted, so a series that is no plain lower-case identifier, or is too long for one, gets a hash.
func GooseTable(series string) string {
	const maxIdentifier, prefix = 63, "goose_"
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}, series)
	// "_" in a plain name stands only for itself: a name that was changed ends in "__" and a hash.
	if plain == series && len(prefix+plain) <= maxIdentifier && !strings.Contains(plain, "__") {
		return "interlock." + prefix + plain
	}
	sum := sha256.Sum256([]byte(series))
	suffix := "__" + hex.EncodeToString(sum[:8])
	return "interlock." + prefix + plain[:min(len(plain), maxIdentifier-len(prefix)-len(suffix))] + suffix
}

// LockID is the advisory lock that the runner of a series holds for as long as it works.
func LockID(series string) int64 {
	sum := sha256.Sum256([]byte("interlock series " + series))
	return int64(binary.BigEndian.Uint64(sum[:8]))
}
