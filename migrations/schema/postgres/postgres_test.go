package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/interlock-dev/interlock/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func connect(t testing.TB, uri string, o Options) *pgx.Conn {
	t.Helper()
	conn, err := Connect(t.Context(), uri, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeNow(conn) })
	return conn
}

func TestConnectErrors(t *testing.T) {
	const secret = "s3cr3t-pa55"
	uri := pgtest.Database(t)
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	at := func(change func(*url.URL)) string {
		c := *u
		change(&c)
		return c.String()
	}
	admin := pgtest.Connect(t, uri)
	pgtest.Exec(t, admin, "CREATE ROLE no_login PASSWORD '"+secret+"'")
	pgtest.Exec(t, admin, "CREATE ROLE shut_out LOGIN PASSWORD '"+secret+"'")
	pgtest.Exec(t, admin, "REVOKE CONNECT ON DATABASE "+admin.Config().Database+" FROM PUBLIC")
	t.Cleanup(func() { pgtest.Exec(t, admin, "DROP ROLE no_login, shut_out") })
	tests := map[string]struct {
		uri  string
		want Reason
	}{
		"not a URI":          {"host=db password=" + secret, InvalidURI},
		"another scheme":     {"mysql://a:" + secret + "@h/d", InvalidURI},
		"bad escape":         {"postgres://a:" + secret + "%@h:5432/d", InvalidURI},
		"bad port":           {"postgres://a:" + secret + "@h:99999999/d", InvalidURI},
		"bad sslmode":        {"postgres://a:" + secret + "@h/d?sslmode=perhaps", InvalidURI},
		"no host":            {"postgres://a:" + secret + "@/d", InvalidURI},
		"no role":            {"postgres://h/d", InvalidURI},
		"no database":        {"postgres://a:" + secret + "@h", InvalidURI},
		"a socket":           {"postgres://a:" + secret + "@%2Fvar%2Frun/d", InvalidURI},
		"a host parameter":   {"postgres://a:" + secret + "@h/d?host=/var/run", InvalidURI},
		"a file of ours":     {"postgres://a:" + secret + "@h/d?sslrootcert=/etc/passwd", InvalidURI},
		"a password file":    {"postgres://a@h/d?passfile=/etc/passwd", InvalidURI},
		"nobody listens":     {at(func(u *url.URL) { u.Host = "127.0.0.1:1" }), Unreachable},
		"no such host":       {at(func(u *url.URL) { u.Host = "nowhere.invalid:5432" }), Unreachable},
		"wrong password":     {at(func(u *url.URL) { u.User = url.UserPassword(pgtest.Superuser, secret) }), AuthenticationFailed},
		"no such role":       {at(func(u *url.URL) { u.User = url.UserPassword("nobody", secret) }), AuthenticationFailed},
		"may not log in":     {at(func(u *url.URL) { u.User = url.UserPassword("no_login", secret) }), AuthenticationFailed},
		"may not connect":    {at(func(u *url.URL) { u.User = url.UserPassword("shut_out", secret) }), PrivilegesMissing},
		"no such database":   {at(func(u *url.URL) { u.Path = "missing" }), DatabaseMissing},
		"TLS is not offered": {at(func(u *url.URL) { u.RawQuery = "sslmode=require" }), TLSFailed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			conn, err := Connect(t.Context(), tt.uri, Options{ConnectTimeout: 5 * time.Second})
			if err == nil {
				closeNow(conn)
				t.Fatal("no error")
			}
			if ReasonOf(err) != tt.want {
				t.Errorf("reason = %s (%v), want %s", ReasonOf(err), err, tt.want)
			}
			text := fmt.Sprintf("%v %+v %v", err, err, errors.Unwrap(err))
			for _, hidden := range []string{secret, pgtest.Password, "%2F", tt.uri} {
				if strings.Contains(text, hidden) {
					t.Errorf("the error holds %q: %s", hidden, text)
				}
			}
		})
	}
}

func TestSettings(t *testing.T) {
	conn := connect(t, pgtest.Database(t), Options{ApplicationName: "interlock run shop", LockTimeout: 1500 * time.Millisecond})
	check := func() {
		t.Helper()
		for name, want := range map[string]string{
			"lock_timeout": "1500ms", "statement_timeout": "0", "transaction_timeout": "0", "idle_session_timeout": "0",
			"idle_in_transaction_session_timeout": "30s", "client_connection_check_interval": "2s",
			"tcp_keepalives_idle": "10", "row_security": "off", "application_name": "interlock run shop", "search_path": `"$user", public`,
		} {
			if got := pgtest.Value[string](t, conn, "SELECT current_setting($1)", name); got != want {
				t.Errorf("%s = %s, want %s", name, got, want)
			}
		}
	}
	check()
	pgtest.Exec(t, conn, "SET lock_timeout = 0; SET search_path = x; RESET ALL")
	if err := Settings(t.Context(), conn, Options{ApplicationName: "interlock run shop", LockTimeout: 1500 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	check()
}

func TestCancelReachesTheServer(t *testing.T) {
	conn := connect(t, pgtest.Database(t), Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := conn.Exec(ctx, "SELECT pg_sleep(60)"); err == nil || time.Since(start) > 3*time.Second {
		t.Fatalf("ended after %s with %v", time.Since(start), err)
	}
	if got := pgtest.Value[int](t, conn, "SELECT 1"); got != 1 {
		t.Error("the session did not survive the cancellation")
	}
}

func TestApplicationName(t *testing.T) {
	long := strings.Repeat("x", 80)
	tests := map[string]string{
		"":               "interlock",
		"interlock":      "interlock",
		"shop@12":        "interlock shop@12",
		"interlock shop": "interlock shop",
	}
	for name, want := range tests {
		if got := applicationName(name); got != want {
			t.Errorf("applicationName(%q) = %q, want %q", name, got, want)
		}
	}
	a, b := applicationName(long+"1"), applicationName(long+"12")
	if len(a) != 63 || len(b) != 63 || a == b {
		t.Errorf("long names are cut to %q and %q, want two different ones of 63 bytes", a, b)
	}
}

func TestReadIdentity(t *testing.T) {
	uri := pgtest.Database(t)
	admin := pgtest.Connect(t, uri)
	pgtest.Exec(t, admin, "CREATE ROLE plain_id LOGIN PASSWORD '"+pgtest.Password+"'")
	conn := connect(t, pgtest.Shared(t).URI("plain_id", admin.Config().Database), Options{})
	t.Cleanup(func() { closeNow(conn); pgtest.Exec(t, admin, "DROP ROLE plain_id") })
	id, err := ReadIdentity(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	want := pgtest.Value[string](t, admin, "SELECT system_identifier::text FROM pg_control_system()")
	if id.SystemIdentifier != want || id.Timeline != 1 || id.InRecovery || !strings.HasPrefix(id.ServerVersion, "17.") {
		t.Errorf("identity = %+v, want system %s on timeline 1", id, want)
	}
	pgtest.Exec(t, admin, "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
	if _, err := ReadIdentity(t.Context(), conn); ReasonOf(err) != PrivilegesMissing || !strings.Contains(err.Error(), "GRANT EXECUTE") {
		t.Errorf("without the privilege: %v, want the grant", err)
	}
}

func TestPrivilegesAndSessions(t *testing.T) {
	uri := pgtest.Database(t)
	admin := pgtest.Connect(t, uri)
	database := admin.Config().Database
	for _, role := range []string{"op", "blind", "app", "exporter"} {
		pgtest.Exec(t, admin, "CREATE ROLE "+role+" LOGIN PASSWORD '"+pgtest.Password+"'")
	}
	pgtest.Exec(t, admin, "GRANT pg_monitor TO op")
	uriOf := func(role, application string) string {
		return pgtest.Shared(t).URI(role, database) + "?application_name=" + url.QueryEscape(application)
	}
	op, blind := connect(t, uriOf("op", ""), Options{}), connect(t, uriOf("blind", ""), Options{})
	if err := CheckPrivileges(t.Context(), op); ReasonOf(err) != PrivilegesMissing || !strings.Contains(err.Error(), "GRANT CREATE ON DATABASE") {
		t.Errorf("op: %v, want that CREATE is missing", err)
	}
	pgtest.Exec(t, admin, "GRANT CREATE ON DATABASE "+database+" TO op")
	if err := CheckPrivileges(t.Context(), op); err != nil {
		t.Errorf("op with all grants: %v", err)
	}
	if err := CheckPrivileges(t.Context(), blind); ReasonOf(err) != PrivilegesMissing || !strings.Contains(err.Error(), "GRANT pg_monitor TO blind; it") {
		t.Errorf("blind: %v, want both grants", err)
	}
	if _, err := Sessions(t.Context(), blind, nil); ReasonOf(err) != PrivilegesMissing {
		t.Errorf("blind sees %v, want an error", err)
	}

	app := pgtest.Connect(t, uriOf("app", "shop@12"))
	pgtest.Exec(t, app, "BEGIN; SELECT 1")
	pgtest.Connect(t, uriOf("exporter", "metrics"))
	pgtest.Connect(t, uriOf("op", "somebody's shell"))
	elsewhere := pgtest.Connect(t, pgtest.Shared(t).URI("app", "postgres"))
	t.Cleanup(func() {
		for _, c := range []*pgx.Conn{op, blind, app, elsewhere} {
			closeNow(c)
		}
	})
	sessions, err := Sessions(t.Context(), op, []string{"exporter", pgtest.Superuser, "blind"})
	if err != nil {
		t.Fatal(err)
	}
	if len(sessions) != 2 {
		t.Fatalf("sessions = %+v, want the application and the shell of the same role", sessions)
	}
	got := sessions[0]
	if got.PID != int32(app.PgConn().PID()) || got.Role != "app" || got.Database != database || got.ApplicationName != "shop@12" ||
		got.ClientAddr != netip.MustParseAddr("127.0.0.1") || got.State != "idle in transaction" || got.XactStart.IsZero() ||
		time.Since(got.BackendStart) > time.Minute {
		t.Errorf("session = %+v", got)
	}
	if got := sessions[1]; got.Role != "op" || got.ApplicationName != "somebody's shell" || !got.XactStart.IsZero() {
		t.Errorf("session = %+v, want the shell", got)
	}
}

func TestBlockers(t *testing.T) {
	uri := pgtest.Database(t)
	holder, waiter, watch := pgtest.Connect(t, uri), pgtest.Connect(t, uri), connect(t, uri, Options{})
	pgtest.Exec(t, holder, "CREATE TABLE t (id int); SET application_name = 'report'")
	pgtest.Exec(t, holder, "BEGIN; SELECT * FROM t")
	pid := int32(waiter.PgConn().PID())
	if got, err := Blockers(t.Context(), watch, pid); err != nil || len(got) != 0 {
		t.Fatalf("blockers of who does not wait = %v, %v", got, err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := waiter.Exec(context.Background(), "DROP TABLE t")
		done <- err
	}()
	var got []Blocker
	for deadline := time.Now().Add(5 * time.Second); len(got) == 0 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		var err error
		if got, err = Blockers(t.Context(), watch, pid); err != nil {
			t.Fatal(err)
		}
	}
	pgtest.Exec(t, holder, "COMMIT")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].PID != int32(holder.PgConn().PID()) || got[0].ApplicationName != "report" || got[0].XactAge <= 0 {
		t.Fatalf("blockers = %+v, want the report", got)
	}
	if s := got[0].String(); !strings.Contains(s, `role postgres, application "report", idle in transaction for`) {
		t.Errorf("String() = %s", s)
	}
}
