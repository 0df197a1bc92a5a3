package compat

import (
	"fmt"

	pg "github.com/pganalyze/pg_query_go/v6"
)

func createView(j *judge, n *pg.Node) bool {
	s := n.GetViewStmt()
	if s == nil {
		return false
	}
	view := j.relation(s.View)
	made, known := j.cat.others[view]
	j.touch(view)
	if !known {
		j.cat.others[view] = j.file.Version
		j.expand()
		return true
	}
	j.fresh = made == j.file.Version
	j.lock(view, accessExclusive)
	j.breaksReaders("code that reads the view %s gets what its new query says", view)
	j.info("replace-view", fmt.Sprintf("running code reads %s with its old meaning", view), "make a view of another name for new code")
	return true
}
