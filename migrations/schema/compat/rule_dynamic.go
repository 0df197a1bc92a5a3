package compat

import pg "github.com/pganalyze/pg_query_go/v6"

// dynamic: code that decides for itself what it runs.
func dynamic(j *judge, n *pg.Node) bool {
	switch {
	case n.GetDoStmt() != nil:
		j.unknown("what a DO block does can not be read from its text")
	case n.GetCallStmt() != nil:
		j.unknown("what a procedure does can not be read from its call")
	case n.GetExecuteStmt() != nil, n.GetPrepareStmt() != nil:
		j.unknown("prepared statements outlive the file that they are read in")
	case n.GetCopyStmt() != nil:
		j.unknown("COPY reads or writes what is not in this file")
	default:
		return false
	}
	return true
}
