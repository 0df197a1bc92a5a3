package compat

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// catalog is what the files so far have made, as far as it can be known from their text. What it does not know
// exists, and running code uses it.
type catalog struct {
	tables    map[string]*table
	indexes   map[string]*index
	functions map[string]*function
	// others are views, sequences, types, schemas: "view v" → the version of the file that made it.
	others map[string]int64
	// domains have constraints.
	domains map[string]bool
	// values are the labels of enums that a file added: "type.label" → its version.
	values map[string]int64
}

type table struct {
	columns     map[string]*column
	constraints map[string]*constraint
	triggers    map[string]*trigger
	// file is the version that made it; complete: it was made by a CREATE TABLE of which every column is known.
	file        int64
	complete    bool
	partitioned bool
	// defaultPartition is its partition for everything else, if there is one.
	defaultPartition string
}

type column struct {
	typ        typeName
	notNull    bool
	hasDefault bool
	file       int64
}

type constraint struct {
	kind pg.ConstrType
	// expr is that of a CHECK; kept: a sync trigger of the series keeps it true.
	expr      *pg.Node
	kept      bool
	validated bool
	columns   []string
	refers    string
	file      int64
}

type trigger struct {
	function               string
	before, row            bool
	onInsert, onUpdate     bool
	updateOf               []string
	conditional, constrain bool
	disabled               bool
	file                   int64
}

type index struct {
	table   string
	unique  bool
	partial bool
	columns []string
	file    int64
}

type function struct {
	file int64
	body body
}

func newCatalog() *catalog {
	return &catalog{
		tables: map[string]*table{}, indexes: map[string]*index{}, functions: map[string]*function{},
		others: map[string]int64{}, domains: map[string]bool{}, values: map[string]int64{},
	}
}

func newTable(file int64) *table {
	return &table{columns: map[string]*column{}, constraints: map[string]*constraint{}, triggers: map[string]*trigger{}, file: file}
}

// live is the table, made known if it was not: a table from before the series.
func (c *catalog) live(rel string) *table {
	t := c.tables[rel]
	if t == nil {
		t = newTable(0)
		c.tables[rel] = t
	}
	return t
}

// dropTable forgets a table and what hangs on it.
func (c *catalog) dropTable(rel string) {
	delete(c.tables, rel)
	for n, i := range c.indexes {
		if i.table == rel {
			delete(c.indexes, n)
		}
	}
}

// moveTable gives a table another name.
func (c *catalog) moveTable(old, renamed string) {
	t := c.tables[old]
	if t == nil {
		return
	}
	delete(c.tables, old)
	c.tables[renamed] = t
	for _, i := range c.indexes {
		if i.table == old {
			i.table = renamed
		}
	}
}

// dropColumn forgets a column, and the constraints and indexes that need it.
func (c *catalog) dropColumn(rel, col string) {
	t := c.tables[rel]
	if t == nil {
		return
	}
	delete(t.columns, col)
	for n, k := range t.constraints {
		if slices.Contains(k.columns, col) {
			delete(t.constraints, n)
		}
	}
	for n, i := range c.indexes {
		if i.table == rel && slices.Contains(i.columns, col) {
			delete(c.indexes, n)
		}
	}
}

// inSchema are the known tables of a schema.
func (c *catalog) inSchema(schemaName string) []string {
	var list []string
	for rel := range c.tables {
		if strings.HasPrefix(rel, schemaName+".") || schemaName == "public" && !strings.Contains(rel, ".") {
			list = append(list, rel)
		}
	}
	slices.Sort(list)
	return list
}

// notNullProved: a validated CHECK says that the column is never NULL, so SET NOT NULL reads nothing.
func (t *table) notNullProved(col string) bool {
	for _, k := range t.constraints {
		if k.kind != pg.ConstrType_CONSTR_CHECK || !k.validated {
			continue
		}
		if slices.ContainsFunc(conjuncts(k.expr), func(n *pg.Node) bool { return notNullColumn(n) == col }) {
			return true
		}
	}
	return false
}

// keeper is the trigger of the series that keeps a condition true in every row that is written, if there is one: it
// fires before each INSERT and UPDATE and assigns a column of every part of the condition.
func (c *catalog) keeper(rel string, expr *pg.Node) (triggerName string, ok bool) {
	t := c.tables[rel]
	if t == nil {
		return "", false
	}
	names := make([]string, 0, len(t.triggers))
	for n := range t.triggers {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		if c.keeps(t.triggers[n], expr) {
			return n, true
		}
	}
	return "", false
}

func (c *catalog) keeps(tr *trigger, expr *pg.Node) bool {
	f := c.functions[tr.function]
	if f == nil || !tr.before || !tr.row || !tr.onInsert || !tr.onUpdate || tr.conditional || tr.disabled {
		return false
	}
	for _, part := range conjuncts(expr) {
		if notNullColumn(part) == "" && !isEquality(part) {
			return false
		}
		if !slices.ContainsFunc(columnsOf(part), func(col string) bool { return len(f.body.assigns[col]) > 0 }) {
			return false
		}
	}
	// A trigger on UPDATE OF some columns sleeps when another one changes.
	return len(tr.updateOf) == 0 ||
		!slices.ContainsFunc(columnsOf(expr), func(col string) bool { return !slices.Contains(tr.updateOf, col) })
}
