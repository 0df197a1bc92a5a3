package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/interlock-dev/interlock/internal/pgtest"
	"github.com/interlock-dev/interlock/migrations/schema"
	"github.com/interlock-dev/interlock/migrations/schema/compat"
	"github.com/interlock-dev/interlock/migrations/schema/journal"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		child()
		return
	}
	pgtest.Main(m)
}

// file makes a migration from the statements of its Up section.
func file(t testing.TB, version int64, phase schema.Phase, up string) compat.Classified {
	t.Helper()
	name := fmt.Sprintf("%04d_test.sql", version)
	files, err := schema.Load(map[string]string{name: up})
	if err != nil {
		t.Fatal(err)
	}
	return compat.Classified{File: files[0], Phase: phase}
}

func open(t testing.TB, o Options) *Runner {
	t.Helper()
	if o.Series == "" {
		o.Series = "shop"
	}
	r, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(context.Background()) })
	return r
}

func apply(t testing.TB, r *Runner, c compat.Classified) {
	t.Helper()
	if err := r.Apply(t.Context(), c, "main@1"); err != nil {
		t.Fatal(err)
	}
}

func stepState(t testing.TB, r *Runner, version int64) journal.StepState {
	t.Helper()
	s, err := r.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	step := s.Step(version)
	if step == nil {
		return ""
	}
	return step.State
}

func TestApplyTransaction(t *testing.T) {
	uri := pgtest.Database(t)
	r := open(t, Options{URI: uri})
	c := file(t, 1, schema.PhaseExpand, `-- +goose Up
CREATE TABLE customers (id bigint PRIMARY KEY, name text NOT NULL);
ALTER TABLE customers ADD CONSTRAINT name_given CHECK (name <> '') NOT VALID;
SET search_path = pg_catalog;
-- +goose Down
DROP TABLE customers;
`)
	apply(t, r, c)
	apply(t, r, c) // an applied step is left alone
	if got := stepState(t, r, 1); got != journal.StepVerified {
		t.Errorf("state = %s, want verified", got)
	}
	conn := pgtest.Connect(t, uri)
	if got := pgtest.Value[int](t, conn, "SELECT count(*)::int FROM interlock.goose_shop WHERE version_id = 1"); got != 1 {
		t.Errorf("goose knows the version %d times, want once", got)
	}
	if got := pgtest.Value[string](t, r.Conn(), "SHOW search_path"); got != `"$user", public` {
		t.Errorf("search_path after the file = %s", got)
	}
	if got := pgtest.Value[string](t, r.Conn(), "SHOW lock_timeout"); got != "2s" {
		t.Errorf("lock_timeout after the file = %s, want 2s", got)
	}
	edited := file(t, 1, schema.PhaseExpand, "-- +goose Up\nSELECT 1;\n")
	var changed *ChangedError
	if err := r.Apply(t.Context(), edited, ""); !errors.As(err, &changed) {
		t.Errorf("an edited file gives %v, want *ChangedError", err)
	}
}

func TestApplyOutOfOrder(t *testing.T) {
	r := open(t, Options{URI: pgtest.Database(t), Series: "Shop-EU"})
	apply(t, r, file(t, 11, schema.PhaseExpand, "-- +goose Up\nCREATE TABLE b (id int);\n"))
	apply(t, r, file(t, 10, schema.PhaseContract, "-- +goose Up\nCREATE TABLE a (id int);\n"))
	sql := "SELECT string_agg(version_id::text, ' ' ORDER BY id) FROM " + journal.GooseTable("Shop-EU")
	if got := pgtest.Value[string](t, r.Conn(), sql); got != "0 11 10" {
		t.Errorf("goose's versions = %s, want 0 11 10", got)
	}
}

func TestFailureNamesFileAndLine(t *testing.T) {
	r := open(t, Options{URI: pgtest.Database(t)})
	text := `-- +goose Up
CREATE TABLE a_PHASE (id int);

-- the next one fails
ALTER TABLE a_PHASE
  ADD COLUMN x int,
  ADD COLUMN y no_such_type;
`
	for _, phase := range []schema.Phase{schema.PhaseExpand, schema.PhaseBackfill} {
		t.Run(string(phase), func(t *testing.T) {
			version := int64(len(phase))
			c := file(t, version, phase, strings.ReplaceAll(text, "PHASE", string(phase)))
			err := r.Apply(t.Context(), c, "")
			var se *StatementError
			if !errors.As(err, &se) {
				t.Fatalf("error = %v, want *StatementError", err)
			}
			if se.File != c.File.Name || se.Line != 7 || se.SQLSTATE != "42704" {
				t.Errorf("error = %q (line %d, %s), want line 7 and 42704", se, se.Line, se.SQLSTATE)
			}
			s, err := r.State(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if step := s.Step(version); step.State != journal.StepFailed || step.Detail != se.Error() {
				t.Errorf("journal = %s %q, want failed with the error", step.State, step.Detail)
			}
			fixed := file(t, version, phase, strings.ReplaceAll(strings.Replace(text, "no_such_type", "text", 1), "PHASE", string(phase)))
			apply(t, r, fixed)
		})
	}
}

func TestRefused(t *testing.T) {
	r := open(t, Options{URI: pgtest.Database(t)})
	tests := map[string]struct {
		phase schema.Phase
		up    string
		want  string
	}{
		"mixed":           {schema.PhaseMixed, "SELECT 1;", "phase"},
		"commit":          {schema.PhaseExpand, "SELECT 1;\nCOMMIT;", "can not be used in a migration"},
		"unnamed index":   {schema.PhaseExpand, "CREATE INDEX CONCURRENTLY ON t (id);", "needs a name"},
		"role":            {schema.PhaseBackfill, "SET ROLE postgres;", "the role can not be changed"},
		"block with two":  {schema.PhaseExpand, "-- +goose StatementBegin\nSELECT 1; VACUUM;\n-- +goose StatementEnd", "several statements"},
		"backfill a view": {schema.PhaseBackfill, "CREATE VIEW v AS SELECT 1 AS id;\nUPDATE v SET id = 2;", "is not a table"},
	}
	version := int64(0)
	for name, tt := range tests {
		version++
		t.Run(name, func(t *testing.T) {
			head := "-- +goose Up\n"
			if tt.phase == schema.PhaseExpand && name != "commit" {
				head = "-- +goose NO TRANSACTION\n" + head
			}
			err := r.Apply(t.Context(), file(t, version, tt.phase, head+tt.up+"\n"), "")
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestRoleCalledInterlock(t *testing.T) {
	uri := pgtest.Database(t)
	admin := pgtest.Connect(t, uri)
	pgtest.Exec(t, admin, `CREATE ROLE interlock LOGIN PASSWORD '`+pgtest.Password+`' IN ROLE pg_monitor;
		CREATE ROLE app; GRANT app TO interlock; GRANT ALL ON SCHEMA public TO interlock, app`)
	pgtest.Exec(t, admin, `DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO interlock', current_database()); END $$`)
	t.Cleanup(func() { pgtest.Exec(t, admin, "DROP OWNED BY interlock, app; DROP ROLE interlock, app") })
	r := open(t, Options{URI: pgtest.Shared(t).URI("interlock", admin.Config().Database)})
	// The schema interlock is this role's "$user"; nothing of the application may land there.
	apply(t, r, file(t, 1, schema.PhaseExpand, "-- +goose Up\nCREATE TABLE mine (id int);\n"))
	apply(t, r, file(t, 2, schema.PhaseExpand, "-- +goose Up\nSET ROLE app;\nCREATE TABLE owned (id int);\n"))
	got := pgtest.Value[string](t, admin, `SELECT string_agg(schemaname || '.' || tablename || ' ' || tableowner, ', ' ORDER BY tablename)
		FROM pg_tables WHERE tablename IN ('mine', 'owned')`)
	if want := "public.mine interlock, public.owned app"; got != want {
		t.Errorf("tables = %s, want %s", got, want)
	}
	r.Close(t.Context())
}

func TestLockBudget(t *testing.T) {
	uri := pgtest.Database(t)
	blocker := pgtest.Connect(t, uri)
	pgtest.Exec(t, blocker, "CREATE TABLE busy (id int); SET application_name = 'report'")
	pgtest.Exec(t, blocker, "BEGIN; SELECT * FROM busy")
	var said []string
	r := open(t, Options{URI: uri, LockTimeout: 150 * time.Millisecond, LockBudget: 1200 * time.Millisecond,
		Progress: func(p Progress) { said = append(said, p.Message) }})
	c := file(t, 1, schema.PhaseExpand, "-- +goose Up\nALTER TABLE busy ADD COLUMN x int;\n")
	err := r.Apply(t.Context(), c, "")
	var le *LockError
	if !errors.As(err, &le) || len(le.Blockers) != 1 || !strings.Contains(le.Error(), `application "report"`) {
		t.Fatalf("error = %v, want a *LockError that names the report", err)
	}
	if !strings.Contains(strings.Join(said, "\n"), `waits for pid`) || !strings.Contains(strings.Join(said, "\n"), "next try in") {
		t.Errorf("progress = %q, want who blocks and the next try", said)
	}
	r.o.LockBudget = time.Minute
	released := make(chan error, 1)
	go func() {
		time.Sleep(time.Second)
		_, err := blocker.Exec(context.Background(), "COMMIT")
		released <- err
	}()
	apply(t, r, c)
	if err := <-released; err != nil {
		t.Fatal(err)
	}
}

func TestCancelEndsTheStatement(t *testing.T) {
	uri := pgtest.Database(t)
	r := open(t, Options{URI: uri})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(300*time.Millisecond, cancel)
	start := time.Now()
	err := r.Apply(ctx, file(t, 1, schema.PhaseExpand, "-- +goose Up\nSELECT pg_sleep(60) AS the_long_one;\n"), "")
	if !errors.Is(err, context.Canceled) || time.Since(start) > 5*time.Second {
		t.Fatalf("error after %s = %v, want context.Canceled at once", time.Since(start), err)
	}
	r.Close(t.Context())
	conn := pgtest.Connect(t, uri)
	await(t, 3*time.Second, "the server process to end", func() bool {
		return pgtest.Value[int](t, conn, "SELECT count(*)::int FROM pg_stat_activity WHERE query LIKE '%the_long_one%' AND pid <> pg_backend_pid()") == 0
	})
	apply(t, open(t, Options{URI: uri}), file(t, 1, schema.PhaseExpand, "-- +goose Up\nSELECT 1;\n"))
}

func await(t testing.TB, limit time.Duration, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s", limit, what)
		}
	}
}
