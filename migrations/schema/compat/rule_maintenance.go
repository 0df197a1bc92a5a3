package compat

import (
	"fmt"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// maintenance: statements that change no shape and no meaning, but may block everybody while they run.
func maintenance(j *judge, n *pg.Node) bool {
	switch {
	case n.GetVacuumStmt() != nil:
		j.vacuum(n.GetVacuumStmt())
	case n.GetClusterStmt() != nil:
		rel := j.relation(n.GetClusterStmt().Relation)
		j.copied(rel, "CLUSTER")
	case n.GetReindexStmt() != nil:
		j.reindex(n.GetReindexStmt())
	case n.GetRefreshMatViewStmt() != nil:
		s := n.GetRefreshMatViewStmt()
		rel := j.relation(s.Relation)
		j.on(rel)
		j.backfill()
		if s.Concurrent {
			j.lock(rel, exclusive)
			break
		}
		j.lock(rel, accessExclusive)
		j.warn("refresh-non-concurrent", fmt.Sprintf("nobody can read %s meanwhile", rel), "REFRESH MATERIALIZED VIEW CONCURRENTLY")
	case n.GetLockStmt() != nil:
		for _, r := range n.GetLockStmt().Relations {
			rel := j.relation(r.GetRangeVar())
			j.on(rel)
			j.lock(rel, accessExclusive)
			j.warn("lock-table", fmt.Sprintf("%s stays locked until the file ends", rel), "let each statement take its own lock")
		}
	case n.GetNotifyStmt() != nil, n.GetCheckPointStmt() != nil:
	default:
		return false
	}
	return true
}

func (j *judge) vacuum(s *pg.VacuumStmt) {
	full := false
	for _, o := range s.Options {
		full = full || o.GetDefElem().GetDefname() == "full"
	}
	if s.IsVacuumcmd {
		j.outsideTransaction("VACUUM")
	}
	for _, r := range s.Rels {
		rel := j.relation(r.GetVacuumRelation().GetRelation())
		if full {
			j.copied(rel, "VACUUM FULL")
			continue
		}
		j.touch(rel)
		j.lock(rel, shareUpdateExclusive)
	}
	if full && len(s.Rels) == 0 {
		j.touch("*")
		j.split("rewrite", "VACUUM FULL of everything copies every table while nobody can read or write it", "name one small table, or use plain VACUUM")
	}
}

// copied: the whole table is written anew under the strongest lock.
func (j *judge) copied(rel, what string) {
	j.on(rel)
	j.lock(rel, accessExclusive)
	j.rewrite()
	j.split("rewrite", fmt.Sprintf("%s copies the whole of %s while nobody can read or write it", what, rel),
		"use plain VACUUM, or assume it with the reason why the table is small")
}

func (j *judge) reindex(s *pg.ReindexStmt) {
	rel := j.relation(s.Relation)
	target := rel
	if i := j.cat.indexes[rel]; i != nil && s.Kind == pg.ReindexObjectType_REINDEX_OBJECT_INDEX {
		rel = i.table
	}
	for _, o := range s.Params {
		if o.GetDefElem().GetDefname() == "concurrently" {
			j.outsideTransaction("REINDEX CONCURRENTLY")
			j.touch(rel)
			j.lock(rel, shareUpdateExclusive)
			return
		}
	}
	if s.Relation == nil {
		j.unknown("REINDEX of a whole schema or database is not known")
		return
	}
	j.on(rel)
	j.lock(rel, share)
	if target != rel {
		j.lock(target, accessExclusive)
	}
	j.scan()
	j.warn("reindex-non-concurrent", fmt.Sprintf("nobody can write %s, nor read through the index, meanwhile", rel),
		"REINDEX … CONCURRENTLY in a file of its own with '-- +goose NO TRANSACTION'")
}
