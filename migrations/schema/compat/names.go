package compat

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// name joins the parts of a name to how this package writes it: lower case as PostgreSQL folded it, without
// "public", quoted only where it would be ambiguous.
func name(parts ...string) string {
	if len(parts) > 1 && parts[0] == "public" {
		parts = parts[1:]
	}
	quoted := make([]string, len(parts))
	for i, p := range parts {
		quoted[i] = p
		if strings.ContainsAny(p, ". \"*") {
			quoted[i] = `"` + strings.ReplaceAll(p, `"`, `""`) + `"`
		}
	}
	return strings.Join(quoted, ".")
}

// words are the strings of a list of String nodes.
func words(nodes []*pg.Node) []string {
	var list []string
	for _, n := range nodes {
		if s := n.GetString_(); s != nil {
			list = append(list, s.Sval)
		}
	}
	return list
}

// objectWords is the name of an object in a DropStmt, CommentStmt or the like, whichever node holds it.
func objectWords(n *pg.Node) []string {
	switch {
	case n.GetString_() != nil:
		return []string{n.GetString_().Sval}
	case n.GetList() != nil:
		return words(n.GetList().Items)
	case n.GetObjectWithArgs() != nil:
		return words(n.GetObjectWithArgs().Objname)
	case n.GetTypeName() != nil:
		return words(n.GetTypeName().Names)
	case n.GetRangeVar() != nil:
		return rangeWords(n.GetRangeVar())
	}
	return nil
}

func rangeWords(r *pg.RangeVar) []string {
	if r.GetSchemaname() != "" {
		return []string{r.Schemaname, r.Relname}
	}
	return []string{r.GetRelname()}
}

// typeName is a type as the catalog of this package keeps it.
type typeName struct {
	// base is "int4" or "s.mood"; mods are the numbers in parentheses.
	base  string
	mods  []int
	array bool
}

func typeOf(t *pg.TypeName) typeName {
	parts := words(t.GetNames())
	if len(parts) > 1 && parts[0] == "pg_catalog" {
		parts = parts[1:]
	}
	typ := typeName{base: name(parts...), array: len(t.GetArrayBounds()) > 0}
	for _, m := range t.GetTypmods() {
		c := m.GetAConst()
		if c == nil || c.GetIval() == nil {
			return typeName{base: typ.base + "(…)", array: typ.array}
		}
		typ.mods = append(typ.mods, int(c.GetIval().Ival))
	}
	return typ
}
