package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Identity says which history of which database cluster answers.
type Identity struct {
	// SystemIdentifier is given once by initdb; copies and standbys share it.
	SystemIdentifier string
	// Timeline rises with every promotion and every restore to a point in time.
	Timeline int64
	// ServerVersion as the server prints it.
	ServerVersion string
	// InRecovery: a standby.
	InRecovery bool
}

// ReadIdentity needs no privilege on a stock server; where a provider has revoked it the error is an *Error with the
// reason PrivilegesMissing that names the grant.
func ReadIdentity(ctx context.Context, conn *pgx.Conn) (Identity, error) {
	// The control file's timeline lags behind a promotion until the next check point; the WAL's name does not.
	const sql = `SELECT (SELECT system_identifier::text FROM pg_catalog.pg_control_system()),
		pg_catalog.current_setting('server_version'),
		pg_catalog.pg_is_in_recovery(),
		CASE WHEN pg_catalog.pg_is_in_recovery()
			THEN (SELECT GREATEST(c.timeline_id, r.min_recovery_end_timeline)::bigint
				FROM pg_catalog.pg_control_checkpoint() c, pg_catalog.pg_control_recovery() r)
			ELSE ('x' || pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8))::bit(32)::bigint
		END`
	var id Identity
	err := conn.QueryRow(ctx, sql).Scan(&id.SystemIdentifier, &id.ServerVersion, &id.InRecovery, &id.Timeline)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "42501" {
		return Identity{}, &Error{Reason: PrivilegesMissing, cause: pg, Message: fmt.Sprintf(
			"role %q may not read which server this is (%s); run as superuser: GRANT EXECUTE ON FUNCTION pg_control_system(), pg_control_checkpoint(), pg_control_recovery() TO %s",
			conn.Config().User, pg.Message, pgx.Identifier{conn.Config().User}.Sanitize())}
	}
	if err != nil {
		return Identity{}, fmt.Errorf("reading the identity of the server: %w", err)
	}
	return id, nil
}
