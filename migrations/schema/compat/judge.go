package compat

import (
	"fmt"
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/interlock-dev/interlock/migrations/schema"
)

// The lock modes, by PostgreSQL's names.
const (
	accessExclusive      = "ACCESS EXCLUSIVE"
	exclusive            = "EXCLUSIVE"
	shareRowExclusive    = "SHARE ROW EXCLUSIVE"
	share                = "SHARE"
	shareUpdateExclusive = "SHARE UPDATE EXCLUSIVE"
	rowExclusive         = "ROW EXCLUSIVE"
)

// judge is where a rule writes what it finds about one statement.
type judge struct {
	cat  *catalog
	file *fileScope
	v    *Verdict
	// column of the statement in its line.
	column int
	// fresh: what the rule speaks about was made in this very file, so that nobody uses it yet. Then nothing breaks
	// and nothing costs.
	fresh bool
}

// fileScope is what the statements of one file share.
type fileScope struct {
	schema.File
	// searchPath is the schema of names without one, after a SET LOCAL search_path.
	searchPath string
	// together is how many statements goose sends in the text at hand.
	together int
	// enumValues are labels that this file added: they can not be used before it commits.
	enumValues []string
	// exclusive are the live tables that the file locks ACCESS EXCLUSIVE, and how many statements do.
	exclusive []string
	// dropped are the indexes that an earlier statement of the file dropped.
	dropped []string
}

// relation is the normalised name of a table, view or index.
func (j *judge) relation(r *pg.RangeVar) string { return j.qualified(rangeWords(r)...) }

// qualified resolves a name as PostgreSQL would: a temporary table of this file comes before all others.
func (j *judge) qualified(parts ...string) string {
	if len(parts) == 1 && j.isFresh(name("pg_temp", parts[0])) {
		return name("pg_temp", parts[0])
	}
	if len(parts) == 1 && j.file.searchPath != "" {
		parts = []string{j.file.searchPath, parts[0]}
	}
	if len(parts) > 2 {
		parts = parts[len(parts)-2:]
	}
	return name(parts...)
}

// created is the name of a table that a statement makes.
func (j *judge) created(r *pg.RangeVar) string {
	if r.GetRelpersistence() == "t" {
		return name("pg_temp", r.Relname)
	}
	return j.relation(r)
}

// isFresh: the table was made in this file.
func (j *judge) isFresh(rel string) bool {
	t := j.cat.tables[rel]
	return t != nil && t.file == j.file.Version
}

// on makes a table the subject of what follows.
func (j *judge) on(rel string) *table {
	j.touch(rel)
	j.fresh = j.isFresh(rel)
	return j.cat.live(rel)
}

func (j *judge) touch(object string) {
	if !slices.Contains(j.v.Touches, object) {
		j.v.Touches = append(j.v.Touches, object)
	}
}

// lock notes a table lock, unless the table is new and nobody can wait for it.
func (j *judge) lock(rel, mode string) {
	l := Lock{rel, mode}
	if j.isFresh(rel) || slices.Contains(j.v.Locks, l) {
		return
	}
	j.v.Locks = append(j.v.Locks, l)
}

func (j *judge) is(p schema.Phase) { j.v.needs[p] = true }

func (j *judge) expand() { j.is(schema.PhaseExpand) }

// loosely: expand, but it does no harm in a contract file.
func (j *judge) loosely() { j.v.loose = true }

func (j *judge) backfill() {
	if j.fresh {
		j.expand()
		return
	}
	j.is(schema.PhaseBackfill)
}

func (j *judge) breaksReaders(format string, args ...any) {
	if j.fresh {
		j.expand()
		return
	}
	j.v.BreaksReaders = append(j.v.BreaksReaders, fmt.Sprintf(format, args...))
	j.is(schema.PhaseContract)
}

func (j *judge) breaksWriters(format string, args ...any) {
	if j.fresh {
		j.expand()
		return
	}
	j.v.BreaksWriters = append(j.v.BreaksWriters, fmt.Sprintf(format, args...))
	j.is(schema.PhaseContract)
}

func (j *judge) twoStep() {
	if !j.fresh {
		j.v.TwoStep = true
	}
}

func (j *judge) rewrite() { j.v.Rewrite = j.v.Rewrite || !j.fresh }

func (j *judge) scan() { j.v.Scan = j.v.Scan || !j.fresh }

// unknown refuses what can not be judged, unless the file assumes something.
func (j *judge) unknown(message string) {
	j.is(schema.PhaseUnknown)
	j.touch("*")
	j.add("unknown-statement", SeverityError, true, message,
		"write it as statements that can be judged, or declare '-- +interlock assume expand reason=\"…\"' (or backfill, contract)")
}

// split refuses what has to be taken apart, unless the file assumes something.
func (j *judge) split(code, message, fix string) {
	if !j.fresh {
		j.add(code, SeverityError, true, message, fix)
	}
}

// refuse refuses what would fail or do harm whatever is assumed.
func (j *judge) refuse(code, message, fix string) { j.add(code, SeverityError, false, message, fix) }

func (j *judge) warn(code, message, fix string) {
	if !j.fresh {
		j.add(code, SeverityWarning, false, message, fix)
	}
}

func (j *judge) info(code, message, fix string) {
	if !j.fresh {
		j.add(code, SeverityInfo, false, message, fix)
	}
}

func (j *judge) add(code string, severity Severity, assumable bool, message, fix string) {
	j.v.Findings = append(j.v.Findings, Finding{Code: code, Severity: severity, File: j.file.Name,
		Line: j.v.Statement.Line, Column: j.column, Message: message, Fix: fix, assumable: assumable})
}

// cascade warns of a CASCADE, which drops what is not named.
func (j *judge) cascade(b pg.DropBehavior) {
	if b == pg.DropBehavior_DROP_CASCADE {
		j.warn("cascade", "CASCADE drops what this file does not name", "drop the dependent objects by name")
	}
}

// outsideTransaction refuses what PostgreSQL refuses inside a transaction.
func (j *judge) outsideTransaction(what string) {
	if !j.file.NoTransaction {
		j.refuse("concurrently-in-transaction", what+" can not run in a transaction", "add '-- +goose NO TRANSACTION' at the top of the file")
		return
	}
	if j.file.together > 1 {
		j.refuse("concurrently-in-transaction", what+" can not share a text with other statements: PostgreSQL runs them in one transaction",
			"give every statement a line, or a StatementBegin and StatementEnd, of its own")
	}
}
