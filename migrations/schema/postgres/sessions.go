package postgres

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Session is one client of the current database.
type Session struct {
	PID int32
	// Role that logged in; empty while the server still asks who it is.
	Role string
	// Database is empty while the server still asks.
	Database        string
	ApplicationName string
	// ClientAddr is the zero value for a local socket.
	ClientAddr   netip.Addr
	BackendStart time.Time
	// State is PostgreSQL's word: active, idle, idle in transaction …
	State string
	// XactStart is zero outside a transaction.
	XactStart time.Time
}

// CheckPrivileges is an *Error with the reason PrivilegesMissing that lists everything the role lacks, or nil: it must
// see the sessions of every role, and be able to keep the schema interlock.
func CheckPrivileges(ctx context.Context, conn *pgx.Conn) error {
	const sql = `SELECT
		pg_catalog.pg_has_role(CURRENT_USER, 'pg_read_all_stats', 'USAGE'),
		CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'interlock')
			THEN pg_catalog.has_schema_privilege('interlock', 'USAGE') AND pg_catalog.has_schema_privilege('interlock', 'CREATE')
			ELSE pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') END,
		pg_catalog.quote_ident(CURRENT_USER), pg_catalog.quote_ident(pg_catalog.current_database())`
	var seesAll, keepsSchema bool
	var role, database string
	if err := conn.QueryRow(ctx, sql).Scan(&seesAll, &keepsSchema, &role, &database); err != nil {
		return fmt.Errorf("checking privileges: %w", err)
	}
	var missing []string
	if !seesAll {
		missing = append(missing, fmt.Sprintf("it does not see the sessions of other roles: GRANT pg_monitor TO %s", role))
	}
	if !keepsSchema {
		missing = append(missing, fmt.Sprintf("it can not keep its journal: GRANT CREATE ON DATABASE %s TO %s", database, role))
	}
	if missing == nil {
		return nil
	}
	return &Error{Reason: PrivilegesMissing, Message: fmt.Sprintf("role %s lacks privileges: %s", role, strings.Join(missing, "; "))}
}

// Sessions lists the clients of the current database, by PID. Left out are the roles in ignore, and Interlock's own
// sessions: those of this login role whose application name starts with "interlock". A session of the same role with
// another name is listed, since an application might share the login. What PostgreSQL does not show is an error, never
// an absence.
func Sessions(ctx context.Context, conn *pgx.Conn, ignore []string) ([]Session, error) {
	// Without privileges, PostgreSQL blanks backend_type and backend_start of other roles' sessions; a session that is
	// still logging in has no database yet (PostgreSQL 18 lists it).
	const sql = `SELECT pid, coalesce(usename::text, ''), coalesce(datname::text, ''), coalesce(application_name, ''),
			host(client_addr), backend_start, coalesce(state, ''), xact_start, backend_type IS NULL OR backend_start IS NULL
		FROM pg_catalog.pg_stat_activity
		WHERE (datname = pg_catalog.current_database() OR datname IS NULL)
			AND (backend_type = 'client backend' OR backend_type IS NULL AND usename IS NOT NULL)
			AND NOT coalesce(usename::text = ANY($1), false)
			AND NOT coalesce(usename = SESSION_USER AND application_name LIKE 'interlock%', false)
		ORDER BY pid`
	if ignore == nil {
		ignore = []string{}
	}
	if err := seesAllSessions(ctx, conn); err != nil {
		return nil, err
	}
	rows, err := conn.Query(ctx, sql, ignore)
	if err != nil {
		return nil, fmt.Errorf("listing sessions: %w", err)
	}
	sessions, err := pgx.CollectRows(rows, scanSession)
	if err != nil {
		return nil, fmt.Errorf("listing sessions: %w", err)
	}
	return sessions, nil
}

func seesAllSessions(ctx context.Context, conn *pgx.Conn) error {
	var sees bool
	err := conn.QueryRow(ctx, `SELECT pg_catalog.pg_has_role(CURRENT_USER, 'pg_read_all_stats', 'USAGE')`).Scan(&sees)
	if err != nil {
		return fmt.Errorf("checking what sessions are visible: %w", err)
	}
	if !sees {
		return &Error{Reason: PrivilegesMissing, Message: fmt.Sprintf(
			"role %q does not see the sessions of other roles, so nobody can say who still reads: GRANT pg_monitor TO %s",
			conn.Config().User, pgx.Identifier{conn.Config().User}.Sanitize())}
	}
	return nil
}

func scanSession(row pgx.CollectableRow) (Session, error) {
	var s Session
	var addr *string
	var start, xact *time.Time
	var hidden bool
	if err := row.Scan(&s.PID, &s.Role, &s.Database, &s.ApplicationName, &addr, &start, &s.State, &xact, &hidden); err != nil {
		return s, err
	}
	if hidden {
		return s, &Error{Reason: PrivilegesMissing, Message: fmt.Sprintf(
			"the server hides the session with pid %d (role %q): grant pg_monitor to Interlock's role", s.PID, s.Role)}
	}
	s.BackendStart = *start
	if xact != nil {
		s.XactStart = *xact
	}
	if addr != nil {
		parsed, err := netip.ParseAddr(*addr)
		if err != nil {
			return s, fmt.Errorf("client address of pid %d: %w", s.PID, err)
		}
		s.ClientAddr = parsed
	}
	return s, nil
}

// Blocker is a session that another one waits for.
type Blocker struct {
	// PID is 0 for a prepared transaction, which has no process.
	PID             int32
	Role            string
	ApplicationName string
	State           string
	// QueryAge and XactAge are 0 where there is none, or where it is not visible.
	QueryAge, XactAge time.Duration
}

// String names the blocker for a message.
func (b Blocker) String() string {
	if b.PID == 0 {
		return "a prepared transaction (see pg_prepared_xacts)"
	}
	age := b.QueryAge
	if b.XactAge > age {
		age = b.XactAge
	}
	return fmt.Sprintf("pid %d (role %s, application %q, %s for %s)", b.PID, b.Role, b.ApplicationName, b.State, age.Round(100*time.Millisecond))
}

// Blockers says for whom the session pid waits; none if it does not wait.
func Blockers(ctx context.Context, conn *pgx.Conn, pid int32) ([]Blocker, error) {
	const sql = `SELECT b.pid, coalesce(a.usename::text, ''), coalesce(a.application_name, ''), coalesce(a.state, 'unknown'),
			coalesce(extract(epoch FROM clock_timestamp() - a.query_start), 0)::float8,
			coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::float8
		FROM (SELECT DISTINCT pg_catalog.unnest(pg_catalog.pg_blocking_pids($1)) AS pid) b
		LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = b.pid ORDER BY b.pid`
	rows, err := conn.Query(ctx, sql, pid)
	if err != nil {
		return nil, fmt.Errorf("asking who blocks pid %d: %w", pid, err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Blocker, error) {
		var b Blocker
		var query, xact float64
		err := row.Scan(&b.PID, &b.Role, &b.ApplicationName, &b.State, &query, &xact)
		b.QueryAge, b.XactAge = time.Duration(query*float64(time.Second)), time.Duration(xact*float64(time.Second))
		return b, err
	})
}
