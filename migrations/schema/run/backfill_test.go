package run

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/interlock-dev/interlock/internal/pgtest"
	"github.com/interlock-dev/interlock/migrations/schema"
)

func TestAfterPass(t *testing.T) {
	tests := map[string]struct {
		conditional bool
		cursor      cursor
		left        bool
		wantAgain   bool
		wantErr     bool
	}{
		"no condition":                       {false, cursor{pass: 1, changed: 5}, true, false, false},
		"nothing left":                       {true, cursor{pass: 1, changed: 5}, false, false, false},
		"rows came up behind":                {true, cursor{pass: 1, changed: 5}, true, true, false},
		"came up in a table without matches": {true, cursor{pass: 1}, true, true, false},
		"a changed row still matches":        {true, cursor{pass: 1, changed: 5, stuck: 1}, true, false, false},
		"every changed row still matches":    {true, cursor{pass: 1, changed: 5, stuck: 5}, true, false, false},
		"rows keep coming":                   {true, cursor{pass: maxPasses, changed: 5}, true, false, true},
		"the last pass was enough":           {true, cursor{pass: maxPasses, changed: 5}, false, false, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			again, err := afterPass(tt.conditional, tt.cursor, tt.left)
			if again != tt.wantAgain || (err != nil) != tt.wantErr {
				t.Errorf("again = %v, error %v, want %v, error: %v", again, err, tt.wantAgain, tt.wantErr)
			}
		})
	}
}

func TestResize(t *testing.T) {
	const target = 100 * time.Millisecond
	tests := map[string]struct {
		rows     int
		took     time.Duration
		wantRows int
	}{
		"on target":       {500, target, 500},
		"a little faster": {500, 80 * time.Millisecond, 625},
		"much faster":     {500, time.Millisecond, 1000},
		"much slower":     {500, 10 * time.Second, 250},
		"at the limit":    {20_000, time.Millisecond, 20_000},
		"at the bottom":   {10, time.Minute, 10},
		"no time at all":  {500, 0, 1000},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := resize(tt.rows, tt.took, target, 20_000); got != tt.wantRows {
				t.Errorf("resize = %d, want %d", got, tt.wantRows)
			}
		})
	}
}

// TestBackfillKinds runs each statement in small batches and compares with what PostgreSQL makes of it in one go.
func TestBackfillKinds(t *testing.T) {
	const tables = `CREATE TABLE plain (id bigint PRIMARY KEY, a int, b text);
		INSERT INTO plain SELECT i, CASE WHEN i % 5 = 0 THEN NULL ELSE i % 7 END, 'x' || i FROM generate_series(-50, 200) i;
		CREATE TABLE pair (k text COLLATE "C", n numeric(10,2), v int, PRIMARY KEY (k, n));
		INSERT INTO pair SELECT chr(65 + i % 26) || '''' || i % 3, i / 4.0, i FROM generate_series(1, 200) i;
		CREATE TABLE "Odd Name" ("The Id" uuid PRIMARY KEY, "a b" int);
		INSERT INTO "Odd Name" SELECT md5(i::text)::uuid, i FROM generate_series(1, 150) i;
		CREATE TABLE parted (id int, at date, v int, PRIMARY KEY (at, id)) PARTITION BY RANGE (at);
		CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
		CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');
		INSERT INTO parted SELECT i, date '2020-06-01' + i, 0 FROM generate_series(1, 300) i;
		CREATE TABLE keyless (id int, v int);
		INSERT INTO keyless SELECT i, 0 FROM generate_series(1, 100) i;
		CREATE TABLE empty (id int PRIMARY KEY, v int)`
	tests := map[string]struct{ table, sql string }{
		"null to value":        {"plain", "UPDATE plain SET a = 0 WHERE a IS NULL"},
		"every row once":       {"plain", "UPDATE plain SET a = coalesce(a, 0) + 1"},
		"matches still":        {"plain", "UPDATE plain SET a = a - 1 WHERE a > 0"},
		"own alias, or":        {"plain", "UPDATE ONLY public.plain AS p SET b = p.b || '!', a = 9 WHERE p.a = 1 OR p.a IS NULL"},
		"from another table":   {"plain", "UPDATE plain SET b = o.k FROM pair AS o WHERE o.v = plain.id AND plain.a IS NOT NULL"},
		"from, no condition":   {"plain", "UPDATE plain SET b = s.m FROM (SELECT max(k) AS m FROM pair) AS s"},
		"subquery":             {"plain", "UPDATE plain SET a = (SELECT count(*) FROM pair WHERE v <= plain.id) WHERE EXISTS (SELECT 1 FROM pair WHERE v = plain.id)"},
		"several columns":      {"plain", "UPDATE plain SET (a, b) = (SELECT 5, 'y')"},
		"composite key":        {"pair", "UPDATE pair SET v = v * 2 WHERE v % 2 = 1"},
		"quoted names":         {`"Odd Name"`, `UPDATE "Odd Name" SET "a b" = "a b" + 1 WHERE "a b" < 100`},
		"partitions":           {"parted", "UPDATE parted SET v = id"},
		"no primary key":       {"keyless", "UPDATE keyless SET v = v + 1"},
		"changes the key":      {"plain", "UPDATE plain SET id = id + 1000"},
		"with":                 {"plain", "WITH m AS (SELECT max(v) AS v FROM pair) UPDATE plain SET a = m.v FROM m WHERE a IS NULL"},
		"empty table":          {"empty", "UPDATE empty SET v = 1 WHERE v IS NULL"},
		"delete":               {"plain", "DELETE FROM plain WHERE a IS NULL"},
		"delete using":         {"plain", "DELETE FROM plain USING pair WHERE pair.v = plain.id"},
		"returning is ignored": {"plain", "UPDATE plain SET a = 3 RETURNING id"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			rows := fmt.Sprintf("SELECT coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '') FROM %s AS t", tt.table)
			uri, plain := pgtest.Database(t), pgtest.Connect(t, pgtest.Database(t))
			pgtest.Exec(t, plain, tables)
			pgtest.Exec(t, plain, tt.sql)
			want := pgtest.Value[string](t, plain, rows)
			r := open(t, Options{URI: uri, BatchRows: 17, BatchMax: 17})
			pgtest.Exec(t, r.Conn(), tables)
			apply(t, r, file(t, 1, schema.PhaseBackfill, "-- +goose Up\n"+tt.sql+";\n"))
			if got := pgtest.Value[string](t, r.Conn(), rows); got != want {
				t.Errorf("rows differ from those of one statement:\n%s", difference(want, got))
			}
		})
	}
}

func TestBackfillWithoutKeyTooLarge(t *testing.T) {
	r := open(t, Options{URI: pgtest.Database(t)})
	pgtest.Exec(t, r.Conn(), fmt.Sprintf("CREATE TABLE big AS SELECT i AS id FROM generate_series(1, %d) i", maxUnbatched+1))
	err := r.Apply(t.Context(), file(t, 1, schema.PhaseBackfill, "-- +goose Up\nUPDATE big SET id = 0;\n"), "")
	if err == nil || !strings.Contains(err.Error(), "no primary key") {
		t.Errorf("error = %v, want that the table has no primary key", err)
	}
}

// TestBackfillNewRowsBehind: rows that old writers insert behind the cursor are found by another pass; if that never
// ends, it says so.
func TestBackfillNewRowsBehind(t *testing.T) {
	uri := pgtest.Database(t)
	conn := pgtest.Connect(t, uri)
	pgtest.Exec(t, conn, "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT i, NULL FROM generate_series(1, 100) i")
	next, endless := 0, false
	insert := func(point string) {
		if point == "statement 1 batch 2" && (endless || next == 0) {
			next--
			pgtest.Exec(t, conn, "INSERT INTO t VALUES ($1, NULL)", next)
		}
	}
	r := open(t, Options{URI: uri, BatchRows: 40, BatchMax: 40, Fault: insert})
	apply(t, r, file(t, 1, schema.PhaseBackfill, "-- +goose Up\nUPDATE t SET v = id WHERE v IS NULL;\n"))
	if got := pgtest.Value[int](t, conn, "SELECT count(*)::int FROM t WHERE v = id"); got != 101 {
		t.Errorf("%d rows are right, want 101", got)
	}
	endless = true
	pgtest.Exec(t, conn, "UPDATE t SET v = NULL")
	err := r.Apply(t.Context(), file(t, 2, schema.PhaseBackfill, "-- +goose Up\nUPDATE t SET v = id WHERE v IS NULL;\n"), "")
	if err == nil || !strings.Contains(err.Error(), "after 10 passes") {
		t.Errorf("error = %v, want an end after 10 passes", err)
	}
}

// TestBackfillSeesNewerWrites: a row that waits for a writer is computed from what that writer has written, in another
// table too.
func TestBackfillSeesNewerWrites(t *testing.T) {
	uri := pgtest.Database(t)
	writer := pgtest.Connect(t, uri)
	pgtest.Exec(t, writer, `CREATE TABLE orders (id int PRIMARY KEY, total int); CREATE TABLE items (id int, price int);
		INSERT INTO orders VALUES (1, NULL); INSERT INTO items VALUES (1, 10)`)
	pgtest.Exec(t, writer, "BEGIN; UPDATE orders SET total = 30; INSERT INTO items VALUES (1, 20)")
	r := open(t, Options{URI: uri, LockTimeout: 10 * time.Second})
	done := make(chan error, 1)
	c := file(t, 1, schema.PhaseBackfill, "-- +goose Up\nUPDATE orders SET total = (SELECT sum(price) FROM items WHERE items.id = orders.id);\n")
	go func() { done <- r.Apply(t.Context(), c, "") }()
	watch := pgtest.Connect(t, uri)
	await(t, 5*time.Second, "the backfill to wait for the writer", func() bool {
		return pgtest.Value[int](t, watch, "SELECT count(*)::int FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()") == 1
	})
	pgtest.Exec(t, writer, "COMMIT")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := pgtest.Value[int](t, watch, "SELECT total FROM orders"); got != 30 {
		t.Errorf("total = %d, want 30: the writer's items were overlooked", got)
	}
}

// TestBackfillUnderWriters moves 300,000 rows while writers change, insert and delete them, with the trigger that an
// expand step brings. At the end both shapes must be equal in every row.
func TestBackfillUnderWriters(t *testing.T) {
	const rows = 300_000
	uri := pgtest.Database(t)
	conn := pgtest.Connect(t, uri)
	pgtest.Exec(t, conn, `CREATE TABLE people (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, first text, last text, hits int NOT NULL DEFAULT 0)`)
	pgtest.Exec(t, conn, fmt.Sprintf(`INSERT INTO people (first, last) SELECT 'f' || i, 'l' || i FROM generate_series(1, %d) i`, rows))
	pgtest.Exec(t, conn, "ANALYZE people")
	r := open(t, Options{URI: uri})
	apply(t, r, file(t, 1, schema.PhaseExpand, `-- +goose Up
ALTER TABLE people ADD COLUMN name text;
-- +goose StatementBegin
CREATE FUNCTION sync_name() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.name := NEW.first || ' ' || NEW.last;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER zz_sync BEFORE INSERT OR UPDATE ON people FOR EACH ROW EXECUTE FUNCTION sync_name();
`))
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	var writes, slowest atomic.Int64
	for range 3 {
		c := pgtest.Connect(t, uri)
		writers.Go(func() {
			for ctx.Err() == nil {
				start := time.Now()
				if err := write(c, rows); err != nil {
					t.Errorf("a writer got an error: %v", err)
					return
				}
				slowest.Store(max(slowest.Load(), int64(time.Since(start))))
				writes.Add(1)
			}
		})
	}
	start := time.Now()
	apply(t, r, file(t, 2, schema.PhaseBackfill, "-- +goose Up\nUPDATE people SET name = first || ' ' || last WHERE name IS NULL;\n"))
	took := time.Since(start)
	stop()
	writers.Wait()
	if got := pgtest.Value[int](t, conn, "SELECT count(*)::int FROM people WHERE name IS DISTINCT FROM first || ' ' || last"); got != 0 {
		t.Errorf("%d rows differ", got)
	}
	if writes.Load() == 0 {
		t.Error("nobody wrote")
	}
	t.Logf("%d rows in %s: %.0f rows/s beside %d writes; slowest write %s", rows, took.Round(time.Millisecond),
		rows/took.Seconds(), writes.Load(), time.Duration(slowest.Load()).Round(time.Millisecond))
}

// write is one write of an application that knows nothing of the new column.
func write(c *pgx.Conn, rows int64) (err error) {
	ctx := context.Background()
	switch rand.IntN(10) {
	case 0:
		_, err = c.Exec(ctx, "INSERT INTO people (first, last) VALUES ('new', 'one')")
	case 1:
		_, err = c.Exec(ctx, "DELETE FROM people WHERE id = $1", rand.Int64N(rows))
	default:
		_, err = c.Exec(ctx, "UPDATE people SET last = 'changed', hits = hits + 1 WHERE id = $1", rand.Int64N(rows))
	}
	return err
}

// TestBackfillLockTimeout: a row that the application keeps locked delays the backfill and does not break it.
func TestBackfillLockTimeout(t *testing.T) {
	uri := pgtest.Database(t)
	writer := pgtest.Connect(t, uri)
	pgtest.Exec(t, writer, "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT i, 0 FROM generate_series(1, 100) i")
	pgtest.Exec(t, writer, "BEGIN; UPDATE t SET v = v + 10 WHERE id = 50")
	var said []string
	r := open(t, Options{URI: uri, BatchRows: 20, BatchMax: 20, LockTimeout: 100 * time.Millisecond, LockBudget: 500 * time.Millisecond,
		Progress: func(p Progress) { said = append(said, p.Message) }})
	c := file(t, 1, schema.PhaseBackfill, "-- +goose Up\nUPDATE t SET v = v + 1;\n")
	var le *LockError
	if err := r.Apply(t.Context(), c, ""); !errors.As(err, &le) {
		t.Fatalf("error = %v, want *LockError", err)
	}
	pgtest.Exec(t, writer, "COMMIT")
	apply(t, r, c)
	if got := pgtest.Value[int](t, writer, "SELECT sum(v)::int FROM t"); got != 110 {
		t.Errorf("sum = %d, want 110: each row once, none lost", got)
	}
}
