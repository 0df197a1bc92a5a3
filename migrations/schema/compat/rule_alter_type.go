package compat

import (
	"fmt"
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// alterColumnType knows three cases: PostgreSQL changes only its books; the values stay readable but the table is
// rewritten; anything else.
func alterColumnType(a *alter) {
	col := a.cmd.Name
	def := a.cmd.GetDef().GetColumnDef()
	to := typeOf(def.GetTypeName())
	a.lock(a.rel, accessExclusive)
	c := a.t.columns[col]
	if c == nil {
		c = &column{typ: typeName{base: "unknown"}}
		a.t.columns[col] = c
	}
	if c.file == a.file.Version {
		a.fresh = true
	}
	from := c.typ
	c.typ = to
	switch {
	case def.GetCollClause() == nil && booksOnly(from, to) && plainUsing(def, col):
		a.expand()
		a.warn("cached-plan", fmt.Sprintf("a prepared SELECT of %s.%s fails once in sessions that are open", a.rel, col),
			"see that the code retries it, or does not prepare")
	case def.GetCollClause() == nil && widensNumber(from, to) && plainUsing(def, col):
		a.expand()
		a.rewrite()
		a.twoStep()
		a.split("alter-column-type-rewrite", fmt.Sprintf("%s.%s from %s to %s rewrites the table while nobody can read or write it, and new values do not fit into old readers", a.rel, col, from, to),
			"add a new column, keep both equal with a trigger, backfill, and drop the old one in a contract step")
	default:
		a.rewrite()
		a.breaksReaders("code that reads %s.%s as %s gets %s", a.rel, col, from, to)
		a.breaksWriters("code that writes %s.%s as %s may be refused", a.rel, col, from)
		a.split("alter-column-type", fmt.Sprintf("no code can use %s.%s both as %s and as %s", a.rel, col, from, to),
			"add a new column, keep both equal with a trigger, backfill, and drop the old one in a contract step")
	}
}

func (t typeName) String() string {
	s := t.base
	for i, m := range t.mods {
		if i == 0 {
			s += "("
		} else {
			s += ","
		}
		s += fmt.Sprint(m)
		if i == len(t.mods)-1 {
			s += ")"
		}
	}
	if t.array {
		s += "[]"
	}
	return s
}

// plainUsing: there is no USING, or one that only casts the column.
func plainUsing(def *pg.ColumnDef, col string) bool {
	n := def.GetRawDefault()
	if n.GetTypeCast() != nil && typeOf(n.GetTypeCast().TypeName).String() == typeOf(def.TypeName).String() {
		n = n.GetTypeCast().Arg
	}
	return n == nil || columnRef(n) == col
}

// booksOnly: every value of the old type is stored the same way in the new one.
func booksOnly(from, to typeName) bool {
	if from.array != to.array {
		return false
	}
	if from.base == to.base && slices.Equal(from.mods, to.mods) {
		return true
	}
	switch {
	case from.base == "varchar" && (to.base == "text" || to.base == "varchar"), from.base == "text" && to.base == "varchar",
		from.base == "varbit" && to.base == "varbit":
		return noShorter(from, to, 0)
	case from.base == "numeric" && to.base == "numeric":
		return len(to.mods) == 0 || len(from.mods) > 0 && scaleOf(from) == scaleOf(to) && to.mods[0] >= from.mods[0]
	case from.base == to.base && slices.Contains([]string{"timestamp", "timestamptz", "time", "timetz"}, from.base):
		return noShorter(from, to, 6)
	case from.base == "cidr" && to.base == "inet":
		return true
	}
	return false
}

// noShorter: the length or precision does not shrink; none given means most, which is a number where there is one.
func noShorter(from, to typeName, most int) bool {
	if len(to.mods) == 0 {
		return true
	}
	if len(from.mods) == 0 {
		return most > 0 && to.mods[0] >= most
	}
	return to.mods[0] >= from.mods[0]
}

func scaleOf(t typeName) int {
	if len(t.mods) > 1 {
		return t.mods[1]
	}
	return 0
}

var numberWidth = map[string]int{"int2": 1, "int4": 2, "int8": 3}

// widensNumber: every old value is a value of the new type, which has more.
func widensNumber(from, to typeName) bool {
	if from.array || to.array {
		return false
	}
	f, t := numberWidth[from.base], numberWidth[to.base]
	return f > 0 && t > f || from.base == "float4" && to.base == "float8"
}
