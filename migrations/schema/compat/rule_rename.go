package compat

import (
	"fmt"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// renameObject: no code works both before and after the rename of something that it names.
func renameObject(j *judge, n *pg.Node) bool {
	s := n.GetRenameStmt()
	if s == nil {
		return false
	}
	switch s.RenameType {
	case pg.ObjectType_OBJECT_COLUMN:
		j.renameColumn(s)
	case pg.ObjectType_OBJECT_TABLE, pg.ObjectType_OBJECT_VIEW, pg.ObjectType_OBJECT_MATVIEW, pg.ObjectType_OBJECT_SEQUENCE:
		j.renameRelation(s)
	case pg.ObjectType_OBJECT_INDEX:
		old := j.relation(s.Relation)
		j.touch(old)
		j.loosely()
		if i := j.cat.indexes[old]; i != nil {
			delete(j.cat.indexes, old)
			j.cat.indexes[indexName(i.table, s.Newname)] = i
			j.touch(i.table)
			j.lock(i.table, shareUpdateExclusive)
		}
	case pg.ObjectType_OBJECT_TABCONSTRAINT, pg.ObjectType_OBJECT_TRIGGER:
		j.renameOfTable(s)
	case pg.ObjectType_OBJECT_SCHEMA:
		j.touch("schema " + s.Subname)
		j.touch("schema " + s.Newname)
		for _, rel := range j.cat.inSchema(s.Subname) {
			j.touch(rel)
		}
		j.renamed("rename-schema", "schema "+s.Subname)
	default:
		parts := objectWords(s.Object)
		if len(parts) == 0 {
			j.unknown("this RENAME is not known")
			return true
		}
		j.touch(j.qualified(parts...))
		j.renamed("rename", name(parts...))
	}
	return true
}

func (j *judge) renamed(code, what string) {
	j.breaksReaders("code that names %s fails", what)
	j.breaksWriters("code that names %s fails", what)
	j.split(code, fmt.Sprintf("no code works both before and after the rename of %s", what),
		"add the new name beside the old one (a column and a sync trigger, or a view), move the code, and drop the old name in a contract step")
}

func (j *judge) renameColumn(s *pg.RenameStmt) {
	rel := j.relation(s.Relation)
	t := j.on(rel)
	j.lock(rel, accessExclusive)
	c := t.columns[s.Subname]
	j.fresh = j.fresh || c != nil && c.file == j.file.Version
	j.renamed("rename-column", rel+"."+s.Subname)
	delete(t.columns, s.Subname)
	if c != nil {
		t.columns[s.Newname] = c
	}
}

func (j *judge) renameRelation(s *pg.RenameStmt) {
	old := j.relation(s.Relation)
	parts := rangeWords(s.Relation)
	parts[len(parts)-1] = s.Newname
	renamed := j.qualified(parts...)
	j.fresh = j.isFresh(old)
	j.touch(old)
	j.touch(renamed)
	j.lock(old, accessExclusive)
	j.renamed("rename-table", old)
	j.cat.moveTable(old, renamed)
}

// renameOfTable: a constraint or trigger; queries do not name them, but for ON CONFLICT ON CONSTRAINT.
func (j *judge) renameOfTable(s *pg.RenameStmt) {
	rel := j.relation(s.Relation)
	t := j.on(rel)
	j.lock(rel, accessExclusive)
	if s.RenameType == pg.ObjectType_OBJECT_TRIGGER {
		j.loosely()
		if tr := t.triggers[s.Subname]; tr != nil {
			delete(t.triggers, s.Subname)
			t.triggers[s.Newname] = tr
		}
		return
	}
	k := t.constraints[s.Subname]
	if k != nil {
		delete(t.constraints, s.Subname)
		t.constraints[s.Newname] = k
	}
	if k != nil && (k.kind == pg.ConstrType_CONSTR_CHECK || k.kind == pg.ConstrType_CONSTR_FOREIGN) {
		j.loosely()
		return
	}
	j.breaksWriters("ON CONFLICT ON CONSTRAINT %s fails", s.Subname)
}

// setSchema moves an object, which renames it.
func setSchema(j *judge, n *pg.Node) bool {
	s := n.GetAlterObjectSchemaStmt()
	if s == nil {
		return false
	}
	parts := objectWords(s.Object)
	if s.Relation != nil {
		parts = rangeWords(s.Relation)
		j.lock(j.qualified(parts...), accessExclusive)
		j.fresh = j.isFresh(j.qualified(parts...))
	}
	if len(parts) == 0 {
		j.unknown("this SET SCHEMA names nothing that is known")
		return true
	}
	old, moved := j.qualified(parts...), name(s.Newschema, parts[len(parts)-1])
	j.touch(old)
	j.touch(moved)
	j.renamed("set-schema", old)
	j.cat.moveTable(old, moved)
	return true
}
