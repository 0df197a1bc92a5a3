package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Reason is a stable name for why a database can not be used; it fits a condition's reason.
type Reason string

const (
	// InvalidURI: the text is not a usable postgres:// URI.
	InvalidURI Reason = "InvalidURI"
	// Unreachable: no server answers there, or it takes no connections now.
	Unreachable Reason = "Unreachable"
	// TLSFailed: the server answers, but TLS could not be agreed on.
	TLSFailed Reason = "TLSFailed"
	// AuthenticationFailed: role or password are wrong, or the role may not log in.
	AuthenticationFailed Reason = "AuthenticationFailed"
	// DatabaseMissing: the server has no such database.
	DatabaseMissing Reason = "DatabaseMissing"
	// PoolerRefused: the connection goes through a pooler, which breaks locks and sessions.
	PoolerRefused Reason = "PoolerRefused"
	// PrivilegesMissing: the role lacks a privilege that Interlock needs.
	PrivilegesMissing Reason = "PrivilegesMissing"
	// VersionTooOld: the server is older than MinVersion.
	VersionTooOld Reason = "VersionTooOld"
	// Standby: the server is in recovery; nothing can be written there.
	Standby Reason = "Standby"
)

// Error says why a database can not be used and what to do next. Its text never holds a password or a whole URI.
type Error struct {
	Reason  Reason
	Message string
	cause   error
}

// Error is the message alone.
func (e *Error) Error() string { return e.Message }

// Unwrap is the server's own error where there is one, else nil.
func (e *Error) Unwrap() error { return e.cause }

// ReasonOf is the reason of the first *Error in err, or empty.
func ReasonOf(err error) Reason {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

// Explain turns what a connection attempt returned into an *Error. An *Error stays what it is.
func Explain(err error, cfg *pgx.ConnConfig) error {
	var own *Error
	if err == nil || errors.As(err, &own) {
		return err
	}
	at := Address(cfg)
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return explainServer(pg, cfg, at)
	}
	var (
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		record   tls.RecordHeaderError
		verify   *tls.CertificateVerificationError
	)
	if errors.As(err, &unknown) || errors.As(err, &hostname) || errors.As(err, &invalid) || errors.As(err, &record) ||
		errors.As(err, &verify) || strings.Contains(err.Error(), "TLS") {
		return &Error{Reason: TLSFailed, Message: fmt.Sprintf(
			"TLS with %s failed (%s): check sslmode in the URI and the certificate authority", at, innermost(err))}
	}
	return &Error{Reason: Unreachable, Message: fmt.Sprintf(
		"no PostgreSQL answers at %s (%s): check host and port, that the server runs, and network policies", at, innermost(err))}
}

func explainServer(pg *pgconn.PgError, cfg *pgx.ConnConfig, at string) *Error {
	e := &Error{cause: pg}
	switch {
	case pg.Code == "08P01" && strings.Contains(pg.Message, "startup parameter"):
		e.Reason, e.Message = PoolerRefused, poolerMessage(at)
	case pg.Code == "3D000" || strings.HasPrefix(pg.Message, "no such database"):
		e.Reason = DatabaseMissing
		e.Message = fmt.Sprintf("%s has no database %q: create it, or correct the URI", at, cfg.Database)
	case strings.HasPrefix(pg.Code, "28"):
		e.Reason = AuthenticationFailed
		e.Message = fmt.Sprintf("%s refused role %q (SQLSTATE %s): check role and password in the Secret, and that the role may log in",
			at, cfg.User, pg.Code)
	case pg.Code == "42501":
		e.Reason = PrivilegesMissing
		e.Message = fmt.Sprintf("role %q may not do this in database %q at %s: %s; grant it",
			cfg.User, cfg.Database, at, pg.Message)
	default:
		e.Reason = Unreachable
		e.Message = fmt.Sprintf("%s takes no connection now: %s (SQLSTATE %s)", at, pg.Message, pg.Code)
	}
	return e
}

func poolerMessage(at string) string {
	return fmt.Sprintf("%s is a pooler, not PostgreSQL itself: behind one, locks and sessions belong to nobody; "+
		"give the address of the server in the Secret", at)
}

// Address is host:port of the first server of a configuration, for messages.
func Address(cfg *pgx.ConnConfig) string {
	return net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port)))
}

// innermost is the last cause, which names no role, database or parameter.
func innermost(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "timeout"
	}
	for {
		switch x := err.(type) { //nolint:errorlint // it walks the chain itself, one error at a time
		case interface{ Unwrap() error }:
			if x.Unwrap() == nil {
				return err.Error()
			}
			err = x.Unwrap()
		case interface{ Unwrap() []error }:
			all := x.Unwrap()
			if len(all) == 0 {
				return err.Error()
			}
			err = all[len(all)-1]
		default:
			return err.Error()
		}
	}
}
