package run

import (
	"regexp"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
	pgquery "github.com/wasilibs/go-pgquery"

	"github.com/interlock-dev/interlock/migrations/schema"
)

// PostgreSQL's own parser. It takes seconds of a processor to start, so tests that start many processes bring the trees
// along.
var (
	parse   = pgquery.Parse
	deparse = pgquery.Deparse
)

// statement is one statement of a file, with what the parser says about it.
type statement struct {
	schema.Statement
	// index counts from 1.
	index int
	nodes []*pg.Node
}

// parseFile refuses what would end the transaction that a step runs in.
func parseFile(f schema.File) ([]statement, error) {
	var all []statement
	for i, s := range f.Up {
		tree, err := parse(s.SQL)
		if err != nil {
			return nil, refuse(f, s, "this does not parse: %v", err)
		}
		st := statement{Statement: s, index: i + 1}
		for _, raw := range tree.Stmts {
			if raw.Stmt.GetTransactionStmt() != nil {
				return nil, refuse(f, s, "BEGIN, COMMIT and their like can not be used in a migration; split the file instead")
			}
			st.nodes = append(st.nodes, raw.Stmt)
		}
		if len(st.nodes) > 0 {
			all = append(all, st)
		}
	}
	return all, nil
}

// mode is how a statement of a file without a transaction of its own is run.
type mode string

const (
	// modeTransaction: in a transaction together with its line in the journal, so exactly once.
	modeTransaction mode = "transaction"
	// modeSession: SET and RESET, which the statements after it need: run every time.
	modeSession mode = "session"
	// modeRepeatable: not in a transaction; running it twice does no harm.
	modeRepeatable mode = "repeatable"
	// modeOpaque: not in a transaction; after an interruption nobody can say whether it was done.
	modeOpaque mode = "opaque"
	// modeBatched: UPDATE or DELETE in a backfill.
	modeBatched     mode = "batched"
	modeCreateIndex mode = "create index concurrently"
	modeDropIndex   mode = "drop index concurrently"
	modeReindex     mode = "reindex concurrently"
	modeDetach      mode = "detach partition concurrently"
	modeRefused     mode = "refused"
)

// Why a statement is refused in a file without a transaction.
const (
	severalStatements = "several statements in one block, of which one can not run in a transaction; give each its own block"
	unnamedIndex      = "an index built concurrently needs a name, else nobody can find it again after an interruption"
	setRole           = "the role can not be changed in a file without a transaction; use ALTER … OWNER TO, or a file with a transaction"
)

// endsTransactions finds the words with which PL/pgSQL could end a transaction.
var endsTransactions = regexp.MustCompile(`(?i)\b(commit|rollback)\b`)

// modeOf says how a statement is run, and why not if it is refused.
func modeOf(s statement, backfill bool) (mode, string) {
	if len(s.nodes) == 1 {
		return modeOfNode(s.nodes[0], s.SQL, backfill)
	}
	for _, n := range s.nodes {
		if m, why := modeOfNode(n, s.SQL, backfill); m == modeRefused {
			return m, why
		} else if m != modeTransaction {
			return modeRefused, severalStatements
		}
	}
	return modeTransaction, ""
}

func modeOfNode(n *pg.Node, sql string, backfill bool) (mode, string) {
	switch x := n.Node.(type) {
	case *pg.Node_IndexStmt:
		if !x.IndexStmt.Concurrent {
			return modeTransaction, ""
		}
		if x.IndexStmt.Idxname == "" {
			return modeRefused, unnamedIndex
		}
		return modeCreateIndex, ""
	case *pg.Node_DropStmt:
		if x.DropStmt.Concurrent && len(x.DropStmt.Objects) == 1 {
			return modeDropIndex, ""
		}
	case *pg.Node_ReindexStmt:
		if x.ReindexStmt.Relation != nil && concurrently(x.ReindexStmt) {
			return modeReindex, ""
		}
		return modeRepeatable, ""
	case *pg.Node_AlterTableStmt:
		if detached(x.AlterTableStmt) != nil {
			return modeDetach, ""
		}
	case *pg.Node_UpdateStmt, *pg.Node_DeleteStmt:
		if backfill {
			return modeBatched, ""
		}
	case *pg.Node_VariableSetStmt:
		if strings.EqualFold(x.VariableSetStmt.Name, "role") || strings.EqualFold(x.VariableSetStmt.Name, "session_authorization") {
			return modeRefused, setRole
		}
		return modeSession, ""
	case *pg.Node_VacuumStmt:
		if x.VacuumStmt.IsVacuumcmd {
			return modeRepeatable, ""
		}
	case *pg.Node_ClusterStmt, *pg.Node_AlterSystemStmt, *pg.Node_CheckPointStmt:
		return modeRepeatable, ""
	case *pg.Node_DoStmt:
		if endsTransactions.MatchString(sql) {
			return modeOpaque, ""
		}
	case *pg.Node_CallStmt, *pg.Node_CreatedbStmt, *pg.Node_DropdbStmt, *pg.Node_CreateTableSpaceStmt,
		*pg.Node_DropTableSpaceStmt, *pg.Node_CreateSubscriptionStmt, *pg.Node_DropSubscriptionStmt:
		return modeOpaque, ""
	}
	return modeTransaction, ""
}

func concurrently(r *pg.ReindexStmt) bool {
	for _, p := range r.Params {
		if d := p.GetDefElem(); d != nil && d.Defname == "concurrently" {
			return d.Arg == nil || d.Arg.GetBoolean() == nil || d.Arg.GetBoolean().Boolval
		}
	}
	return false
}

// detached is the partition of ALTER TABLE … DETACH PARTITION … CONCURRENTLY, or nil.
func detached(a *pg.AlterTableStmt) *pg.RangeVar {
	for _, c := range a.Cmds {
		cmd := c.GetAlterTableCmd()
		if cmd.GetSubtype() == pg.AlterTableType_AT_DetachPartition && cmd.GetDef().GetPartitionCmd().GetConcurrent() {
			return cmd.GetDef().GetPartitionCmd().Name
		}
	}
	return nil
}

// ident quotes a name for SQL.
func ident(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// relation is a table's name as to_regclass and SQL take it.
func relation(r *pg.RangeVar) string {
	if r.Schemaname == "" {
		return ident(r.Relname)
	}
	return ident(r.Schemaname) + "." + ident(r.Relname)
}

// objectName is the name in a list of strings: schema and name, or name.
func objectName(list []*pg.Node) string {
	parts := make([]string, len(list))
	for i, n := range list {
		parts[i] = ident(n.GetString_().GetSval())
	}
	return strings.Join(parts, ".")
}
