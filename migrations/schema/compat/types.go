package compat

import (
	"fmt"

	"github.com/interlock-dev/interlock/migrations/schema"
)

// Severity says what a finding means for the file: only an error keeps it from running.
type Severity string

const (
	// SeverityError: the file does not run.
	SeverityError Severity = "error"
	// SeverityWarning: it runs, but whoever wrote it should know.
	SeverityWarning Severity = "warning"
	// SeverityInfo: good to know.
	SeverityInfo Severity = "info"
)

// Finding is one remark about one place of a file.
type Finding struct {
	// Code is a stable name in kebab-case, such as "add-column-volatile-default".
	Code     string
	Severity Severity
	// File is the base name; Line and Column count from 1, Column 0 means the whole line.
	File         string
	Line, Column int
	// Message says what is wrong, Fix what to do about it.
	Message, Fix string
	// assumable: an "assume" directive turns this error into a warning.
	assumable bool
}

// String is "file:line: code: message; fix".
func (f Finding) String() string {
	return fmt.Sprintf("%s:%d: %s: %s; %s", f.File, f.Line, f.Code, f.Message, f.Fix)
}

// Lock is a table lock that a statement takes.
type Lock struct {
	// Relation is "table" or "schema.table".
	Relation string
	// Mode is PostgreSQL's name, such as "ACCESS EXCLUSIVE".
	Mode string
}

// Verdict is what the classifier says about one statement. Several statements that goose sends as one text get a
// verdict each.
type Verdict struct {
	Statement schema.Statement
	Phase     schema.Phase
	// BreaksReaders and BreaksWriters say how running code breaks; empty when it does not.
	BreaksReaders, BreaksWriters []string
	// Locks, Rewrite (of the whole table) and Scan (under the lock) are what the statement costs.
	Locks         []Lock
	Rewrite, Scan bool
	// Touches are the objects that the statement changes, normalised: "table" or "schema.table" (public is left
	// out), and for what is no relation "function f", "type t", "schema s"; "*" when it may be any.
	Touches []string
	// TwoStep: what new code may write after this statement breaks readers that are still running.
	TwoStep  bool
	Findings []Finding

	// needs are the phases that the statement's parts belong to; loose: it is expand, but may go with contract.
	// A statement with neither may stand in any file.
	needs phases
	loose bool
}

// Classified is a file with its phase.
type Classified struct {
	File       schema.File
	Phase      schema.Phase
	Statements []Verdict
	// Findings are those of the statements, in order, and those of the file as a whole.
	Findings []Finding
	// Touches is the union over the statements, sorted.
	Touches []string
	// Assumptions are what was believed because the file said so; they belong in the receipt.
	Assumptions []string
	// TwoStep: what new code may write after this file breaks readers that are still running.
	TwoStep bool
}

// Err is nil if the file may run, else its first error finding as "file:line: code: message; fix".
func (c Classified) Err() error {
	for _, f := range c.Findings {
		if f.Severity == SeverityError {
			return fmt.Errorf("%s", f)
		}
	}
	return nil
}
