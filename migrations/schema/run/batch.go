package run

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
)

// keyColumn is one column of a primary key, with its type as SQL names it.
type keyColumn struct{ name, typ string }

// batchSQL are the statements of one batch. Keys travel as text, one parameter per column.
type batchSQL struct {
	// window: the key that ends the next window. The parameters are the key before it, if there is one, and then how
	// many rows to step over. No row means that the window reaches to the end of the table.
	first, window string
	// lock[from][to]: the keys of the rows to change in the window, locked; from and to say whether it has these ends.
	lock [2][2]string
	// change: one array per key column. It returns, per changed row, whether the condition still holds for it.
	change string
	// left: whether any row still matches.
	left string
	// conditional: the statement has a WHERE of its own.
	conditional bool
}

// dml is the common part of UPDATE and DELETE.
type dml struct {
	node     *pg.Node
	relation *pg.RangeVar
	from     []*pg.Node
	where    *pg.Node
	with     bool
	sets     []string
	remove   bool
}

func dmlOf(n *pg.Node) dml {
	if u := n.GetUpdateStmt(); u != nil {
		d := dml{node: n, relation: u.Relation, from: u.FromClause, where: u.WhereClause, with: u.WithClause != nil}
		for _, t := range u.TargetList {
			d.sets = append(d.sets, t.GetResTarget().GetName())
		}
		return d
	}
	u := n.GetDeleteStmt()
	return dml{node: n, relation: u.Relation, from: u.UsingClause, where: u.WhereClause, with: u.WithClause != nil, remove: true}
}

// name is how the statement calls its table.
func (d dml) name() string {
	if d.relation.Alias != nil {
		return ident(d.relation.Alias.Aliasname)
	}
	return ident(d.relation.Relname)
}

// build writes the statements of a batch. The condition stays the user's own: it is put into new statements as a tree.
func (d dml) build(key []keyColumn) (batchSQL, error) {
	b := batchSQL{conditional: d.where != nil}
	columns, texts, orders := make([]string, len(key)), make([]string, len(key)), make([]string, len(key))
	for i, k := range key {
		columns[i] = d.name() + "." + ident(k.name)
		texts[i] = "CAST(" + columns[i] + " AS text)"
		orders[i] = columns[i]
	}
	list, order := strings.Join(texts, ", "), strings.Join(orders, ", ")
	above := func(first int) string { return bound(columns, key, ">", first) }
	upTo := func(first int) string { return bound(columns, key, "<=", first) }
	n := len(key)
	var err error
	if b.first, err = d.selecting(fmt.Sprintf("SELECT %s FROM t ORDER BY %s OFFSET $1 LIMIT 1", list, order), nil); err != nil {
		return b, err
	}
	if b.window, err = d.selecting(fmt.Sprintf("SELECT %s FROM t WHERE %s ORDER BY %s OFFSET $%d LIMIT 1", list, above(1), order, n+1), nil); err != nil {
		return b, err
	}
	strength := "NO KEY UPDATE" // rows of other tables may still refer to these
	if d.remove {
		strength = "UPDATE"
	}
	ends := [2][2]string{{"true", upTo(1)}, {above(1), above(1) + " AND " + upTo(n+1)}}
	for from := range ends {
		for to, cond := range ends[from] {
			text := fmt.Sprintf("SELECT %s FROM t WHERE %s ORDER BY %s FOR %s OF %s", list, cond, order, strength, d.name())
			if b.lock[from][to], err = d.selecting(text, d.matching()); err != nil {
				return b, err
			}
		}
	}
	if b.left, err = d.selecting("SELECT 1 FROM t WHERE true LIMIT 1", d.matching()); err != nil {
		return b, err
	}
	b.change, err = d.changing(columns, key)
	return b, err
}

// bound compares the key with parameters from number first on.
func bound(columns []string, key []keyColumn, operator string, first int) string {
	params := make([]string, len(key))
	for i, k := range key {
		params[i] = fmt.Sprintf("CAST(CAST($%d AS text) AS %s)", first+i, k.typ)
	}
	return "(" + strings.Join(columns, ", ") + ") " + operator + " (" + strings.Join(params, ", ") + ")"
}

// matching is the user's condition as one about the table alone.
func (d dml) matching() *pg.Node {
	if len(d.from) == 0 {
		return d.where
	}
	one := &pg.Node{Node: &pg.Node_ResTarget{ResTarget: &pg.ResTarget{Val: pg.MakeAConstIntNode(1, 0)}}}
	inner := &pg.SelectStmt{TargetList: []*pg.Node{one}, FromClause: d.from, WhereClause: d.where, LimitOption: pg.LimitOption_LIMIT_OPTION_DEFAULT, Op: pg.SetOperation_SETOP_NONE}
	return &pg.Node{Node: &pg.Node_SubLink{SubLink: &pg.SubLink{SubLinkType: pg.SubLinkType_EXISTS_SUBLINK,
		Subselect: &pg.Node{Node: &pg.Node_SelectStmt{SelectStmt: inner}}}}}
}

// selecting parses text, puts the user's table in place of t, and adds a condition.
func (d dml) selecting(text string, and *pg.Node) (string, error) {
	tree, err := parse(text)
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, text)
	}
	s := tree.Stmts[0].Stmt.GetSelectStmt()
	s.FromClause = []*pg.Node{{Node: &pg.Node_RangeVar{RangeVar: d.relation}}}
	s.WhereClause = conjunction(s.WhereClause, and)
	return deparse(tree)
}

func conjunction(a, b *pg.Node) *pg.Node {
	if a == nil {
		return b
	}
	if b == nil {
		return a
	}
	return &pg.Node{Node: &pg.Node_BoolExpr{BoolExpr: &pg.BoolExpr{Boolop: pg.BoolExprType_AND_EXPR, Args: []*pg.Node{a, b}}}}
}

// changing is the user's statement, narrowed to the rows that were locked.
func (d dml) changing(columns []string, key []keyColumn) (string, error) {
	parts, names, casts := make([]string, len(key)), make([]string, len(key)), make([]string, len(key))
	for i, k := range key {
		parts[i] = fmt.Sprintf("CAST($%d AS text[])", i+1)
		names[i] = "k" + strconv.Itoa(i)
		casts[i] = fmt.Sprintf("CAST(keys.%s AS %s)", names[i], k.typ)
	}
	among := fmt.Sprintf("(%s) IN (SELECT %s FROM unnest(%s) AS keys(%s))",
		strings.Join(columns, ", "), strings.Join(casts, ", "), strings.Join(parts, ", "), strings.Join(names, ", "))
	if len(key) == 1 {
		among = fmt.Sprintf("%s = ANY (CAST(%s AS %s[]))", columns[0], parts[0], key[0].typ)
	}
	cond, err := parse("SELECT 1 WHERE " + among)
	if err != nil {
		return "", err
	}
	node := proto.Clone(d.node).(*pg.Node)
	where := conjunction(d.where, cond.Stmts[0].Stmt.GetSelectStmt().WhereClause)
	still, err := d.stillMatching()
	if err != nil {
		return "", err
	}
	if u := node.GetUpdateStmt(); u != nil {
		u.WhereClause, u.ReturningList = where, still
	} else {
		node.GetDeleteStmt().WhereClause, node.GetDeleteStmt().ReturningList = where, nil
	}
	return deparse(&pg.ParseResult{Stmts: []*pg.RawStmt{{Stmt: node}}})
}

// stillMatching is a RETURNING list: RETURNING sees the new row, so it tells whether the condition still holds.
func (d dml) stillMatching() ([]*pg.Node, error) {
	tree, err := parse("SELECT COALESCE(x, false)")
	if err != nil {
		return nil, err
	}
	list := tree.Stmts[0].Stmt.GetSelectStmt().TargetList
	where := d.where
	if where == nil {
		where = &pg.Node{Node: &pg.Node_AConst{AConst: &pg.A_Const{Val: &pg.A_Const_Boolval{Boolval: &pg.Boolean{Boolval: false}}}}}
	}
	list[0].GetResTarget().Val.GetCoalesceExpr().Args[0] = where
	return list, nil
}

// resize aims the next batch at the target time. It never more than doubles or halves.
func resize(rows int, took, target time.Duration, limit int) int {
	want := rows * 2
	if took > 0 {
		want = int(float64(rows) * float64(target) / float64(took))
	}
	return max(10, min(want, rows*2, limit), min(rows/2, limit))
}

// primaryKey is empty if the table has none.
func primaryKey(ctx context.Context, conn *pgx.Conn, table string) ([]keyColumn, error) {
	rows, err := conn.Query(ctx, `SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod)
		FROM pg_catalog.pg_index x
		CROSS JOIN LATERAL pg_catalog.unnest(x.indkey::int2[]) WITH ORDINALITY AS k(attnum, n)
		JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.attnum
		WHERE x.indrelid = pg_catalog.to_regclass($1) AND x.indisprimary AND k.n <= x.indnkeyatts ORDER BY k.n`, table)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (keyColumn, error) {
		var k keyColumn
		err := row.Scan(&k.name, &k.typ)
		return k, err
	})
}
