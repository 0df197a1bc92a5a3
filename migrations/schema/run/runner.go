package run

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/interlock-dev/interlock/migrations/schema/journal"
	"github.com/interlock-dev/interlock/migrations/schema/postgres"
)

// Options of a runner; URI and Series are required.
type Options struct {
	// URI of a direct connection, see postgres.Connect.
	URI    string
	Series string
	// ApplicationName in pg_stat_activity; default "interlock run <series>".
	ApplicationName string
	// CA and LocalFiles as in postgres.Options.
	CA         []byte
	LocalFiles bool
	// LockTimeout is how long one try waits for one lock, and so how long the application may queue behind it;
	// default 2 s.
	LockTimeout time.Duration
	// LockBudget is how long to try, with pauses in between; default 5 min.
	LockBudget time.Duration
	// Lease is how long a runner may be silent before another one may replace it; default 15 s.
	Lease time.Duration
	// BatchTarget is how long one batch of a backfill should take; default 100 ms.
	BatchTarget time.Duration
	// BatchRows is the size of the first batch, BatchMax the largest one; default 500 and 20,000 rows.
	BatchRows, BatchMax int
	// Progress is told what happens, from one goroutine at a time; it must not block. May be nil.
	Progress func(Progress)
	// Fault is called at named points, so that tests can end the process there; nil in production.
	Fault func(point string)
}

// Progress is one message about a migration that runs.
type Progress struct {
	Version int64
	Message string
	// RowsDone of RowsTotal, which is an estimate; both 0 outside a backfill.
	RowsDone, RowsTotal int64
}

func (o Options) withDefaults() Options {
	if o.ApplicationName == "" {
		o.ApplicationName = "interlock run " + o.Series
	}
	for _, d := range []struct {
		value *time.Duration
		def   time.Duration
	}{
		{&o.LockTimeout, 2 * time.Second}, {&o.LockBudget, 5 * time.Minute},
		{&o.Lease, 15 * time.Second}, {&o.BatchTarget, 100 * time.Millisecond},
	} {
		if *d.value <= 0 {
			*d.value = d.def
		}
	}
	if o.BatchRows <= 0 {
		o.BatchRows = 500
	}
	if o.BatchMax <= 0 {
		o.BatchMax = 20_000
	}
	return o
}

func (o Options) postgres() postgres.Options {
	return postgres.Options{ApplicationName: o.ApplicationName, LockTimeout: o.LockTimeout, CA: o.CA, LocalFiles: o.LocalFiles}
}

// Runner is the one writer of a series. Everything it changes goes through one session, which holds the series'
// advisory lock: who has lost the lock has lost the session. A second session only watches. Not for concurrent use.
type Runner struct {
	o     Options
	epoch int64
	// db hands out conn and nothing else, for goose.
	db   *sql.DB
	conn *pgx.Conn

	watchMu sync.Mutex
	watch   *pgx.Conn

	progressMu sync.Mutex
	lost       context.Context
	lose       context.CancelCauseFunc
	watching   sync.WaitGroup
}

// Open takes the series, or says who has it (*BusyError); it never waits for a runner that is alive. What a dead runner
// has left running on the server is terminated first. Errors of the connection are *postgres.Error.
func Open(ctx context.Context, o Options) (*Runner, error) {
	o = o.withDefaults()
	if o.Series == "" {
		return nil, errors.New("run: no series given")
	}
	r := &Runner{o: o}
	r.lost, r.lose = context.WithCancelCause(context.Background())
	if err := r.open(ctx); err != nil {
		r.Close(ctx)
		return nil, err
	}
	r.watching.Go(r.watchSessions)
	return r, nil
}

func (r *Runner) open(ctx context.Context) error {
	watchOptions := r.o.postgres()
	watchOptions.ApplicationName += " (watch)"
	var err error
	if r.watch, err = postgres.Connect(ctx, r.o.URI, watchOptions); err != nil {
		return err
	}
	id, err := postgres.ReadIdentity(ctx, r.watch)
	if err != nil {
		return err
	}
	if id.InRecovery {
		return &postgres.Error{Reason: postgres.Standby, Message: fmt.Sprintf(
			"%s is a standby; give the address of the primary", postgres.Address(r.watch.Config()))}
	}
	if err := journal.Ensure(ctx, r.watch); err != nil {
		return err
	}
	if err := r.connect(ctx); err != nil {
		return err
	}
	if err := r.takeLock(ctx); err != nil {
		return err
	}
	return journal.RecordIdentity(ctx, r.conn, r.o.Series, id)
}

// connect opens the session that works.
func (r *Runner) connect(ctx context.Context) error {
	cfg, err := postgres.Config(r.o.URI, r.o.postgres())
	if err != nil {
		return err
	}
	setup := stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
		return postgres.Setup(ctx, conn, r.o.postgres())
	})
	r.db = sql.OpenDB(&onceConnector{Connector: stdlib.GetConnector(*cfg, setup)})
	r.db.SetMaxOpenConns(1)
	r.db.SetMaxIdleConns(1)
	borrowed, err := r.db.Conn(ctx)
	if err != nil {
		return postgres.Explain(err, cfg)
	}
	err = borrowed.Raw(func(c any) error {
		r.conn = c.(*stdlib.Conn).Conn()
		return nil
	})
	return errors.Join(err, borrowed.Close())
}

// onceConnector never replaces a broken session: the new one would not hold the lock.
type onceConnector struct {
	driver.Connector
	used atomic.Bool
}

func (c *onceConnector) Connect(ctx context.Context) (driver.Conn, error) {
	if c.used.Swap(true) {
		return nil, ErrLost
	}
	return c.Connector.Connect(ctx)
}

// Conn is the session that works, for what has to happen under the series' lock. It is nil after Close.
func (r *Runner) Conn() *pgx.Conn { return r.conn }

// Epoch is the number of this runner; the next one's is higher.
func (r *Runner) Epoch() int64 { return r.epoch }

// State is the journal's state of the series.
func (r *Runner) State(ctx context.Context) (journal.State, error) {
	return journal.Read(ctx, r.conn, r.o.Series)
}

// Close gives the series back and ends both sessions. It may be called twice.
func (r *Runner) Close(ctx context.Context) {
	r.lose(ErrLost)
	r.watching.Wait()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if r.conn != nil {
		_ = r.conn.Close(ctx)
		r.conn = nil
	}
	if r.db != nil {
		_ = r.db.Close()
	}
	if r.watch != nil {
		_ = r.watch.Close(ctx)
		r.watch = nil
	}
}

// watchSessions shows other runners that this one lives, and ends its work when it can not show it any more.
func (r *Runner) watchSessions() {
	tick := time.NewTicker(r.o.Lease / 5)
	defer tick.Stop()
	for {
		select {
		case <-r.lost.Done():
			return
		case <-tick.C:
		}
		ctx, cancel := context.WithTimeout(r.lost, r.o.Lease/2)
		_, err := r.watchExec(ctx)
		cancel()
		if err != nil {
			r.lose(ErrLost)
			return
		}
	}
}

func (r *Runner) watchExec(ctx context.Context) (any, error) {
	r.watchMu.Lock()
	defer r.watchMu.Unlock()
	return r.watch.Exec(ctx, "SELECT 1")
}

// working is ctx, cancelled with ErrLost as its cause when the runner is lost.
func (r *Runner) working(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(r.lost, func() { cancel(ErrLost) })
	return ctx, func() {
		stop()
		cancel(context.Canceled)
	}
}

func (r *Runner) progress(p Progress) {
	if r.o.Progress == nil {
		return
	}
	r.progressMu.Lock()
	defer r.progressMu.Unlock()
	r.o.Progress(p)
}

func (r *Runner) fault(point string) {
	if r.o.Fault != nil {
		r.o.Fault(point)
	}
}
