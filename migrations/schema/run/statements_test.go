package run

import (
	"errors"
	"strings"
	"testing"

	"github.com/interlock-dev/interlock/internal/pgtest"
	"github.com/interlock-dev/interlock/migrations/schema"
	"github.com/interlock-dev/interlock/migrations/schema/journal"
)

func TestDecide(t *testing.T) {
	tests := map[string]struct {
		mode        mode
		begun       bool
		before, now found
		ifNotExists bool
		want        next
	}{
		"index, first time":                   {modeCreateIndex, false, foundNothing, foundAbsent, false, nextRun},
		"index, first time, exists":           {modeCreateIndex, false, foundNothing, foundValid, false, nextRun},
		"index, first time, exists, lenient":  {modeCreateIndex, false, foundNothing, foundValid, true, nextSkip},
		"index, first time, invalid":          {modeCreateIndex, false, foundNothing, foundInvalid, false, nextCleanRun},
		"index, first time, invalid, lenient": {modeCreateIndex, false, foundNothing, foundInvalid, true, nextCleanRun},
		"index, lenient, of another table":    {modeCreateIndex, false, foundNothing, foundForeign, true, nextRefuse},
		"index, somebody builds it":           {modeCreateIndex, true, foundAbsent, foundBuilding, false, nextRefuse},
		"index, begun, done":                  {modeCreateIndex, true, foundAbsent, foundValid, false, nextSkip},
		"index, begun, was there before":      {modeCreateIndex, true, foundValid, foundValid, false, nextRun},
		"index, begun, not done":              {modeCreateIndex, true, foundAbsent, foundAbsent, false, nextRun},
		"index, begun, half done":             {modeCreateIndex, true, foundAbsent, foundInvalid, false, nextCleanRun},
		"drop, first time, absent":            {modeDropIndex, false, foundNothing, foundAbsent, false, nextRun},
		"drop, begun, done":                   {modeDropIndex, true, foundValid, foundAbsent, false, nextSkip},
		"drop, begun, not done":               {modeDropIndex, true, foundValid, foundValid, false, nextRun},
		"drop, begun, was absent before":      {modeDropIndex, true, foundAbsent, foundAbsent, false, nextRun},
		"reindex, first time":                 {modeReindex, false, foundNothing, foundNothing, false, nextRun},
		"reindex, begun":                      {modeReindex, true, foundNothing, foundNothing, false, nextCleanRun},
		"detach, first time":                  {modeDetach, false, foundNothing, foundAttached, false, nextRun},
		"detach, begun, done":                 {modeDetach, true, foundAttached, foundDetached, false, nextSkip},
		"detach, half done":                   {modeDetach, true, foundAttached, foundPending, false, nextFinalize},
		"detach, never attached":              {modeDetach, true, foundDetached, foundDetached, false, nextRun},
		"opaque, first time":                  {modeOpaque, false, foundNothing, foundNothing, false, nextRun},
		"opaque, begun":                       {modeOpaque, true, foundNothing, foundNothing, false, nextRefuse},
		"repeatable, begun":                   {modeRepeatable, true, foundNothing, foundNothing, false, nextRun},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, why := decide(tt.mode, tt.begun, tt.before, tt.now, tt.ifNotExists)
			if got != tt.want || (got == nextRefuse) != (why != "") {
				t.Errorf("decide = %s %q, want %s", got, why, tt.want)
			}
		})
	}
}

func TestModeOf(t *testing.T) {
	tests := map[string]struct {
		sql      string
		backfill bool
		want     mode
	}{
		"index":                    {"CREATE INDEX i ON t (id)", false, modeTransaction},
		"index concurrently":       {"CREATE INDEX CONCURRENTLY i ON t (id)", false, modeCreateIndex},
		"drop index":               {"DROP INDEX i", false, modeTransaction},
		"drop index concurrently":  {"DROP INDEX CONCURRENTLY i", false, modeDropIndex},
		"reindex":                  {"REINDEX TABLE t", false, modeRepeatable},
		"reindex concurrently":     {"REINDEX TABLE CONCURRENTLY t", false, modeReindex},
		"reindex (concurrently)":   {"REINDEX (CONCURRENTLY, VERBOSE) INDEX i", false, modeReindex},
		"detach":                   {"ALTER TABLE p DETACH PARTITION c", false, modeTransaction},
		"detach concurrently":      {"ALTER TABLE p DETACH PARTITION c CONCURRENTLY", false, modeDetach},
		"update in an expand file": {"UPDATE t SET a = 1", false, modeTransaction},
		"update in a backfill":     {"UPDATE t SET a = 1", true, modeBatched},
		"delete in a backfill":     {"DELETE FROM t", true, modeBatched},
		"insert in a backfill":     {"INSERT INTO t SELECT 1", true, modeTransaction},
		"analyze":                  {"ANALYZE t", true, modeTransaction},
		"vacuum":                   {"VACUUM t", true, modeRepeatable},
		"set":                      {"SET work_mem = '1MB'", false, modeSession},
		"reset":                    {"RESET work_mem", false, modeSession},
		"set role":                 {"SET ROLE app", false, modeRefused},
		"do":                       {"DO $$ BEGIN PERFORM 1; END $$", false, modeTransaction},
		"do with commit":           {"DO $$ BEGIN PERFORM 1; COMMIT; END $$", false, modeOpaque},
		"call":                     {"CALL p()", false, modeOpaque},
		"two that fit together":    {"CREATE TABLE a (id int); CREATE TABLE b (id int)", false, modeTransaction},
		"two that do not":          {"CREATE TABLE a (id int); CREATE INDEX CONCURRENTLY i ON a (id)", false, modeRefused},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			statements, err := parseFile(schema.File{Up: []schema.Statement{{SQL: tt.sql, Line: 1}}})
			if err != nil {
				t.Fatal(err)
			}
			if got, why := modeOf(statements[0], tt.backfill); got != tt.want {
				t.Errorf("mode = %s %q, want %s", got, why, tt.want)
			}
		})
	}
}

const noTransaction = "-- +goose NO TRANSACTION\n-- +goose Up\n"

// TestGoosesOwnGap: plain goose was killed after the index was built, or half built, and before it recorded the version.
func TestGoosesOwnGap(t *testing.T) {
	uri := pgtest.Database(t)
	r := open(t, Options{URI: uri})
	conn := pgtest.Connect(t, uri)
	pgtest.Exec(t, conn, "CREATE TABLE t (id int); CREATE TABLE other (id int); INSERT INTO t VALUES (1), (1)")
	if _, err := conn.Exec(t.Context(), "CREATE UNIQUE INDEX CONCURRENTLY half ON t (id)"); err == nil {
		t.Fatal("the index should fail and stay INVALID")
	}
	pgtest.Exec(t, conn, "DELETE FROM t; CREATE INDEX taken ON other (id)")
	apply(t, r, file(t, 1, schema.PhaseExpand, noTransaction+"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS half ON t (id);\n"))
	if !pgtest.Value[bool](t, conn, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'half'::regclass") {
		t.Error("IF NOT EXISTS was believed although the index is INVALID")
	}
	apply(t, r, file(t, 2, schema.PhaseExpand, noTransaction+"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS half ON t (id);\n"))
	err := r.Apply(t.Context(), file(t, 3, schema.PhaseExpand, noTransaction+"CREATE INDEX CONCURRENTLY IF NOT EXISTS taken ON t (id);\n"), "")
	if err == nil || !strings.Contains(err.Error(), "choose another name") {
		t.Errorf("error = %v, want that the name is taken", err)
	}
}

// TestFailedIndex: the server says no; nothing INVALID stays, and after the data was put right it runs again.
func TestFailedIndex(t *testing.T) {
	uri := pgtest.Database(t)
	r := open(t, Options{URI: uri})
	conn := pgtest.Connect(t, uri)
	pgtest.Exec(t, conn, "CREATE TABLE t (id int); INSERT INTO t VALUES (1), (1)")
	c := file(t, 1, schema.PhaseExpand, noTransaction+"INSERT INTO t VALUES (2);\nCREATE UNIQUE INDEX CONCURRENTLY u ON t (id);\n")
	var se *StatementError
	if err := r.Apply(t.Context(), c, ""); !errors.As(err, &se) || se.SQLSTATE != "23505" || se.Line != 4 {
		t.Fatalf("error = %v, want 23505 in line 4", err)
	}
	if strings.Contains(se.Error(), "(1)") {
		t.Errorf("the error holds data: %s", se)
	}
	if got := pgtest.Value[*string](t, conn, "SELECT to_regclass('u')::text"); got != nil {
		t.Error("an INVALID index stays, which refuses rows")
	}
	pgtest.Exec(t, conn, "DELETE FROM t WHERE ctid = (SELECT min(ctid) FROM t)")
	apply(t, r, c)
	if got := pgtest.Value[int](t, conn, "SELECT count(*)::int FROM t WHERE id = 2"); got != 1 {
		t.Errorf("the first statement ran %d times, want once", got)
	}
}

func TestAppliedStatementEdited(t *testing.T) {
	r := open(t, Options{URI: pgtest.Database(t)})
	text := noTransaction + "CREATE TABLE a (id int);\nVACUUM no_such_table;\n"
	if err := r.Apply(t.Context(), file(t, 1, schema.PhaseExpand, text), ""); err == nil {
		t.Fatal("no error")
	}
	var changed *ChangedError
	err := r.Apply(t.Context(), file(t, 1, schema.PhaseExpand, strings.Replace(text, "id int", "id bigint", 1)), "")
	if !errors.As(err, &changed) || changed.Line != 3 {
		t.Errorf("error = %v, want *ChangedError in line 3", err)
	}
	apply(t, r, file(t, 1, schema.PhaseExpand, strings.Replace(text, "VACUUM no_such_table", "VACUUM a", 1)))
}

func TestInterruptedCall(t *testing.T) {
	uri := pgtest.Database(t)
	r := open(t, Options{URI: uri})
	pgtest.Exec(t, r.Conn(), `CREATE TABLE t (id int);
		CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO t VALUES (1); COMMIT; INSERT INTO t VALUES (2); END $$`)
	c := file(t, 1, schema.PhaseExpand, noTransaction+"CALL p();\n")
	stopAt(t, r, "statement 1 done", func() { _ = r.Apply(t.Context(), c, "") })
	err := r.Apply(t.Context(), c, "")
	if err == nil || !strings.Contains(err.Error(), "UPDATE interlock.statements SET state = 'applied'") {
		t.Fatalf("error = %v, want the ways out", err)
	}
	// The way out that the message names.
	_, sql, _ := strings.Cut(err.Error(), `if it is done run "`)
	sql, _, _ = strings.Cut(sql, `"`)
	pgtest.Exec(t, r.Conn(), sql)
	apply(t, r, c)
	if got := pgtest.Value[int](t, r.Conn(), "SELECT count(*)::int FROM t"); got != 2 {
		t.Errorf("rows = %d, want 2", got)
	}
}

// TestVerify: what the server accepted but the catalog does not show is not verified.
func TestVerify(t *testing.T) {
	r := open(t, Options{URI: pgtest.Database(t)})
	conn := pgtest.Connect(t, r.o.URI)
	r.o.Fault = func(point string) {
		if point == "applied" {
			pgtest.Exec(t, conn, "ALTER TABLE t DROP CONSTRAINT positive")
		}
	}
	c := file(t, 1, schema.PhaseExpand, "-- +goose Up\nCREATE TABLE t (id int);\nALTER TABLE t ADD CONSTRAINT positive CHECK (id > 0);\n")
	err := r.Apply(t.Context(), c, "")
	if err == nil || !strings.Contains(err.Error(), `validated constraint "positive" of "t"`) {
		t.Fatalf("error = %v, want the missing constraint", err)
	}
	if got := stepState(t, r, 1); got != journal.StepApplied {
		t.Errorf("state = %s, want applied", got)
	}
	r.o.Fault = nil
	pgtest.Exec(t, conn, "ALTER TABLE t ADD CONSTRAINT positive CHECK (id > 0)")
	apply(t, r, c)
}

func TestExpectations(t *testing.T) {
	tests := map[string]struct {
		up   string
		want string
	}{
		"table":            {"CREATE TABLE s.t (id int)", `relation "s"."t"`},
		"temporary":        {"CREATE TEMP TABLE t (id int)", ""},
		"dropped again":    {"CREATE TABLE t (id int); DROP TABLE t", ""},
		"index":            {"CREATE INDEX i ON t (id)", `index "i" of "t"`},
		"index dropped":    {"CREATE INDEX i ON t (id); DROP INDEX i", ""},
		"columns":          {"ALTER TABLE t ADD a int, ADD b int", `column "a" of "t"; column "b" of "t"`},
		"column dropped":   {"ALTER TABLE t ADD a int; ALTER TABLE t DROP a", ""},
		"not valid":        {"ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0) NOT VALID", `constraint "c" of "t"`},
		"validated":        {"ALTER TABLE t VALIDATE CONSTRAINT c", `validated constraint "c" of "t"`},
		"not null":         {"ALTER TABLE t ALTER a SET NOT NULL", `not null "a" of "t"`},
		"trigger":          {"CREATE TRIGGER g BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()", `trigger "g" of "t"`},
		"enum value":       {"ALTER TYPE mood ADD VALUE 'sad'", `enum value "mood" 'sad'`},
		"renamed":          {"ALTER TABLE t ADD a int; ALTER TABLE t RENAME TO u", ""},
		"search path":      {"CREATE TABLE t (id int); SET search_path = x", ""},
		"set_config":       {"CREATE TABLE t (id int); SELECT set_config('search_path', '', false)", ""},
		"hidden in a DO":   {"CREATE TABLE t (id int); DO $$ BEGIN DROP TABLE t; END $$", ""},
		"dropped by chain": {"CREATE TABLE t (id int); DROP SCHEMA s CASCADE", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			statements, err := parseFile(schema.File{Up: []schema.Statement{{SQL: tt.up, Line: 1}}})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range expectations(statements) {
				got = append(got, string(f.kind)+" "+f.String())
			}
			if s := strings.Join(got, "; "); s != tt.want {
				t.Errorf("expectations = %s, want %s", s, tt.want)
			}
		})
	}
}
