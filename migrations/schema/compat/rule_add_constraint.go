package compat

import (
	"fmt"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// addConstraint tightens what writers may write, however cheap it is: NOT VALID refuses old code's rows from that
// moment on.
func addConstraint(a *alter) {
	c := a.cmd.GetDef().GetConstraint()
	kept := false
	switch c.GetContype() {
	case pg.ConstrType_CONSTR_CHECK:
		kept = addCheck(a, c)
	case pg.ConstrType_CONSTR_FOREIGN:
		addForeignKey(a, c)
	case pg.ConstrType_CONSTR_UNIQUE, pg.ConstrType_CONSTR_PRIMARY:
		if c.Indexname != "" {
			useIndex(a, c)
		} else {
			buildUnique(a, c)
		}
	case pg.ConstrType_CONSTR_EXCLUSION:
		a.lock(a.rel, accessExclusive)
		a.scan()
		a.breaksWriters("rows of %s that exclude each other are refused", a.rel)
		a.warn("add-exclusion-constraint", fmt.Sprintf("the index is built while nobody can read or write %s", a.rel),
			"assume it only with a small table; PostgreSQL has no cheaper way")
	default:
		a.lock(a.rel, accessExclusive)
		a.unknown("this kind of constraint is not known")
		return
	}
	a.rememberConstraint(a.rel, a.t, c, kept)
}

// addKnownConstraint remembers a constraint that stands inside a column.
func addKnownConstraint(a *alter, c *pg.Constraint, name string) {
	if c.Conname == "" {
		c.Conname = name
	}
	a.rememberConstraint(a.rel, a.t, c, false)
}

// addCheck says whether a sync trigger of the series keeps the condition true: then old code's rows pass.
func addCheck(a *alter, c *pg.Constraint) bool {
	a.lock(a.rel, accessExclusive)
	cols := columnsOf(c.RawExpr)
	keeper, kept := a.cat.keeper(a.rel, c.RawExpr)
	if !c.SkipValidation {
		a.scan()
		a.warn("add-check-scan", fmt.Sprintf("all of %s is read while nobody can read or write it", a.rel),
			"add it NOT VALID and VALIDATE it in a backfill step")
	}
	switch {
	case kept && c.SkipValidation:
		a.expand()
		a.info("kept-by-trigger", fmt.Sprintf("rows of old code pass: trigger %s keeps the condition true", keeper), "keep that trigger until the contract step")
	case a.t.newColumns(cols, a.file.Version) && passesNull(c.RawExpr) && !a.anySynced(cols):
		a.expand()
	default:
		a.breaksWriters("a row of %s that violates the CHECK on %v is refused", a.rel, cols)
	}
	return kept
}

func (a *alter) anySynced(cols []string) bool {
	for _, col := range cols {
		if a.synced(col) {
			return true
		}
	}
	return false
}

func addForeignKey(a *alter, c *pg.Constraint) {
	ref := a.relation(c.Pktable)
	cols := words(c.FkAttrs)
	a.lock(a.rel, shareRowExclusive)
	a.lock(ref, shareRowExclusive)
	a.touch(ref)
	if !c.SkipValidation {
		a.scan()
		a.warn("add-foreign-key-scan", fmt.Sprintf("all of %s is read while nobody can write it or %s", a.rel, ref),
			"add it NOT VALID and VALIDATE it in a backfill step")
	}
	if a.t.newColumns(cols, a.file.Version) && !a.anySynced(cols) {
		a.expand()
		return
	}
	a.breaksWriters("a row of %s whose %v is not in %s is refused, and so is deleting a row of %s that is in use", a.rel, cols, ref, ref)
}

func buildUnique(a *alter, c *pg.Constraint) {
	a.lock(a.rel, accessExclusive)
	a.scan()
	cols := words(c.Keys)
	if c.Contype == pg.ConstrType_CONSTR_UNIQUE && a.t.newColumns(cols, a.file.Version) && !c.NullsNotDistinct && !a.anySynced(cols) {
		a.expand()
	} else {
		a.breaksWriters("a second row of %s with the same %v is refused", a.rel, cols)
	}
	a.warn("add-unique-builds-index", fmt.Sprintf("the index is built while nobody can read or write %s", a.rel),
		"CREATE UNIQUE INDEX CONCURRENTLY in a file of its own, then ADD CONSTRAINT … USING INDEX")
}

// useIndex: the index refuses already what the constraint would; only a primary key adds NOT NULL.
func useIndex(a *alter, c *pg.Constraint) {
	a.lock(a.rel, accessExclusive)
	i := a.cat.indexes[indexName(a.rel, c.Indexname)]
	if i == nil || !i.unique {
		a.breaksWriters("a second row of %s with the same key is refused", a.rel)
		return
	}
	for _, col := range i.columns {
		known := a.t.columns[col]
		if c.Contype == pg.ConstrType_CONSTR_PRIMARY && (known == nil || !known.notNull) {
			a.breaksWriters("a row of %s without %s is refused", a.rel, col)
			if !a.t.notNullProved(col) {
				a.scan()
			}
		}
	}
	a.loosely()
}
