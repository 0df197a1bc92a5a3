package run

import (
	"testing"

	"github.com/interlock-dev/interlock/internal/pgtest"
	"github.com/interlock-dev/interlock/migrations/schema"
	"github.com/interlock-dev/interlock/migrations/schema/compat"
	"github.com/interlock-dev/interlock/migrations/schema/journal"
)

func TestBaseline(t *testing.T) {
	for _, stop := range []string{"", "baseline intent", "baseline recorded"} {
		t.Run("stopped at "+stop, func(t *testing.T) {
			r := open(t, Options{URI: pgtest.Database(t)})
			pgtest.Exec(t, r.Conn(), "CREATE TABLE t (id int)")
			files := []compat.Classified{
				file(t, 1, schema.PhaseExpand, "-- +goose Up\nCREATE TABLE t (id int);\n"),
				file(t, 2, schema.PhaseContract, "-- +goose Up\nDROP TABLE long_gone;\n"),
			}
			if stop != "" {
				stopAt(t, r, stop, func() { _ = r.Baseline(t.Context(), files, "main@1") })
			}
			for range 2 {
				if err := r.Baseline(t.Context(), files, "main@1"); err != nil {
					t.Fatal(err)
				}
			}
			for _, c := range files {
				apply(t, r, c) // nothing runs, or it would fail
				if got := stepState(t, r, c.File.Version); got != journal.StepVerified {
					t.Errorf("step %d is %s, want verified", c.File.Version, got)
				}
			}
			sql := "SELECT string_agg(version_id::text, ' ' ORDER BY id) FROM interlock.goose_shop"
			if got := pgtest.Value[string](t, r.Conn(), sql); got != "0 1 2" {
				t.Errorf("goose's versions = %s, want 0 1 2", got)
			}
			apply(t, r, file(t, 3, schema.PhaseExpand, "-- +goose Up\nALTER TABLE t ADD COLUMN x int;\n"))
		})
	}
}

// stopAt ends a call at a point, as a kill would, and goes on with the same runner.
func stopAt(t *testing.T, r *Runner, point string, call func()) {
	t.Helper()
	r.o.Fault = func(p string) {
		if p == point {
			panic(point)
		}
	}
	defer func() {
		r.o.Fault = nil
		if got := recover(); got != point {
			t.Fatalf("stopped by %v, want %s", got, point)
		}
	}()
	call()
}
