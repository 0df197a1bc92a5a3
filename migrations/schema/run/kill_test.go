package run

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/interlock-dev/interlock/internal/pgtest"
	"github.com/interlock-dev/interlock/migrations/schema"
	"github.com/interlock-dev/interlock/migrations/schema/compat"
)

// childEnv holds the job of a child process: this test binary again, as a runner that can be killed.
const childEnv = "INTERLOCK_TEST_RUNNER"

// job is what a child process does.
type job struct {
	URI   string
	Files []compat.Classified
	Lease time.Duration
	// At is the point at which the child ends itself, the Nth time that it passes.
	At  string
	Nth int
	// Trees is a file with what the parser says, see memo.
	Trees string
	// Pause: it stops itself there instead, as a debugger or a frozen cgroup would.
	Pause bool
}

func child() {
	var j job
	err := json.Unmarshal([]byte(os.Getenv(childEnv)), &j)
	if err == nil {
		err = useTrees(j.Trees)
	}
	if err == nil {
		err = j.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (j job) run() error {
	ctx := context.Background()
	r, err := Open(ctx, Options{URI: j.URI, Series: "shop", BatchRows: 40, BatchMax: 40, Lease: j.Lease, Fault: j.fault()})
	if err != nil {
		return err
	}
	defer r.Close(ctx)
	for _, c := range j.Files {
		if err := r.Apply(ctx, c, "main@1"); err != nil {
			return err
		}
	}
	return nil
}

func (j job) fault() func(string) {
	passed := map[string]int{}
	return func(point string) {
		passed[point]++
		if point != j.At || passed[point] != j.Nth {
			return
		}
		signal := syscall.SIGKILL
		if j.Pause {
			signal = syscall.SIGSTOP
		}
		_ = syscall.Kill(os.Getpid(), signal)
		time.Sleep(50 * time.Millisecond) // it ends, or stops, in here
	}
}

// start runs the job in a child process that is ended with the test.
func (j job) start(t testing.TB) (cmd *exec.Cmd, stderr *bytes.Buffer) {
	t.Helper()
	for _, c := range j.Files {
		if _, err := parseFile(c.File); err != nil { // so that the child need not start a parser
			t.Fatal(err)
		}
	}
	j.Trees = saveTrees(t)
	text, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	stderr = &bytes.Buffer{}
	cmd = exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	return cmd, stderr
}

// life is a series with every kind of step.
func life(t testing.TB) []compat.Classified {
	return []compat.Classified{
		file(t, 1, schema.PhaseExpand, `-- +goose Up
CREATE TYPE status AS ENUM ('new');
CREATE TABLE orders (id int, part int, total int, status status, old int, PRIMARY KEY (id, part));
CREATE TABLE parts (id int NOT NULL) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
CREATE TABLE ledger (what text);
INSERT INTO orders SELECT i, i % 3, NULL, NULL, 0 FROM generate_series(1, 100) AS i;
CREATE INDEX superfluous ON orders (old);
ALTER TABLE orders ADD CONSTRAINT total_kept CHECK (total = id + 1) NOT VALID;
`),
		file(t, 2, schema.PhaseExpand, `-- +goose NO TRANSACTION
-- +goose Up
SET work_mem = '5MB';
CREATE INDEX CONCURRENTLY orders_total ON orders (total);
ALTER TYPE status ADD VALUE 'paid';
INSERT INTO ledger VALUES ('once');
DROP INDEX CONCURRENTLY superfluous;
REINDEX INDEX CONCURRENTLY orders_total;
ALTER TABLE parts DETACH PARTITION parts_1 CONCURRENTLY;
VACUUM orders;
`),
		file(t, 3, schema.PhaseBackfill, `-- +goose Up
UPDATE orders AS o SET total = o.id + 1 WHERE o.total IS NULL;
UPDATE orders SET old = old + 1;
INSERT INTO ledger SELECT 'total ' || sum(old) FROM orders;
ALTER TABLE orders VALIDATE CONSTRAINT total_kept;
`),
		file(t, 4, schema.PhaseContract, `-- +goose Up
ALTER TABLE orders DROP COLUMN status;
INSERT INTO ledger VALUES ('contracted');
`),
	}
}

// end is all that a run leaves behind, but for times.
func end(t testing.TB, uri string) string {
	t.Helper()
	conn := pgtest.Connect(t, uri)
	var b strings.Builder
	b.WriteString(pgtest.Shared(t).Schema(t, conn.Config().Database))
	for _, sql := range []string{
		"SELECT id || ' ' || total || ' ' || old FROM orders ORDER BY id",
		"SELECT what FROM ledger ORDER BY what",
		"SELECT version_id || ' ' || is_applied FROM interlock.goose_shop ORDER BY id",
		"SELECT concat_ws(' ', version, name, checksum, phase, state, revision, assumptions, detail) FROM interlock.steps ORDER BY version",
		"SELECT concat_ws(' ', version, statement, checksum, state, before, rows_changed, rows_still_matching) FROM interlock.statements ORDER BY version, statement",
		"SELECT indexrelid::regclass || ' is invalid' FROM pg_index WHERE NOT indisvalid",
	} {
		rows, err := conn.Query(context.Background(), sql)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&b, "--", sql)
		fmt.Fprintln(&b, strings.Join(lines, "\n"))
	}
	return b.String()
}

// TestKillAnywhere kills a runner at every point that an undisturbed one passes; what the next runner makes of it must
// be the same database.
func TestKillAnywhere(t *testing.T) {
	files := life(t)
	calm := pgtest.Database(t)
	var points []job
	passed := map[string]int{}
	r := open(t, Options{URI: calm, BatchRows: 40, BatchMax: 40, Fault: func(point string) {
		passed[point]++
		points = append(points, job{At: point, Nth: passed[point]})
	}})
	for _, c := range files {
		apply(t, r, c)
	}
	want := end(t, calm)
	if !strings.Contains(want, "total 100\n") || !strings.Contains(want, "\n100 101 1\n") {
		t.Fatalf("the undisturbed run is wrong already:\n%s", want)
	}
	if len(points) < 40 {
		t.Fatalf("only %d points", len(points))
	}
	for _, p := range points {
		t.Run(fmt.Sprintf("%s #%d", p.At, p.Nth), func(t *testing.T) {
			t.Parallel()
			p.URI, p.Files = pgtest.Database(t), files
			cmd, stderr := p.start(t)
			err := cmd.Wait()
			if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
				t.Fatalf("the child was not killed: %v\n%s", err, stderr)
			}
			r := open(t, Options{URI: p.URI, BatchRows: 40, BatchMax: 40})
			for _, c := range files {
				apply(t, r, c)
			}
			if got := end(t, p.URI); got != want {
				t.Errorf("the database differs from an undisturbed run's:\n%s", difference(want, got))
			}
		})
	}
}

func difference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	var b strings.Builder
	for _, line := range w {
		if !slices.Contains(g, line) {
			fmt.Fprintln(&b, "-", line)
		}
	}
	for _, line := range g {
		if !slices.Contains(w, line) {
			fmt.Fprintln(&b, "+", line)
		}
	}
	return b.String()
}

// TestKillDuringStatement kills the client while the server works for it: the server process lives on, with its lock.
func TestKillDuringStatement(t *testing.T) {
	uri := pgtest.Database(t)
	writer := pgtest.Connect(t, uri)
	pgtest.Exec(t, writer, "CREATE TABLE t (id int)")
	pgtest.Exec(t, writer, "BEGIN; INSERT INTO t VALUES (1)")
	c := file(t, 1, schema.PhaseExpand, "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE UNIQUE INDEX CONCURRENTLY t_id ON t (id);\n")
	cmd, _ := job{URI: uri, Files: []compat.Classified{c}}.start(t)
	conn := pgtest.Connect(t, uri)
	await(t, time.Minute, "the index to wait for the writer", func() bool {
		return pgtest.Value[int](t, conn, "SELECT count(*)::int FROM pg_index WHERE indexrelid = to_regclass('t_id') AND NOT indisvalid") == 1
	})
	if _, err := Open(t.Context(), Options{URI: uri, Series: "shop"}); !errors.Is(err, ErrBusy) {
		t.Fatalf("a second runner gets %v, want ErrBusy", err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	start := time.Now()
	r := openSoon(t, Options{URI: uri})
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("the dead runner was replaced after %s, want at once", took)
	}
	if got := pgtest.Value[int](t, conn, "SELECT count(*)::int FROM pg_stat_activity WHERE query LIKE 'CREATE UNIQUE%'"); got != 0 {
		t.Errorf("%d server processes of the dead runner still work", got)
	}
	pgtest.Exec(t, writer, "COMMIT")
	apply(t, r, c)
	if got := pgtest.Value[bool](t, conn, "SELECT indisvalid FROM pg_index WHERE indexrelid = 't_id'::regclass"); !got {
		t.Error("the index is not valid")
	}
}

// openSoon opens while the server may not yet have noticed that the client before is gone.
func openSoon(t testing.TB, o Options) *Runner {
	t.Helper()
	o.Series = "shop"
	var r *Runner
	await(t, 5*time.Second, "the series to be free", func() bool {
		var err error
		if r, err = Open(t.Context(), o); err != nil && !errors.Is(err, ErrBusy) {
			t.Fatal(err)
		}
		return err == nil
	})
	t.Cleanup(func() { r.Close(context.Background()) })
	return r
}

// TestPausedRunner: a runner that was stopped in the middle of a batch, and wakes up after another one took over, can
// not write any more.
func TestPausedRunner(t *testing.T) {
	const table = "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL); INSERT INTO t SELECT i, 0 FROM generate_series(1, 200) i"
	c := file(t, 1, schema.PhaseBackfill, "-- +goose Up\nUPDATE t SET n = n + 1;\n")
	calm := open(t, Options{URI: pgtest.Database(t)})
	pgtest.Exec(t, calm.Conn(), table)
	apply(t, calm, c) // the parser's answers are known from here on
	for _, at := range []string{"statement 1 locked", "intent", "statement 1 batch 1"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			uri := pgtest.Database(t)
			conn := pgtest.Connect(t, uri)
			pgtest.Exec(t, conn, table)
			cmd, stderr := job{URI: uri, Files: []compat.Classified{c}, Lease: time.Second, At: at, Nth: 1, Pause: true}.start(t)
			await(t, time.Minute, "the child to stop", func() bool {
				stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
				return err == nil && strings.Contains(string(stat), ") T ")
			})
			r := openSoon(t, Options{URI: uri})
			apply(t, r, c)
			if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err == nil || !strings.Contains(stderr.String(), ErrLost.Error()) {
				t.Errorf("the old runner ended with %v, %q, want ErrLost", err, stderr)
			}
			if got := pgtest.Value[string](t, conn, "SELECT min(n) || ' ' || max(n) FROM t"); got != "1 1" {
				t.Errorf("n from and to %s, want 1 1: each row once", got)
			}
			if got := r.Epoch(); got != 2 {
				t.Errorf("epoch = %d, want 2", got)
			}
		})
	}
}
