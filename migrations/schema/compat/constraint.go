package compat

import (
	"fmt"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// rememberConstraint puts a constraint into the catalog, under the name that PostgreSQL would give it if it has none.
func (j *judge) rememberConstraint(rel string, t *table, c *pg.Constraint, kept bool) {
	k := &constraint{kind: c.Contype, expr: c.RawExpr, kept: kept, validated: !c.SkipValidation, file: j.file.Version}
	switch c.Contype {
	case pg.ConstrType_CONSTR_CHECK:
		k.columns = columnsOf(c.RawExpr)
	case pg.ConstrType_CONSTR_FOREIGN:
		k.columns, k.refers = words(c.FkAttrs), j.relation(c.Pktable)
	default:
		k.columns = words(c.Keys)
	}
	name := c.Conname
	for n := 0; name == "" || c.Conname == "" && t.constraints[name] != nil; n++ {
		name = defaultName(rel, k)
		if n > 0 {
			name += fmt.Sprint(n)
		}
	}
	t.constraints[name] = k
	if k.kind == pg.ConstrType_CONSTR_PRIMARY || k.kind == pg.ConstrType_CONSTR_UNIQUE {
		index := &index{table: rel, unique: true, columns: k.columns, file: j.file.Version}
		j.cat.indexes[indexName(rel, name)] = index
	}
	if k.kind == pg.ConstrType_CONSTR_PRIMARY {
		for _, col := range k.columns {
			if known := t.columns[col]; known != nil {
				known.notNull = true
			}
		}
	}
}

func defaultName(rel string, k *constraint) string {
	base := rel[strings.LastIndexByte(rel, '.')+1:]
	cols := "_" + strings.Join(k.columns, "_")
	switch k.kind {
	case pg.ConstrType_CONSTR_PRIMARY:
		return base + "_pkey"
	case pg.ConstrType_CONSTR_UNIQUE:
		return base + cols + "_key"
	case pg.ConstrType_CONSTR_FOREIGN:
		return base + cols + "_fkey"
	case pg.ConstrType_CONSTR_EXCLUSION:
		return base + cols + "_excl"
	}
	if len(k.columns) != 1 {
		cols = ""
	}
	return base + cols + "_check"
}

// indexName is the full name of an index: it lives in the schema of its table.
func indexName(rel, index string) string {
	if i := strings.LastIndexByte(rel, '.'); i >= 0 {
		return rel[:i+1] + name(index)
	}
	return name(index)
}

// newColumns: every column was added in this file and nothing fills it, so that old code's rows have NULL there.
func (t *table) newColumns(cols []string, file int64) bool {
	for _, col := range cols {
		c := t.columns[col]
		if c == nil || c.file != file || c.hasDefault || c.notNull {
			return false
		}
	}
	return len(cols) > 0
}
