package pgtest

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

var shared struct {
	once   sync.Once
	server *Server
	err    error
}

var databases atomic.Int64

// Main runs the tests of a package (a *testing.M, or what wraps one) and ends the shared server with them. Call it from
// TestMain.
func Main(m interface{ Run() int }) {
	code := m.Run()
	if shared.server != nil {
		shared.server.close()
	}
	os.Exit(code)
}

// Shared is the server of this test binary; the first caller starts it. The test fails if there is no PostgreSQL.
func Shared(t testing.TB) *Server {
	t.Helper()
	shared.once.Do(func() { shared.server, shared.err = newServer() })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server
}

// Database makes a fresh database on the shared server and returns its URI for the superuser.
func Database(t testing.TB) string {
	t.Helper()
	return Shared(t).NewDatabase(t)
}

// NewDatabase makes a fresh database on this server and returns its URI for the superuser.
func (s *Server) NewDatabase(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", databases.Add(1))
	conn := Connect(t, s.URI(Superuser, "postgres"))
	Exec(t, conn, "CREATE DATABASE "+name)
	return s.URI(Superuser, name)
}

// Connect is a plain connection that is closed with the test.
func Connect(t testing.TB, uri string) *pgx.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, uri)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	})
	return conn
}

// Exec runs statements (several, if there are no arguments) and fails the test if one fails.
func Exec(t testing.TB, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(context.Background(), sql, args...); err != nil {
		t.Fatalf("%v\n%s", err, sql)
	}
}

// Value runs a query and returns the first column of its only row.
func Value[T any](t testing.TB, conn *pgx.Conn, sql string, args ...any) T {
	t.Helper()
	var v T
	if err := conn.QueryRow(context.Background(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%v\n%s", err, sql)
	}
	return v
}

// Schema is what pg_dump says about the schema public of a database, without data.
func (s *Server) Schema(t testing.TB, database string) string {
	t.Helper()
	cmd := s.command("pg_dump", "--schema-only", "--schema=public", "--no-comments", s.URI(Superuser, database))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("pg_dump: %v\n%s", err, stderr.String())
	}
	// pg_dump guards its output with a random word.
	return regexp.MustCompile(`(?m)^\\(un)?restrict .*\n`).ReplaceAllString(string(out), "")
}
