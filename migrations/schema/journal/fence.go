package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// FenceState is where a fence stands.
type FenceState string

const (
	// FenceOpen: no contract step is under way and none was ever committed.
	FenceOpen FenceState = "open"
	// FenceProposed: readers below Version shall be refused; going back is still open.
	FenceProposed FenceState = "proposed"
	// FenceHeld: they are refused; whether none is left has yet to be proved.
	FenceHeld FenceState = "held"
	// FenceCommitted: no contract step is under way; readers below Committed are refused for good.
	FenceCommitted FenceState = "committed"
)

// Fence is the line below which no reader of a series may start or log in.
type Fence struct {
	State FenceState
	// Version is the fence under way (proposed or held), else the committed one.
	Version int64
	// Committed never goes down; 0 means that nothing was committed yet.
	Committed int64
	// OldestRevision still works with Version.
	OldestRevision string
	Changed        time.Time
}

// FenceError is a transition that the fence does not allow from where it stands.
type FenceError struct {
	Series  string
	Wanted  FenceState
	Version int64
	// Now is the fence as it stands.
	Now Fence
}

// Error says where the fence stands.
func (e *FenceError) Error() string {
	return fmt.Sprintf("the fence of series %q can not become %s at %d: it is %s at %d, committed at %d; read the journal again",
		e.Series, e.Wanted, e.Version, e.Now.State, e.Now.Version, e.Now.Committed)
}

const fenceColumns = `fence_state, fence_version, fence_committed, fence_oldest_revision, fence_changed`

func scanFence(row pgx.Row) (Fence, error) {
	var f Fence
	var changed *time.Time
	err := row.Scan(&f.State, &f.Version, &f.Committed, &f.OldestRevision, &changed)
	f.Changed = orZero(changed)
	return f, err
}

func readFence(ctx context.Context, q querier, series string) (Fence, error) {
	f, err := scanFence(q.QueryRow(ctx, `SELECT `+fenceColumns+` FROM interlock.series WHERE name = $1`, series))
	if errors.Is(err, pgx.ErrNoRows) {
		return Fence{State: FenceOpen}, nil
	}
	return f, err
}

// transition runs one guarded UPDATE; its guards are in the SQL, so that two sessions can not both win.
func transition(ctx context.Context, q querier, series string, wanted FenceState, version int64, sql string, args ...any) (Fence, error) {
	f, err := scanFence(q.QueryRow(ctx, sql+` RETURNING `+fenceColumns, args...))
	if err == nil {
		return f, nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return Fence{}, fmt.Errorf("moving the fence of series %q: %w", series, err)
	}
	now, err := readFence(ctx, q, series)
	if err != nil {
		return Fence{}, fmt.Errorf("reading the fence of series %q: %w", series, err)
	}
	return now, &FenceError{Series: series, Wanted: wanted, Version: version, Now: now}
}

// Propose starts a fence at version, above the committed one. Proposing the same version again only changes the oldest
// revision; while another version is proposed or held it is a *FenceError, which returns the fence as it stands.
func Propose(ctx context.Context, conn *pgx.Conn, series string, version int64, oldestRevision string) (Fence, error) {
	return transition(ctx, conn, series, FenceProposed, version, `INSERT INTO interlock.series
			(name, fence_state, fence_version, fence_oldest_revision, fence_changed)
		VALUES ($1, 'proposed', $2, $3, now())
		ON CONFLICT (name) DO UPDATE SET fence_state = 'proposed', fence_version = excluded.fence_version,
			fence_oldest_revision = excluded.fence_oldest_revision, fence_changed = now()
		WHERE excluded.fence_version > series.fence_committed
			AND (series.fence_state IN ('open', 'committed')
				OR series.fence_state = 'proposed' AND series.fence_version = excluded.fence_version)`,
		series, version, oldestRevision)
}

// Hold says that the proposed fence stands. Holding a held fence changes nothing.
func Hold(ctx context.Context, conn *pgx.Conn, series string, version int64) (Fence, error) {
	return transition(ctx, conn, series, FenceHeld, version, `UPDATE interlock.series
		SET fence_state = 'held', fence_changed = CASE fence_state WHEN 'held' THEN fence_changed ELSE now() END
		WHERE name = $1 AND fence_state IN ('proposed', 'held') AND fence_version = $2`, series, version)
}

// Commit makes the held fence final. Committing what is committed changes nothing.
func Commit(ctx context.Context, conn *pgx.Conn, series string, version int64) (Fence, error) {
	return transition(ctx, conn, series, FenceCommitted, version, `UPDATE interlock.series
		SET fence_state = 'committed', fence_committed = GREATEST(fence_committed, fence_version),
			fence_changed = CASE fence_state WHEN 'committed' THEN fence_changed ELSE now() END
		WHERE name = $1 AND fence_state IN ('held', 'committed') AND fence_version = $2`, series, version)
}

// Withdraw takes back a fence that is proposed or held; what was committed stays. It is a *FenceError if that version
// is committed, and changes nothing if no fence is under way.
func Withdraw(ctx context.Context, conn *pgx.Conn, series string, version int64) (Fence, error) {
	f, err := transition(ctx, conn, series, FenceOpen, version, `UPDATE interlock.series
		SET fence_state = CASE WHEN fence_committed > 0 THEN 'committed' ELSE 'open' END,
			fence_oldest_revision = CASE WHEN fence_state IN ('proposed', 'held') THEN '' ELSE fence_oldest_revision END,
			fence_changed = CASE WHEN fence_state IN ('proposed', 'held') THEN now() ELSE fence_changed END,
			fence_version = fence_committed
		WHERE name = $1 AND fence_committed < $2
			AND (fence_version = $2 OR fence_state IN ('open', 'committed'))`, series, version)
	var refused *FenceError
	if errors.As(err, &refused) && refused.Now == (Fence{State: FenceOpen}) {
		return f, nil // the journal does not know the series: there is nothing to take back
	}
	return f, err
}
