package compat

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// walk calls visit for every message of a tree, parents first; visit returns false to leave out what is below.
func walk(m proto.Message, visit func(proto.Message) bool) {
	if m == nil || !m.ProtoReflect().IsValid() {
		return
	}
	walkReflect(m.ProtoReflect(), visit)
}

func walkReflect(m protoreflect.Message, visit func(proto.Message) bool) {
	if !visit(m.Interface()) {
		return
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Kind() != protoreflect.MessageKind:
		case f.IsList():
			for i := range v.List().Len() {
				walkReflect(v.List().Get(i).Message(), visit)
			}
		default:
			walkReflect(v.Message(), visit)
		}
		return true
	})
}

// find are all messages of one type in a tree.
func find[T proto.Message](m proto.Message) []T {
	var found []T
	walk(m, func(n proto.Message) bool {
		if t, ok := n.(T); ok {
			found = append(found, t)
		}
		return true
	})
	return found
}

// columnsOf are the columns that an expression names, without their table, each once.
func columnsOf(n *pg.Node) []string {
	var cols []string
	for _, ref := range find[*pg.ColumnRef](n) {
		if parts := words(ref.Fields); len(parts) > 0 && !slices.Contains(cols, parts[len(parts)-1]) {
			cols = append(cols, parts[len(parts)-1])
		}
	}
	return cols
}

// columnRef is the column that a node is nothing but; empty otherwise.
func columnRef(n *pg.Node) string {
	if ref := n.GetColumnRef(); ref != nil {
		if parts := words(ref.Fields); len(parts) == len(ref.Fields) && len(parts) > 0 {
			return parts[len(parts)-1]
		}
	}
	return ""
}

// conjuncts are the conditions that all have to hold.
func conjuncts(n *pg.Node) []*pg.Node {
	if b := n.GetBoolExpr(); b != nil && b.Boolop == pg.BoolExprType_AND_EXPR {
		var list []*pg.Node
		for _, arg := range b.Args {
			list = append(list, conjuncts(arg)...)
		}
		return list
	}
	return []*pg.Node{n}
}

// notNullColumn is c of "c IS NOT NULL"; empty for anything else.
func notNullColumn(n *pg.Node) string {
	if t := n.GetNullTest(); t != nil && t.Nulltesttype == pg.NullTestType_IS_NOT_NULL {
		return columnRef(t.Arg)
	}
	return ""
}

// isEquality: "a = b", "a IS NOT DISTINCT FROM b", or several of them of which one has to hold.
func isEquality(n *pg.Node) bool {
	if b := n.GetBoolExpr(); b != nil && b.Boolop == pg.BoolExprType_OR_EXPR {
		return !slices.ContainsFunc(b.Args, func(arg *pg.Node) bool { return !isEquality(arg) && arg.GetNullTest() == nil })
	}
	e := n.GetAExpr()
	if e == nil {
		return false
	}
	return e.Kind == pg.A_Expr_Kind_AEXPR_NOT_DISTINCT ||
		e.Kind == pg.A_Expr_Kind_AEXPR_OP && slices.Equal(words(e.Name), []string{"="})
}

// passesNull says whether a condition holds for sure when every column that it names is NULL: it is then NULL
// itself, which a CHECK lets pass.
func passesNull(n *pg.Node) bool {
	switch {
	case n.GetColumnRef() != nil:
		return true
	case n.GetTypeCast() != nil:
		return passesNull(n.GetTypeCast().Arg)
	case n.GetNullTest() != nil:
		return n.GetNullTest().Nulltesttype == pg.NullTestType_IS_NULL && columnRef(n.GetNullTest().Arg) != ""
	case n.GetBoolExpr() != nil:
		return passesNullBool(n.GetBoolExpr())
	case n.GetAExpr() != nil:
		return strictExpr(n.GetAExpr())
	case n.GetFuncCall() != nil:
		return strictFunction[funcName(n.GetFuncCall())] && slices.ContainsFunc(n.GetFuncCall().Args, passesNull)
	}
	return false
}

func passesNullBool(b *pg.BoolExpr) bool {
	some, all := false, true
	for _, arg := range b.Args {
		ok := passesNull(arg)
		some, all = some || ok, all && ok
	}
	if b.Boolop == pg.BoolExprType_OR_EXPR {
		return some
	}
	// NOT (c IS NULL) does not hold.
	return all && (b.Boolop == pg.BoolExprType_AND_EXPR || len(find[*pg.NullTest](b)) == 0)
}

// strictExpr: the operator gives NULL for a NULL operand. PostgreSQL's own comparison and arithmetic ones do.
func strictExpr(e *pg.A_Expr) bool {
	switch e.Kind {
	case pg.A_Expr_Kind_AEXPR_DISTINCT, pg.A_Expr_Kind_AEXPR_NOT_DISTINCT, pg.A_Expr_Kind_AEXPR_NULLIF,
		pg.A_Expr_Kind_AEXPR_OP_ALL:
		return false
	}
	nullTests := len(find[*pg.NullTest](e)) > 0
	return !nullTests && (passesNull(e.Lexpr) || e.Kind == pg.A_Expr_Kind_AEXPR_OP && passesNull(e.Rexpr))
}

var strictFunction = set("length", "char_length", "octet_length", "lower", "upper", "btrim", "abs", "jsonb_typeof", "array_length", "cardinality")

// stableFunction are functions that ADD COLUMN … DEFAULT evaluates once, without rewriting the table.
var stableFunction = set("now", "transaction_timestamp", "statement_timestamp", "lower", "upper", "md5", "length", "abs",
	"to_timestamp", "make_date", "make_interval", "json_build_object", "jsonb_build_object", "json_build_array", "jsonb_build_array",
	"current_setting", "to_json", "to_jsonb", "array_fill", "repeat", "concat", "timezone")

func set(items ...string) map[string]bool {
	m := make(map[string]bool, len(items))
	for _, item := range items {
		m[item] = true
	}
	return m
}

// funcName is the name of a called function, without pg_catalog.
func funcName(f *pg.FuncCall) string {
	return strings.TrimPrefix(name(words(f.Funcname)...), "pg_catalog.")
}

// isNull: the literal NULL, cast or not.
func isNull(n *pg.Node) bool {
	if c := n.GetTypeCast(); c != nil {
		return isNull(c.Arg)
	}
	return n.GetAConst() != nil && n.GetAConst().Isnull
}

// evaluatedOnce: a default that is the same for every row, so that adding a column with it rewrites nothing. An
// unknown function counts as volatile.
func evaluatedOnce(n *pg.Node) bool {
	for _, f := range find[*pg.FuncCall](n) {
		if !stableFunction[funcName(f)] {
			return false
		}
	}
	return len(find[*pg.SubLink](n)) == 0
}

// calls says which functions a tree calls, each once.
func calls(m proto.Message) []string {
	var names []string
	for _, f := range find[*pg.FuncCall](m) {
		if n := funcName(f); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}
