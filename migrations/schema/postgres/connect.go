package postgres

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
)

// MinVersion is the oldest major version of PostgreSQL that is supported.
const MinVersion = 14

// maxApplicationName is where PostgreSQL cuts application_name, in bytes.
const maxApplicationName = 63

// Options of a connection; the zero value is usable.
type Options struct {
	// ApplicationName as seen in pg_stat_activity; "interlock" goes in front if it is not there.
	ApplicationName string
	// LockTimeout is how long a statement waits for one lock; default 2 s.
	LockTimeout time.Duration
	// ConnectTimeout covers DNS, TCP, TLS and log-in; default 10 s.
	ConnectTimeout time.Duration
	// CA is a PEM bundle that the server's certificate must come from; it adds to sslmode=verify-ca and verify-full.
	CA []byte
	// LocalFiles lets the URI name files and sockets of this machine (sslrootcert, sslkey, passfile …). A URI from a
	// Secret must not: it would read the operator's files.
	LocalFiles bool
}

func (o Options) withDefaults() Options {
	if o.LockTimeout <= 0 {
		o.LockTimeout = 2 * time.Second
	}
	if o.ConnectTimeout <= 0 {
		o.ConnectTimeout = 10 * time.Second
	}
	o.ApplicationName = applicationName(o.ApplicationName)
	return o
}

// applicationName fits PostgreSQL's limit without a silent cut: a cut version number would be a smaller one.
func applicationName(name string) string {
	if !strings.HasPrefix(name, "interlock") {
		name = strings.TrimSuffix("interlock "+name, " ")
	}
	if len(name) <= maxApplicationName {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return name[:maxApplicationName-9] + "~" + hex.EncodeToString(sum[:4])
}

// Connect opens a direct connection: it refuses a pooler and a server older than MinVersion, sets the session's
// limits (see Settings) and cancels the running statement on the server when ctx ends. Errors are *Error.
func Connect(ctx context.Context, uri string, o Options) (*pgx.Conn, error) {
	cfg, err := Config(uri, o)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, Explain(err, cfg)
	}
	if err := Setup(ctx, conn, o); err != nil {
		closeNow(conn)
		return nil, Explain(err, cfg)
	}
	return conn, nil
}

func closeNow(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}

// Config is what Connect dials with. Errors are *Error with the reason InvalidURI and never quote the URI.
func Config(uri string, o Options) (*pgx.ConnConfig, error) {
	o = o.withDefaults()
	if err := checkURI(uri, o.LocalFiles); err != nil {
		return nil, err
	}
	cfg, err := pgx.ParseConfig(uri)
	if err != nil {
		return nil, invalid("a part of it can not be understood (host, port, sslmode or another parameter)")
	}
	if o.CA != nil {
		if err := useCA(cfg, o.CA); err != nil {
			return nil, err
		}
	}
	cfg.ConnectTimeout = o.ConnectTimeout
	dialer := &net.Dialer{
		Timeout: o.ConnectTimeout,
		// A dead node is noticed within half a minute, not after two hours.
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3},
	}
	cfg.DialFunc = dialer.DialContext
	cfg.RuntimeParams["application_name"] = o.ApplicationName
	// The schema changes under this session: a cached plan would go stale.
	cfg.DefaultQueryExecMode = pgx.QueryExecModeDescribeExec
	cfg.BuildContextWatcherHandler = func(pg *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: pg, DeadlineDelay: 5 * time.Second}
	}
	return cfg, nil
}

func invalid(why string) *Error {
	return &Error{Reason: InvalidURI, Message: "the database's URI is not usable: " + why +
		"; it looks like postgres://role:password@host:5432/database?sslmode=verify-full"}
}

func checkURI(uri string, localFiles bool) error {
	u, err := url.Parse(uri)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return invalid("it does not start with postgres://, or a special character in it (often in the password) is not percent-encoded")
	}
	if localFiles {
		return nil
	}
	switch {
	case u.Hostname() == "" || strings.Contains(u.Host, "/") || strings.Contains(u.Host, "%2F"):
		return invalid("it has no host")
	case u.User.Username() == "":
		return invalid("it has no role")
	case strings.Trim(u.Path, "/") == "":
		return invalid("it has no database")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return invalid("its parameters can not be understood")
	}
	for key, values := range query {
		switch key {
		case "host", "hostaddr", "port", "user", "password", "dbname", "database", "service", "servicefile", "passfile",
			"sslcert", "sslkey", "sslpassword":
			return invalid(fmt.Sprintf("the parameter %q is not allowed here", key))
		case "sslrootcert":
			if len(values) != 1 || values[0] != "system" {
				return invalid("sslrootcert must be \"system\": files are not read; give the certificate authority beside the URI")
			}
		}
	}
	return nil
}

func useCA(cfg *pgx.ConnConfig, pem []byte) error {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return &Error{Reason: InvalidURI, Message: "the certificate authority beside the URI holds no PEM certificate"}
	}
	if cfg.TLSConfig == nil {
		return invalid("a certificate authority is given, but sslmode is off")
	}
	cfg.TLSConfig.RootCAs = pool
	for _, f := range cfg.Fallbacks {
		if f.TLSConfig != nil {
			f.TLSConfig.RootCAs = pool
		}
	}
	return nil
}

// Setup is what Connect does after the log-in; for connections that someone else dialled with Config.
func Setup(ctx context.Context, conn *pgx.Conn, o Options) error {
	if err := refusePooler(ctx, conn); err != nil {
		return err
	}
	if v := majorVersion(conn); v < MinVersion {
		return &Error{Reason: VersionTooOld, Message: fmt.Sprintf(
			"%s runs PostgreSQL %d; Interlock needs %d or newer: upgrade the server", Address(conn.Config()), v, MinVersion)}
	}
	return Settings(ctx, conn, o)
}

// refusePooler compares the process that the server named at log-in with the one that answers: a pooler names itself.
func refusePooler(ctx context.Context, conn *pgx.Conn) error {
	pooler := &Error{Reason: PoolerRefused, Message: poolerMessage(Address(conn.Config()))}
	if strings.Contains(conn.PgConn().ParameterStatus("server_version"), "bouncer") {
		return pooler
	}
	results, err := conn.PgConn().Exec(ctx, "SELECT pg_catalog.pg_backend_pid()").ReadAll()
	if err != nil {
		return err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 {
		return errors.New("pg_backend_pid() returned no row")
	}
	if string(results[0].Rows[0][0]) != strconv.FormatUint(uint64(conn.PgConn().PID()), 10) {
		return pooler
	}
	return nil
}

func majorVersion(conn *pgx.Conn) int {
	digits := conn.PgConn().ParameterStatus("server_version")
	end := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' })
	if end >= 0 {
		digits = digits[:end]
	}
	v, _ := strconv.Atoi(digits)
	return v
}

// Settings gives the session its limits: lock_timeout, no time-out for statements, an end for transactions that idle
// for 30 s, and a server process that notices within 2 s that its client is gone. Call it again after RESET ALL.
func Settings(ctx context.Context, conn *pgx.Conn, o Options) error {
	o = o.withDefaults()
	settings := [][2]string{
		{"application_name", o.ApplicationName},
		{"lock_timeout", strconv.FormatInt(o.LockTimeout.Milliseconds(), 10)},
		{"statement_timeout", "0"},
		{"idle_session_timeout", "0"},
		{"idle_in_transaction_session_timeout", "30s"},
		{"default_transaction_isolation", "read committed"},
		{"client_min_messages", "warning"},
		{"row_security", "off"}, // an error where a policy would hide rows from a backfill
		{"client_connection_check_interval", "2s"},
		{"tcp_keepalives_idle", "10"},
		{"tcp_keepalives_interval", "5"},
		{"tcp_keepalives_count", "3"},
	}
	if majorVersion(conn) >= 17 {
		settings = append(settings, [2]string{"transaction_timeout", "0"})
	}
	for _, s := range settings {
		_, err := conn.Exec(ctx, "SELECT pg_catalog.set_config($1, $2, false)", s[0], s[1])
		var pg *pgconn.PgError
		if errors.As(err, &pg) && pg.Code == "22023" {
			continue // this platform can not watch its clients
		}
		if err != nil {
			return fmt.Errorf("setting %s: %w", s[0], err)
		}
	}
	return leaveOwnSchema(ctx, conn)
}

// leaveOwnSchema takes "$user" out of the search path of a role that is called interlock: else what a migration
// creates without a schema would land among Interlock's own tables.
func leaveOwnSchema(ctx context.Context, conn *pgx.Conn) error {
	const sql = `SELECT pg_catalog.set_config('search_path', pg_catalog.array_to_string(ARRAY(
		SELECT p FROM pg_catalog.regexp_split_to_table(pg_catalog.current_setting('search_path'), '\s*,\s*') WITH ORDINALITY AS s(p, n)
		WHERE p NOT IN ('"$user"', '$user') ORDER BY n), ', '), false)
	WHERE CURRENT_USER = 'interlock'`
	if _, err := conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("setting search_path: %w", err)
	}
	return nil
}
