package compat

import (
	"fmt"
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// The bits of CreateTrigStmt.
const (
	timingBefore  = 1 << 1
	timingInstead = 1 << 6
	eventInsert   = 1 << 2
	eventDelete   = 1 << 3
	eventUpdate   = 1 << 4
)

// createTrigger: a sync trigger is what expand is made of; one that refuses, drops or can fail on rows of running
// code is contract.
func createTrigger(j *judge, n *pg.Node) bool {
	s := n.GetCreateTrigStmt()
	if s == nil {
		return false
	}
	rel := j.relation(s.Relation)
	t := j.on(rel)
	j.lock(rel, shareRowExclusive)
	tr := &trigger{
		function: j.qualified(words(s.Funcname)...), before: s.Timing == timingBefore, row: s.Row,
		onInsert: s.Events&eventInsert != 0, onUpdate: s.Events&eventUpdate != 0, updateOf: words(s.Columns),
		conditional: s.WhenClause != nil, constrain: s.Isconstraint, file: j.file.Version,
	}
	if old := t.triggers[s.Trigname]; old != nil && s.Replace {
		j.fresh = j.fresh || old.file == j.file.Version
		j.breaksWriters("rows of %s are treated as the new %s says", rel, s.Trigname)
	}
	t.triggers[s.Trigname] = tr
	f := j.cat.functions[tr.function]
	switch {
	case j.fresh:
		j.expand()
	case f == nil:
		j.unknown(fmt.Sprintf("trigger %s calls %s, which no migration of the series has made: what it does to rows of running code is not known", s.Trigname, tr.function))
	case !f.body.parsed || f.body.opaque:
		j.unknown(fmt.Sprintf("what %s does to rows of running code can not be read from its text", tr.function))
	default:
		j.triggerEffects(s, tr, t, f.body)
	}
	return true
}

func (j *judge) triggerEffects(s *pg.CreateTrigStmt, tr *trigger, t *table, b body) {
	rel := j.relation(s.Relation)
	switch {
	case b.raises:
		j.breaksWriters("%s raises an error for some rows of %s", tr.function, rel)
	case s.Timing&(timingBefore|timingInstead) != 0 && s.Row && dropsRows(s, b):
		j.breaksWriters("%s drops some rows of %s, or their changes", tr.function, rel)
	case j.failingCast(t, b):
		j.breaksWriters("a value of %s that %s can not convert is refused", rel, tr.function)
	default:
		j.expand()
	}
	if b.writes {
		j.warn("trigger-writes-tables", fmt.Sprintf("%s writes to tables: writers that touch these in another order can deadlock", tr.function),
			"prefer a view that can be written to")
	}
	for _, col := range b.columns() {
		if c := t.columns[col]; c != nil && c.hasDefault && tr.onInsert && c.file == j.file.Version {
			j.warn("default-of-synced-column", fmt.Sprintf("the sync trigger takes the default of %s.%s for a value that old code wrote", rel, col),
				"set the default in the contract step")
		}
	}
}

// dropsRows: a trigger before a row that returns anything but the row keeps it from being written.
func dropsRows(s *pg.CreateTrigStmt, b body) bool {
	return slices.ContainsFunc(b.returns, func(expr string) bool {
		switch strings.ReplaceAll(expr, " ", "") {
		case "new", "coalesce(new,old)":
			return false
		case "old":
			return s.Events&eventDelete == 0
		}
		return true
	})
}

// failingCast: a text that does not look like what it is converted to makes the row fail.
func (j *judge) failingCast(t *table, b body) bool {
	if b.catches {
		return false
	}
	fails := false
	for col, exprs := range b.assigns {
		for _, expr := range exprs {
			tree, err := parseExpression(expr)
			if err != nil {
				continue
			}
			fails = fails || castFromText(t, tree) || plainFromText(t, col, tree)
			if !fails && len(find[*pg.TypeCast](tree)) > 0 {
				j.info("trigger-cast", fmt.Sprintf("NEW.%s := %s fails where the value does not fit", col, expr), "see that it always fits")
			}
		}
	}
	return fails
}

func isText(base string) bool { return base == "text" || base == "varchar" || base == "bpchar" }

// castFromText: NEW.c::int, and c is a text.
func castFromText(t *table, tree *pg.ParseResult) bool {
	return slices.ContainsFunc(find[*pg.TypeCast](tree), func(c *pg.TypeCast) bool {
		from := t.columns[columnRef(c.Arg)]
		return from != nil && isText(from.typ.base) && !isText(typeOf(c.TypeName).base)
	})
}

// plainFromText: NEW.a := NEW.b converts by itself, and b is a text but a is not.
func plainFromText(t *table, col string, tree *pg.ParseResult) bool {
	targets := find[*pg.ResTarget](tree)
	if len(targets) != 1 {
		return false
	}
	to, from := t.columns[col], t.columns[columnRef(targets[0].Val)]
	return to != nil && from != nil && isText(from.typ.base) && !isText(to.typ.base)
}

// enableTrigger: ENABLE ALWAYS makes a sync trigger hold for replicated rows too.
func enableTrigger(a *alter) {
	a.lock(a.rel, shareRowExclusive)
	tr := a.t.triggers[a.cmd.Name]
	if tr == nil {
		a.unknown(fmt.Sprintf("trigger %s of %s was not made by the series", a.cmd.Name, a.rel))
		return
	}
	if tr.disabled {
		a.breaksWriters("rows of %s are treated as %s says", a.rel, a.cmd.Name)
	}
	tr.disabled = false
	a.loosely()
}

// disableTrigger: what the trigger keeps true no longer holds.
func disableTrigger(a *alter) {
	a.lock(a.rel, shareRowExclusive)
	for n, tr := range a.t.triggers {
		tr.disabled = tr.disabled || a.cmd.Name == "" || a.cmd.Name == n
	}
	a.breaksWriters("what triggers did for the rows of %s no longer happens", a.rel)
}
