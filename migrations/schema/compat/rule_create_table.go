package compat

import (
	"fmt"

	pg "github.com/pganalyze/pg_query_go/v6"
)

func createTable(j *judge, n *pg.Node) bool {
	s := n.GetCreateStmt()
	if s == nil {
		return false
	}
	rel := j.created(s.Relation)
	j.touch(rel)
	j.expand()
	if j.cat.tables[rel] != nil && s.IfNotExists {
		j.info("if-not-exists", fmt.Sprintf("%s is there already, so this changes nothing", rel), "remove the statement")
		return true
	}
	t := newTable(j.file.Version)
	t.complete = len(s.InhRelations) == 0 && s.OfTypename == nil
	t.partitioned = s.Partspec != nil
	j.cat.tables[rel] = t
	j.parents(rel, s)
	for _, e := range s.TableElts {
		switch {
		case e.GetColumnDef() != nil:
			j.newTableColumn(rel, t, e.GetColumnDef())
		case e.GetConstraint() != nil:
			j.newTableConstraint(rel, t, e.GetConstraint())
		case e.GetTableLikeClause() != nil:
			t.complete = false
			if like := j.cat.tables[j.relation(e.GetTableLikeClause().Relation)]; like != nil {
				for name, c := range like.columns {
					t.columns[name] = &column{typ: c.typ, notNull: c.notNull, hasDefault: c.hasDefault, file: j.file.Version}
				}
			}
		}
	}
	return true
}

// parents are what a partition or child hangs on.
func (j *judge) parents(rel string, s *pg.CreateStmt) {
	for _, p := range s.InhRelations {
		parent := j.relation(p.GetRangeVar())
		j.touch(parent)
		if s.Partbound == nil {
			j.lock(parent, shareUpdateExclusive)
			continue
		}
		j.lock(parent, accessExclusive)
		pt := j.cat.live(parent)
		for name, c := range pt.columns {
			j.cat.tables[rel].columns[name] = &column{typ: c.typ, notNull: c.notNull, hasDefault: c.hasDefault, file: j.file.Version}
		}
		j.defaultPartition(rel, pt, s.Partbound)
		j.info("partition-locks-parent", fmt.Sprintf("CREATE TABLE … PARTITION OF locks %s against everybody", parent),
			"create the table alone and ATTACH PARTITION it, which does not")
	}
}

// defaultPartition: a further partition makes PostgreSQL read the default one.
func (j *judge) defaultPartition(rel string, parent *table, bound *pg.PartitionBoundSpec) {
	if bound.GetIsDefault() {
		parent.defaultPartition = rel
		return
	}
	if d := parent.defaultPartition; d != "" {
		j.lock(d, accessExclusive)
		j.v.Scan = j.v.Scan || !j.isFresh(d)
	}
}

func (j *judge) newTableColumn(rel string, t *table, def *pg.ColumnDef) {
	p := partsOf(def)
	t.columns[def.Colname] = newColumn(def, p, j.file.Version)
	for _, n := range def.Constraints {
		c := n.GetConstraint()
		switch c.GetContype() {
		case pg.ConstrType_CONSTR_CHECK, pg.ConstrType_CONSTR_FOREIGN, pg.ConstrType_CONSTR_PRIMARY, pg.ConstrType_CONSTR_UNIQUE:
			if len(c.Keys) == 0 && c.Contype != pg.ConstrType_CONSTR_CHECK {
				c.Keys = []*pg.Node{pg.MakeStrNode(def.Colname)}
				c.FkAttrs = c.Keys
			}
			j.newTableConstraint(rel, t, c)
		}
	}
	if typeOf(def.TypeName).base == "json" {
		j.info("json", "json has no equality: SELECT DISTINCT and UNION fail", "use jsonb")
	}
}

// newTableConstraint: a foreign key locks the table that it points to, which is not new.
func (j *judge) newTableConstraint(rel string, t *table, c *pg.Constraint) {
	if c.Contype == pg.ConstrType_CONSTR_FOREIGN {
		ref := j.relation(c.Pktable)
		j.touch(ref)
		j.lock(ref, shareRowExclusive)
	}
	j.rememberConstraint(rel, t, c, false)
}

// createTableAs: a new table or materialized view from a query; it reads the others only.
func createTableAs(j *judge, n *pg.Node) bool {
	s := n.GetCreateTableAsStmt()
	if s == nil {
		return false
	}
	rel := j.created(s.GetInto().GetRel())
	j.touch(rel)
	j.expand()
	j.queryCalls(s.Query)
	if j.cat.tables[rel] != nil && s.IfNotExists {
		return true
	}
	j.cat.tables[rel] = newTable(j.file.Version)
	return true
}
