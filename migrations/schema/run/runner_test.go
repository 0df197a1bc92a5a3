package run

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/interlock-dev/interlock/internal/pgtest"
	"github.com/interlock-dev/interlock/migrations/schema"
	"github.com/interlock-dev/interlock/migrations/schema/journal"
	"github.com/interlock-dev/interlock/migrations/schema/postgres"
)

func TestHolderDead(t *testing.T) {
	const lease = 10 * time.Second
	tests := map[string]struct {
		holder   holder
		wantDead bool
	}{
		"works":                     {holder{recorded: true, lease: lease, watched: true, watchSilent: time.Second, silent: time.Hour}, false},
		"silent beyond its lease":   {holder{recorded: true, lease: lease, watched: true, watchSilent: 11 * time.Second}, true},
		"its lease is longer":       {holder{recorded: true, lease: time.Minute, watched: true, watchSilent: 11 * time.Second}, false},
		"its watch ended":           {holder{recorded: true, lease: lease, silent: time.Millisecond}, true},
		"just got the lock":         {holder{silent: time.Second}, false},
		"never said who it is":      {holder{silent: 11 * time.Second}, true},
		"its session is not shown":  {holder{watched: true}, false},
		"another one was recorded":  {holder{watched: true, watchSilent: time.Hour, lease: lease, silent: time.Second}, false},
		"another one, and is quiet": {holder{silent: time.Hour, lease: 2 * time.Hour}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tt.holder.dead(lease); got != tt.wantDead {
				t.Errorf("dead = %v, want %v", got, tt.wantDead)
			}
		})
	}
}

func TestSecondRunnerIsRefused(t *testing.T) {
	uri := pgtest.Database(t)
	first := open(t, Options{URI: uri, ApplicationName: "interlock first"})
	_, err := Open(t.Context(), Options{URI: uri, Series: "shop"})
	var busy *BusyError
	if !errors.As(err, &busy) || !errors.Is(err, ErrBusy) {
		t.Fatalf("error = %v, want *BusyError", err)
	}
	if pid := int32(first.Conn().PgConn().PID()); busy.PID != pid || busy.ApplicationName != "interlock first" {
		t.Errorf("holder = %d %q, want %d of the first runner", busy.PID, busy.ApplicationName, pid)
	}
	open(t, Options{URI: uri, Series: "billing"}) // another series is nobody's business
	first.Close(t.Context())
	if got := openSoon(t, Options{URI: uri}).Epoch(); got != 2 {
		t.Errorf("epoch = %d, want 2", got)
	}
}

func TestManyRunnersOneWorks(t *testing.T) {
	uri := pgtest.Database(t)
	c := file(t, 1, schema.PhaseBackfill, "-- +goose Up\nCREATE TABLE once (id int);\nINSERT INTO once VALUES (1);\nSELECT pg_sleep(0.1);\n")
	var workers sync.WaitGroup
	for range 6 {
		workers.Go(func() {
			for t.Context().Err() == nil {
				r, err := Open(t.Context(), Options{URI: uri, Series: "shop"})
				if errors.Is(err, ErrBusy) {
					time.Sleep(20 * time.Millisecond)
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				err = r.Apply(t.Context(), c, "")
				r.Close(context.Background())
				if err != nil {
					t.Error(err)
				}
				return
			}
		})
	}
	workers.Wait()
	conn := pgtest.Connect(t, uri)
	if got := pgtest.Value[int](t, conn, "SELECT count(*)::int FROM once"); got != 1 {
		t.Errorf("the row was inserted %d times, want once", got)
	}
	if got := pgtest.Value[int64](t, conn, "SELECT epoch FROM interlock.runners"); got != 6 {
		t.Errorf("epoch = %d, want 6", got)
	}
}

// TestLostRunner: a runner whose sessions were ended does not work on through a new session, which has no lock.
func TestLostRunner(t *testing.T) {
	uri := pgtest.Database(t)
	r := open(t, Options{URI: uri, Lease: 500 * time.Millisecond})
	conn := pgtest.Connect(t, uri)
	pgtest.Exec(t, conn, "SELECT pg_terminate_backend(pid) FROM interlock.runners")
	c := file(t, 1, schema.PhaseExpand, "-- +goose Up\nCREATE TABLE t (id int);\n")
	if err := r.Apply(t.Context(), c, ""); !errors.Is(err, ErrLost) {
		t.Errorf("error = %v, want ErrLost", err)
	}
	r = openSoon(t, Options{URI: uri, Lease: 500 * time.Millisecond})
	pgtest.Exec(t, conn, "SELECT pg_terminate_backend(watch_pid) FROM interlock.runners")
	long := file(t, 2, schema.PhaseExpand, "-- +goose Up\nSELECT pg_sleep(30);\n")
	start := time.Now()
	if err := r.Apply(t.Context(), long, ""); !errors.Is(err, ErrLost) || time.Since(start) > 5*time.Second {
		t.Errorf("without its watch the runner ends after %s with %v, want ErrLost at once", time.Since(start), err)
	}
	if got := pgtest.Value[*string](t, conn, "SELECT to_regclass('t')::text"); got != nil {
		t.Error("a lost runner made a table")
	}
}

// TestOutage: the server ends in the middle of a backfill and comes back.
func TestOutage(t *testing.T) {
	server := pgtest.NewServer(t)
	uri := server.NewDatabase(t)
	pgtest.Exec(t, pgtest.Connect(t, uri), "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL); INSERT INTO t SELECT i, 0 FROM generate_series(1, 1000) i")
	c := file(t, 1, schema.PhaseBackfill, "-- +goose Up\nUPDATE t SET n = n + 1;\n")
	var once sync.Once
	r := open(t, Options{URI: uri, BatchRows: 100, BatchMax: 100, Fault: func(point string) {
		if point == "statement 1 batch 3" {
			once.Do(func() { server.Stop(t) })
		}
	}})
	if err := r.Apply(t.Context(), c, ""); !errors.Is(err, ErrLost) {
		t.Fatalf("error = %v, want ErrLost", err)
	}
	r.Close(t.Context())
	if _, err := Open(t.Context(), Options{URI: uri, Series: "shop"}); postgres.ReasonOf(err) != postgres.Unreachable {
		t.Errorf("without a server: %v, want the reason Unreachable", err)
	}
	server.Start(t)
	r = openSoon(t, Options{URI: uri, BatchRows: 100, BatchMax: 100})
	before := pgtest.Value[int](t, r.Conn(), "SELECT count(*)::int FROM t WHERE n = 1")
	if before != 300 {
		t.Errorf("%d rows survived, want 300", before)
	}
	apply(t, r, c)
	if got := pgtest.Value[string](t, r.Conn(), "SELECT min(n) || ' ' || max(n) FROM t"); got != "1 1" {
		t.Errorf("n from and to %s, want 1 1: each row once", got)
	}
}

func TestStateAndHistoryOlderThanTheJournal(t *testing.T) {
	uri := pgtest.Database(t)
	r := open(t, Options{URI: uri})
	c := file(t, 1, schema.PhaseExpand, "-- +goose Up\nCREATE TABLE t (id int);\n")
	apply(t, r, c)
	pgtest.Exec(t, r.Conn(), "DELETE FROM interlock.steps")
	apply(t, r, c) // goose knows it: nothing runs, or the table would be there already
	s, err := r.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Steps) != 1 || s.Steps[0].State != journal.StepVerified || !strings.Contains(s.Steps[0].Detail, "goose") {
		t.Errorf("steps = %+v, want one verified step that goose knew", s.Steps)
	}
	if s.SystemIdentifier == "" || s.Timeline != 1 || s.Runner.Epoch != 1 {
		t.Errorf("state = %+v, want the server's identity and the first epoch", s)
	}
}
