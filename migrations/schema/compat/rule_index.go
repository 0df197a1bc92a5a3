package compat

import (
	"fmt"
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
)

func createIndex(j *judge, n *pg.Node) bool {
	s := n.GetIndexStmt()
	if s == nil {
		return false
	}
	rel := j.relation(s.Relation)
	t := j.on(rel)
	full := indexName(rel, s.Idxname)
	j.indexCost(rel, full, t, s)
	cols := indexColumns(s)
	if s.Unique && (s.NullsNotDistinct || !t.newColumns(cols, j.file.Version)) {
		j.breaksWriters("a second row of %s with the same %v is refused", rel, cols)
	} else {
		j.expand()
	}
	if s.Idxname != "" && (j.cat.indexes[full] == nil || !s.IfNotExists) {
		j.cat.indexes[full] = &index{table: rel, unique: s.Unique, partial: s.WhereClause != nil, columns: cols, file: j.file.Version}
	}
	return true
}

// indexCost: the plain way blocks writers, the concurrent one can leave an index behind that is not valid.
func (j *judge) indexCost(rel, full string, t *table, s *pg.IndexStmt) {
	if !s.Concurrent {
		j.lock(rel, share)
		j.scan()
		j.warn("create-index-non-concurrent", fmt.Sprintf("nobody can write %s while the index is built", rel),
			"CREATE INDEX CONCURRENTLY in a file of its own with '-- +goose NO TRANSACTION'")
		return
	}
	j.outsideTransaction("CREATE INDEX CONCURRENTLY")
	j.lock(rel, shareUpdateExclusive)
	if t.partitioned {
		j.refuse("concurrently-on-partitioned", fmt.Sprintf("%s is partitioned: PostgreSQL can not index it CONCURRENTLY", rel),
			"index every partition CONCURRENTLY, then the parent")
	}
	if s.IfNotExists && !slices.Contains(j.file.dropped, full) {
		j.warn("if-not-exists-keeps-invalid-index", "after a failure IF NOT EXISTS keeps an index that is not valid",
			fmt.Sprintf("put DROP INDEX CONCURRENTLY IF EXISTS %s before it", full))
	}
}

// indexColumns are the columns of an index; those of an expression count.
func indexColumns(s *pg.IndexStmt) []string {
	var cols []string
	for _, n := range s.IndexParams {
		e := n.GetIndexElem()
		if e.GetName() != "" {
			cols = append(cols, e.Name)
			continue
		}
		cols = append(cols, columnsOf(e.GetExpr())...)
	}
	return cols
}
