package journal

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/interlock-dev/interlock/migrations/schema"
	"github.com/interlock-dev/interlock/migrations/schema/postgres"
)

// StepState is how far a migration got.
type StepState string

const (
	// StepIntent: begun; whether anything of it happened is found out by the next runner.
	StepIntent StepState = "intent"
	// StepFailed: the server refused it; Detail says why. The next runner tries again.
	StepFailed StepState = "failed"
	// StepApplied: done, and recorded by goose, but not yet compared with the catalog.
	StepApplied StepState = "applied"
	// StepVerified: done and seen in the catalog.
	StepVerified StepState = "verified"
)

// Step is one migration that was begun.
type Step struct {
	Version  int64
	Name     string
	Checksum string
	Phase    schema.Phase
	State    StepState
	// Revision is the Git revision (or digest) that brought it.
	Revision          string
	Started, Finished time.Time
	// Assumptions as the classifier lists them, one per line.
	Assumptions string
	// Detail is the failure, or what else is worth knowing.
	Detail string
	// Partial: some of its statements were begun outside a transaction, so half of it may be done.
	Partial bool
}

// Runner is who works, or worked last, on a series.
type Runner struct {
	// Epoch rises with every runner; 0 means there was none.
	Epoch int64
	// Name is the application name of its sessions.
	Name   string
	Opened time.Time
}

// Version is a migration that was seen in some tree, applied or not.
type Version struct {
	Version        int64
	Name, Checksum string
	FirstSeen      time.Time
}

// State is everything that the journal knows about a series; the zero value is a series that never was.
type State struct {
	Series string
	// SystemIdentifier and Timeline are of the server on which a runner last worked on the series.
	SystemIdentifier string
	Timeline         int64
	Runner           Runner
	Fence            Fence
	// Steps and Versions are in version order, Images by name.
	Steps    []Step
	Versions []Version
	Images   []Image
}

// Step is the step of a version, or nil.
func (s State) Step(version int64) *Step {
	for i := range s.Steps {
		if s.Steps[i].Version == version {
			return &s.Steps[i]
		}
	}
	return nil
}

// Read returns the state of a series, without any lock, from one snapshot. Where there is no journal, or the series is
// not in it, it returns a state with nothing but the name.
func Read(ctx context.Context, conn *pgx.Conn, series string) (State, error) {
	s := State{Series: series, Fence: Fence{State: FenceOpen}}
	version, err := schemaVersion(ctx, conn)
	if err != nil || version == 0 {
		return s, err
	}
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, conn, options, func(tx pgx.Tx) error { return s.read(ctx, tx) })
	if err != nil {
		return State{}, fmt.Errorf("reading the journal of series %q: %w", series, err)
	}
	return s, nil
}

func (s *State) read(ctx context.Context, q querier) error {
	var err error
	if err = q.QueryRow(ctx, `SELECT coalesce(max(system_identifier), ''), coalesce(max(timeline), 0)
		FROM interlock.series WHERE name = $1`, s.Series).Scan(&s.SystemIdentifier, &s.Timeline); err != nil {
		return err
	}
	if s.Fence, err = readFence(ctx, q, s.Series); err != nil {
		return err
	}
	if s.Runner, err = readRunner(ctx, q, s.Series); err != nil {
		return err
	}
	if s.Steps, err = readSteps(ctx, q, s.Series); err != nil {
		return err
	}
	if s.Versions, err = readVersions(ctx, q, s.Series); err != nil {
		return err
	}
	s.Images, err = readImages(ctx, q, s.Series)
	return err
}

func readRunner(ctx context.Context, q querier, series string) (Runner, error) {
	var r Runner
	var opened *time.Time
	err := q.QueryRow(ctx, `SELECT coalesce(max(epoch), 0), coalesce(max(runner), ''), max(opened)
		FROM interlock.runners WHERE series = $1`, series).Scan(&r.Epoch, &r.Name, &opened)
	r.Opened = orZero(opened)
	return r, err
}

func readSteps(ctx context.Context, q querier, series string) ([]Step, error) {
	rows, err := q.Query(ctx, `SELECT version, name, checksum, phase, state, revision, started, finished, assumptions, detail,
			EXISTS (SELECT FROM interlock.statements t WHERE t.series = s.series AND t.version = s.version)
		FROM interlock.steps s WHERE series = $1 ORDER BY version`, series)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Step, error) {
		var s Step
		var finished *time.Time
		err := row.Scan(&s.Version, &s.Name, &s.Checksum, &s.Phase, &s.State, &s.Revision, &s.Started, &finished,
			&s.Assumptions, &s.Detail, &s.Partial)
		s.Finished = orZero(finished)
		return s, err
	})
}

func readVersions(ctx context.Context, q querier, series string) ([]Version, error) {
	rows, err := q.Query(ctx, `SELECT version, name, checksum, first_seen FROM interlock.versions
		WHERE series = $1 ORDER BY version`, series)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Version])
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// RecordIdentity notes on which server the series lives now.
func RecordIdentity(ctx context.Context, conn *pgx.Conn, series string, id postgres.Identity) error {
	_, err := conn.Exec(ctx, `INSERT INTO interlock.series (name, system_identifier, timeline) VALUES ($1, $2, $3)
		ON CONFLICT (name) DO UPDATE SET system_identifier = excluded.system_identifier, timeline = excluded.timeline
		WHERE (series.system_identifier, series.timeline) IS DISTINCT FROM (excluded.system_identifier, excluded.timeline)`,
		series, id.SystemIdentifier, id.Timeline)
	if err != nil {
		return fmt.Errorf("recording the identity of the server: %w", err)
	}
	return nil
}

// RecordVersions remembers the migrations of a tree; versions that are known already keep what was seen first.
func RecordVersions(ctx context.Context, conn *pgx.Conn, series string, files []schema.File) error {
	versions, names, checksums := make([]int64, len(files)), make([]string, len(files)), make([]string, len(files))
	for i, f := range files {
		versions[i], names[i], checksums[i] = f.Version, f.Name, f.Checksum
	}
	_, err := conn.Exec(ctx, `INSERT INTO interlock.versions (series, version, name, checksum)
		SELECT $1, v, n, c FROM unnest($2::bigint[], $3::text[], $4::text[]) AS f(v, n, c)
		ON CONFLICT DO NOTHING`, series, versions, names, checksums)
	if err != nil {
		return fmt.Errorf("recording known versions: %w", err)
	}
	return nil
}
