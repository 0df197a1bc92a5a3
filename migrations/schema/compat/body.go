package compat

import (
	"encoding/json"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
	pgquery "github.com/wasilibs/go-pgquery"
)

// body is what is known about a PL/pgSQL function from its text.
type body struct {
	// parsed: the text was understood; else nothing is known.
	parsed bool
	// assigns are the expressions that may be assigned to a column of NEW.
	assigns map[string][]string
	// raises: it can raise an error by itself; catches: it has an EXCEPTION block.
	raises, catches bool
	// opaque: it runs text as SQL, or statements that are no plain queries.
	opaque bool
	// returns are the returned expressions, in lower case.
	returns []string
	// writes: it writes to tables.
	writes bool
}

func (b body) columns() []string {
	cols := make([]string, 0, len(b.assigns))
	for col := range b.assigns {
		cols = append(cols, col)
	}
	return cols
}

// errorLevel is PostgreSQL's number for ERROR; RAISE of a lower level goes on.
const errorLevel = 21

// readBody parses a CREATE FUNCTION … LANGUAGE plpgsql; text is what stands between its quotes. Of a body that does
// not parse, or nests too deep, nothing is known.
func readBody(statement, text string) body {
	if tooNested(text) || tooDeep(text) != nil {
		return body{}
	}
	out, err := guarded(func() (string, error) { return pgquery.ParsePlPgSqlToJSON(statement) })
	if err != nil {
		return body{}
	}
	var tree []map[string]any
	if json.Unmarshal([]byte(out), &tree) != nil || len(tree) != 1 {
		return body{}
	}
	fn, _ := tree[0]["PLpgSQL_function"].(map[string]any)
	r := bodyReader{body: body{parsed: fn != nil, assigns: map[string][]string{}}, newVar: number(fn["new_varno"])}
	r.datums, _ = fn["datums"].([]any)
	r.read(fn["action"])
	return r.body
}

type bodyReader struct {
	body
	datums []any
	newVar int
}

func number(v any) int {
	f, _ := v.(float64)
	return int(f)
}

func object(v any, key string) map[string]any {
	m, _ := v.(map[string]any)
	o, _ := m[key].(map[string]any)
	return o
}

func query(v any) string {
	q, _ := object(v, "PLpgSQL_expr")["query"].(string)
	return q
}

// read looks at every statement below v.
func (r *bodyReader) read(v any) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			r.read(item)
		}
	case map[string]any:
		for key, item := range v {
			r.statement(key, item)
			r.read(item)
		}
	}
}

func (r *bodyReader) statement(key string, v any) {
	m, _ := v.(map[string]any)
	switch key {
	case "PLpgSQL_stmt_assign":
		expr := query(m["expr"])
		if _, rhs, ok := strings.Cut(expr, "="); ok {
			r.assign(number(m["varno"]), strings.TrimSpace(rhs))
		}
	case "PLpgSQL_stmt_execsql":
		r.execute(m)
	case "PLpgSQL_stmt_raise":
		r.raises = r.raises || number(m["elog_level"]) >= errorLevel
	case "PLpgSQL_stmt_assert":
		r.raises = true
	case "PLpgSQL_stmt_dynexecute", "PLpgSQL_stmt_dynfors", "PLpgSQL_stmt_call", "PLpgSQL_stmt_commit", "PLpgSQL_stmt_rollback":
		r.opaque = true
	case "PLpgSQL_stmt_perform":
		r.opaque = r.opaque || !harmlessPerform(query(m["expr"]))
	case "PLpgSQL_stmt_return":
		r.returns = append(r.returns, strings.ToLower(strings.TrimSpace(query(m["expr"]))))
	case "PLpgSQL_exception_block":
		r.catches = true
	}
}

// harmlessPerform: PERFORM of a notification is the one call whose effect is known.
func harmlessPerform(q string) bool {
	tree, err := parseExpression(strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(q), "SELECT"), "select"))
	if err != nil {
		return false
	}
	for _, f := range calls(tree) {
		if f != "pg_notify" && !stableFunction[f] && f != "row_to_json" && f != "json_build_object" {
			return false
		}
	}
	return true
}

// assign notes an assignment if it is one to a column of NEW.
func (r *bodyReader) assign(varno int, expr string) {
	if varno < 0 || varno >= len(r.datums) {
		return
	}
	field := object(r.datums[varno], "PLpgSQL_recfield")
	if col, _ := field["fieldname"].(string); col != "" && number(field["recparentno"]) == r.newVar {
		r.assigns[col] = append(r.assigns[col], expr)
	}
}

// execute looks at an SQL statement: SELECT … INTO NEW.c assigns, INSERT, UPDATE and DELETE write, others are opaque.
func (r *bodyReader) execute(m map[string]any) {
	if into, _ := m["into"].(bool); into {
		fields, _ := object(m["target"], "PLpgSQL_row")["fields"].([]any)
		for _, f := range fields {
			field, _ := f.(map[string]any)
			r.assign(number(field["varno"]), "")
		}
	}
	tree, err := guardedParse(query(m["sqlstmt"]))
	if err != nil || len(tree.Stmts) != 1 {
		r.opaque = true
		return
	}
	s := tree.Stmts[0].Stmt
	switch {
	case s.GetInsertStmt() != nil, s.GetUpdateStmt() != nil, s.GetDeleteStmt() != nil:
		r.writes = true
	case s.GetSelectStmt() != nil:
	default:
		r.opaque = true
	}
}

func guardedParse(sql string) (*pg.ParseResult, error) {
	if err := tooDeep(sql); err != nil {
		return nil, err
	}
	return guarded(func() (*pg.ParseResult, error) { return pgquery.Parse(sql) })
}

// parseExpression parses what may stand behind SELECT.
func parseExpression(expr string) (*pg.ParseResult, error) { return guardedParse("SELECT " + expr) }
