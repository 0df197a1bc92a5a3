package pgtest

import (
	"context"
	"strings"
	"testing"
)

func TestMain(m *testing.M) { Main(m) }

func TestFreshDatabases(t *testing.T) {
	a, b := Database(t), Database(t)
	if a == b {
		t.Fatalf("both databases are %s", a)
	}
	Exec(t, Connect(t, a), "CREATE TABLE only_in_a (id int)")
	if got := Value[*string](t, Connect(t, b), "SELECT to_regclass('only_in_a')::text"); got != nil {
		t.Errorf("a table of one database is seen in another: %s", *got)
	}
}

func TestStopStart(t *testing.T) {
	s := NewServer(t)
	uri := s.NewDatabase(t)
	conn := Connect(t, uri)
	Exec(t, conn, "CREATE TABLE t AS SELECT 1 AS id; CHECKPOINT")
	s.Stop(t)
	if _, err := conn.Exec(context.Background(), "SELECT 1"); err == nil {
		t.Fatal("a stopped server answers")
	}
	s.Start(t)
	if got := Value[int](t, Connect(t, uri), "SELECT count(*)::int FROM t"); got != 1 {
		t.Errorf("rows after the crash = %d, want 1", got)
	}
	if got := Value[string](t, Connect(t, uri), "SHOW server_version"); !strings.HasPrefix(got, "17.") {
		t.Errorf("server_version = %s, want 17.x", got)
	}
}
