package compat

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// rerun looks at statements of a file without a transaction: when the runner dies between one and the record that
// the file is done, they run again.
func rerun(j *judge, n *pg.Node) {
	if !j.file.NoTransaction {
		return
	}
	insert, update := n.GetInsertStmt(), n.GetUpdateStmt()
	switch {
	case insert != nil && insert.OnConflictClause == nil:
		j.add("repeats-without-transaction", SeverityError, true, "after a crash this INSERT runs again and writes the rows twice",
			"add ON CONFLICT DO NOTHING, or remove '-- +goose NO TRANSACTION'")
	case update != nil && readsItself(update):
		j.add("repeats-without-transaction", SeverityError, true, "after a crash this UPDATE runs again on values that it has already changed",
			"add a WHERE that leaves out the rows that are done, or remove '-- +goose NO TRANSACTION'")
	case failsAgain(n) && !j.rebuilds(n.GetIndexStmt()):
		j.add("fails-when-repeated", SeverityWarning, false, "after a crash this runs again, and fails because it is done already",
			"write it with IF NOT EXISTS or IF EXISTS, or move it into a file with a transaction")
	}
}

// rebuilds: the file drops the index before it makes it.
func (j *judge) rebuilds(s *pg.IndexStmt) bool {
	return s != nil && slices.Contains(j.file.dropped, indexName(j.relation(s.Relation), s.Idxname))
}

// readsItself: UPDATE … SET a = f(a) without a condition on a.
func readsItself(s *pg.UpdateStmt) bool {
	return slices.ContainsFunc(s.TargetList, func(n *pg.Node) bool {
		t := n.GetResTarget()
		return slices.Contains(columnsOf(t.GetVal()), t.GetName()) && !slices.Contains(columnsOf(s.WhereClause), t.GetName())
	})
}

func failsAgain(n *pg.Node) bool {
	switch {
	case n.GetCreateStmt() != nil:
		return !n.GetCreateStmt().IfNotExists
	case n.GetIndexStmt() != nil:
		return !n.GetIndexStmt().IfNotExists
	case n.GetDropStmt() != nil:
		return !n.GetDropStmt().MissingOk
	case n.GetCreateSchemaStmt() != nil:
		return !n.GetCreateSchemaStmt().IfNotExists
	case n.GetCreateFunctionStmt() != nil:
		return !n.GetCreateFunctionStmt().Replace
	case n.GetViewStmt() != nil:
		return !n.GetViewStmt().Replace
	case n.GetAlterEnumStmt() != nil:
		return !n.GetAlterEnumStmt().SkipIfNewValExists
	case n.GetAlterTableStmt() != nil:
		return slices.ContainsFunc(n.GetAlterTableStmt().Cmds, func(c *pg.Node) bool {
			cmd := c.GetAlterTableCmd()
			switch cmd.GetSubtype() {
			case pg.AlterTableType_AT_AddColumn, pg.AlterTableType_AT_DropColumn, pg.AlterTableType_AT_DropConstraint:
				return !cmd.MissingOk
			case pg.AlterTableType_AT_AddConstraint:
				return true
			}
			return false
		})
	}
	return n.GetRenameStmt() != nil || n.GetCreateTrigStmt() != nil && !n.GetCreateTrigStmt().Replace || n.GetCreateEnumStmt() != nil
}
