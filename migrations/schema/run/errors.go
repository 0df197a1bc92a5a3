package run

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/interlock-dev/interlock/migrations/schema"
)

// ErrBusy is what every *BusyError is: another runner works on the series.
var ErrBusy = errors.New("another runner works on the series")

// ErrLost means that this runner may not go on: its sessions are gone, or another runner took over. Open a new one.
var ErrLost = errors.New("this runner lost its sessions or was replaced by another one; open a new runner")

// BusyError names the runner that holds the series. Try again later; a dead runner is replaced after its lease.
type BusyError struct {
	Series string
	// PID is the server process that holds the lock.
	PID                   int32
	Role, ApplicationName string
	Since                 time.Time
}

// Error names the holder.
func (e *BusyError) Error() string {
	return fmt.Sprintf("series %q is held by pid %d (role %s, application %q, connected since %s); try again when it is done",
		e.Series, e.PID, e.Role, e.ApplicationName, e.Since.UTC().Format(time.RFC3339))
}

// Is makes errors.Is(err, ErrBusy) true.
func (e *BusyError) Is(target error) bool { return target == ErrBusy }

// StatementError is a statement that the server refused, or one that can not be run.
type StatementError struct {
	// File is the base name.
	File string
	Line int
	// SQLSTATE is empty if the server was not asked.
	SQLSTATE string
	Message  string
	cause    error
}

// Error is "file:line: message (SQLSTATE …)".
func (e *StatementError) Error() string {
	if e.SQLSTATE == "" {
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Message)
	}
	return fmt.Sprintf("%s:%d: %s (SQLSTATE %s)", e.File, e.Line, e.Message, e.SQLSTATE)
}

// Unwrap is the server's error or nil.
func (e *StatementError) Unwrap() error { return e.cause }

// ChangedError is a file that is not what was applied under its version.
type ChangedError struct {
	File string
	// Line is 0 if the file as a whole was applied.
	Line int
}

// Error says what to do.
func (e *ChangedError) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("%s:%d: this statement was applied with another text; restore the text, and put what is to change into a new migration", e.File, e.Line)
	}
	return fmt.Sprintf("%s: the version was applied with another text; restore the file, and put what is to change into a new migration", e.File)
}

// LockError is a lock that could not be had within the budget.
type LockError struct {
	Budget time.Duration
	// Blockers as last seen; empty if none was seen.
	Blockers []string
	cause    error
}

// Error names who was in the way.
func (e *LockError) Error() string {
	by := "blocked by sessions that were gone before they could be named"
	if len(e.Blockers) > 0 {
		by = "blocked by " + strings.Join(e.Blockers, ", ")
	}
	return fmt.Sprintf("no lock within %s, %s; end what blocks and try again: %v", e.Budget, by, e.cause)
}

// Unwrap is the last try's error.
func (e *LockError) Unwrap() error { return e.cause }

// refuse is a StatementError about a statement that is not run.
func refuse(f schema.File, s schema.Statement, format string, args ...any) error {
	return &StatementError{File: f.Name, Line: s.Line, Message: fmt.Sprintf(format, args...)}
}

// explain puts file and line to an error of the server; other errors stay as they are. sql is the text that was sent:
// only if it is the statement's own does the server's position mean a line of the file.
func explain(f schema.File, s schema.Statement, sql string, err error) error {
	var pg *pgconn.PgError
	var own *StatementError
	if err == nil || errors.As(err, &own) || !errors.As(err, &pg) {
		return err
	}
	line := s.Line
	if sql == s.SQL {
		line += linesBefore(sql, int(pg.Position))
	}
	return &StatementError{File: f.Name, Line: line, SQLSTATE: pg.Code, Message: pg.Message, cause: err}
}

// linesBefore counts the line breaks before a position, which the server gives in characters from 1; 0 is unknown.
func linesBefore(sql string, position int) int {
	if position <= 0 {
		return 0
	}
	n := 0
	for _, r := range sql {
		if position--; position <= 0 {
			break
		}
		if r == '\n' {
			n++
		}
	}
	return n
}

func sqlstate(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// retryable: another try may well succeed, since nothing of this one is left.
func retryable(err error) bool {
	switch sqlstate(err) {
	case "55P03", "40P01", "40001": // lock_timeout, deadlock, serialization
		return true
	}
	return false
}
