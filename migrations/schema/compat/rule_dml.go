package compat

import (
	"fmt"
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
)

// insertRows: rows for a new table are part of making it; for a live one they are data.
func insertRows(j *judge, n *pg.Node) bool {
	s := n.GetInsertStmt()
	if s == nil {
		return false
	}
	j.write(n, j.relation(s.Relation))
	return true
}

func updateRows(j *judge, n *pg.Node) bool {
	s := n.GetUpdateStmt()
	if s == nil {
		return false
	}
	rel := j.relation(s.Relation)
	j.write(n, rel)
	if s.WhereClause == nil {
		j.warn("update-without-where", fmt.Sprintf("every row of %s is written and locked in one transaction", rel),
			"update in batches, and only rows that need it (WHERE … IS DISTINCT FROM …)")
	}
	return true
}

// deleteRows takes away what running code may read.
func deleteRows(j *judge, n *pg.Node) bool {
	s := n.GetDeleteStmt()
	if s == nil {
		return false
	}
	j.write(n, j.relation(s.Relation))
	return true
}

func mergeRows(j *judge, n *pg.Node) bool {
	s := n.GetMergeStmt()
	if s == nil {
		return false
	}
	j.write(n, j.relation(s.Relation))
	return true
}

// write judges a statement that writes rel, and all writes inside its WITH clauses.
func (j *judge) write(n proto.Message, rel string) {
	j.queryCalls(n)
	j.writes(n)
	j.fresh = j.isFresh(rel)
}

// writes judges every write in a tree.
func (j *judge) writes(n proto.Message) {
	walk(n, func(m proto.Message) bool {
		switch s := m.(type) {
		case *pg.InsertStmt:
			j.writeOne(j.relation(s.Relation), false)
		case *pg.UpdateStmt:
			j.writeOne(j.relation(s.Relation), false)
		case *pg.DeleteStmt:
			j.writeOne(j.relation(s.Relation), true)
		case *pg.MergeStmt:
			deletes := slices.ContainsFunc(s.MergeWhenClauses, func(w *pg.Node) bool {
				return w.GetMergeWhenClause().GetCommandType() == pg.CmdType_CMD_DELETE
			})
			j.writeOne(j.relation(s.Relation), deletes)
		}
		return true
	})
}

func (j *judge) writeOne(rel string, deletes bool) {
	j.on(rel)
	j.lock(rel, rowExclusive)
	if deletes {
		j.breaksReaders("rows of %s that running code may need are gone", rel)
		return
	}
	j.backfill()
}

// queryCalls refuses calls of functions that the series made and that may do anything.
func (j *judge) queryCalls(m proto.Message) {
	for _, f := range calls(m) {
		if _, own := j.cat.functions[f]; own {
			j.unknown(fmt.Sprintf("what calling %s does can not be read from this statement", f))
			return
		}
		if reaching[f] {
			j.unknown(fmt.Sprintf("%s reaches beyond this statement", f))
			return
		}
	}
}

// reaching are functions of PostgreSQL and its extensions that do more than compute.
var reaching = set("dblink", "dblink_exec", "dblink_connect", "set_config", "pg_terminate_backend", "pg_cancel_backend",
	"pg_reload_conf", "lo_import", "lo_export", "lo_unlink", "pg_read_file", "pg_ls_dir", "query_to_xml", "pg_advisory_lock",
	"pg_sleep", "pg_sleep_for", "pg_sleep_until", "pg_switch_wal", "pg_create_logical_replication_slot", "pg_drop_replication_slot")

// truncateTables takes all rows away and locks everybody out.
func truncateTables(j *judge, n *pg.Node) bool {
	s := n.GetTruncateStmt()
	if s == nil {
		return false
	}
	for _, r := range s.Relations {
		rel := j.relation(r.GetRangeVar())
		j.on(rel)
		j.lock(rel, accessExclusive)
		j.rewrite()
		j.breaksReaders("all rows of %s are gone", rel)
	}
	j.cascade(s.Behavior)
	return true
}

// selectRows: a query changes nothing unless it calls something that does.
func selectRows(j *judge, n *pg.Node) bool {
	s := n.GetSelectStmt()
	if s == nil {
		return false
	}
	switch {
	case len(find[*pg.IntoClause](s)) > 0:
		rel := j.created(find[*pg.IntoClause](s)[0].Rel)
		j.touch(rel)
		j.cat.tables[rel] = newTable(j.file.Version)
		j.expand()
	case len(find[*pg.InsertStmt](s))+len(find[*pg.UpdateStmt](s))+len(find[*pg.DeleteStmt](s))+len(find[*pg.MergeStmt](s)) > 0:
		j.queryCalls(s)
		j.writes(s)
		return true
	}
	for _, f := range calls(s) {
		if !harmlessCall[f] && !stableFunction[f] && !strictFunction[f] {
			j.unknown(fmt.Sprintf("what calling %s does is not known", f))
			return true
		}
	}
	return true
}

// harmlessCall are functions that a bare SELECT may call.
var harmlessCall = set("setval", "nextval", "currval", "lastval", "max", "min", "count", "sum", "avg", "pg_get_serial_sequence",
	"pg_notify", "greatest", "least", "random", "gen_random_uuid", "to_char", "version", "pg_try_advisory_xact_lock")
