package compat

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// transactionControl: the runner opens and ends the transaction; a COMMIT inside would record what is not done.
func transactionControl(j *judge, n *pg.Node) bool {
	if n.GetTransactionStmt() == nil && !isSetTransaction(n) {
		return false
	}
	j.refuse("transaction-control", "the runner begins and ends the transaction itself",
		"remove the statement; for a file without a transaction use '-- +goose NO TRANSACTION'")
	return true
}

func isSetTransaction(n *pg.Node) bool {
	s := n.GetVariableSetStmt()
	return s != nil && (s.Kind == pg.VariableSetKind_VAR_SET_MULTI || strings.HasPrefix(s.Name, "transaction_"))
}

// settings: SET and RESET change nothing in the database, but some change what the statements after them mean.
func settings(j *judge, n *pg.Node) bool {
	if n.GetVariableShowStmt() != nil || n.GetConstraintsSetStmt() != nil {
		return true
	}
	s := n.GetVariableSetStmt()
	if s == nil {
		return false
	}
	name := strings.ToLower(s.Name)
	set := s.Kind == pg.VariableSetKind_VAR_SET_VALUE || s.Kind == pg.VariableSetKind_VAR_SET_DEFAULT
	switch {
	case name == "session_replication_role" && set:
		j.unknown("session_replication_role switches triggers off, the sync triggers too")
	case !set:
	case (name == "search_path" || name == "role" || name == "session_authorization") && !s.IsLocal:
		j.refuse("set-not-local", "SET "+name+" outlives this file: the version table and later files would be looked for elsewhere",
			"use SET LOCAL, or write the schema in front of the names")
	case name == "search_path":
		j.searchPath(s)
	case !s.IsLocal:
		j.warn("set-not-local", "SET "+name+" outlives this file", "use SET LOCAL")
	}
	return true
}

// searchPath follows a SET LOCAL search_path: names without a schema are looked for in its first one.
func (j *judge) searchPath(s *pg.VariableSetStmt) {
	j.file.searchPath = ""
	if len(s.Args) == 0 {
		return
	}
	first := s.Args[0].GetAConst().GetSval().GetSval()
	switch first {
	case "public":
	case "", "$user":
		j.unknown("which schema names without one are looked for in is not known")
	default:
		j.file.searchPath = first
	}
}
