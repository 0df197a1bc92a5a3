package compat

import (
	"fmt"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// kindOf are the things that a DROP may name, as Touches calls them; relations have no word in front.
var kindOf = map[pg.ObjectType]string{
	pg.ObjectType_OBJECT_TABLE: "", pg.ObjectType_OBJECT_VIEW: "", pg.ObjectType_OBJECT_MATVIEW: "", pg.ObjectType_OBJECT_SEQUENCE: "",
	pg.ObjectType_OBJECT_FOREIGN_TABLE: "", pg.ObjectType_OBJECT_INDEX: "",
	pg.ObjectType_OBJECT_FUNCTION: "function ", pg.ObjectType_OBJECT_PROCEDURE: "function ", pg.ObjectType_OBJECT_ROUTINE: "function ",
	pg.ObjectType_OBJECT_AGGREGATE: "function ", pg.ObjectType_OBJECT_TYPE: "type ", pg.ObjectType_OBJECT_DOMAIN: "type ",
	pg.ObjectType_OBJECT_SCHEMA: "schema ", pg.ObjectType_OBJECT_EXTENSION: "extension ", pg.ObjectType_OBJECT_TRIGGER: "",
	pg.ObjectType_OBJECT_POLICY: "", pg.ObjectType_OBJECT_STATISTIC_EXT: "statistics ", pg.ObjectType_OBJECT_COLLATION: "collation ",
	pg.ObjectType_OBJECT_RULE: "", pg.ObjectType_OBJECT_OPERATOR: "operator ", pg.ObjectType_OBJECT_CAST: "cast ",
}

func dropObjects(j *judge, n *pg.Node) bool {
	s := n.GetDropStmt()
	if s == nil {
		return false
	}
	kind, known := kindOf[s.RemoveType]
	if !known {
		j.unknown("this DROP is not known")
		return true
	}
	j.cascade(s.Behavior)
	for _, object := range s.Objects {
		parts := objectWords(object)
		switch s.RemoveType {
		case pg.ObjectType_OBJECT_INDEX:
			j.dropIndex(j.qualified(parts...), s)
		case pg.ObjectType_OBJECT_TRIGGER, pg.ObjectType_OBJECT_POLICY, pg.ObjectType_OBJECT_RULE:
			j.dropOfTable(parts, s)
		case pg.ObjectType_OBJECT_SCHEMA:
			j.dropSchema(parts[0])
		case pg.ObjectType_OBJECT_STATISTIC_EXT:
			j.loosely()
		default:
			j.dropOne(kind, j.qualified(parts...), s)
		}
		j.fresh = false
	}
	return true
}

func (j *judge) dropOne(kind, object string, s *pg.DropStmt) {
	j.touch(kind + object)
	switch s.RemoveType {
	case pg.ObjectType_OBJECT_TABLE, pg.ObjectType_OBJECT_MATVIEW, pg.ObjectType_OBJECT_FOREIGN_TABLE:
		j.fresh = j.isFresh(object)
		j.lock(object, accessExclusive)
		j.lockReferred(object)
		j.cat.dropTable(object)
	case pg.ObjectType_OBJECT_FUNCTION, pg.ObjectType_OBJECT_PROCEDURE, pg.ObjectType_OBJECT_ROUTINE:
		f := j.cat.functions[object]
		j.fresh = f != nil && f.file == j.file.Version
		delete(j.cat.functions, object)
	default:
		j.fresh = j.cat.others[kind+object] == j.file.Version
		delete(j.cat.others, kind+object)
		if kind == "" {
			j.lock(object, accessExclusive)
		}
	}
	j.breaksReaders("whatever uses %s%s fails", kind, object)
}

// lockReferred: dropping a table drops its foreign keys, which locks the tables that they point to.
func (j *judge) lockReferred(rel string) {
	if t := j.cat.tables[rel]; t != nil {
		for _, k := range t.constraints {
			if k.refers != "" && k.refers != rel {
				j.lock(k.refers, accessExclusive)
				j.touch(k.refers)
			}
		}
	}
}

// dropIndex: queries get slow without it, and a unique one no longer refuses anything. One that the series does not
// know, with IF EXISTS, is what a failed build left behind.
func (j *judge) dropIndex(object string, s *pg.DropStmt) {
	i := j.cat.indexes[object]
	delete(j.cat.indexes, object)
	j.touch(object)
	j.file.dropped = append(j.file.dropped, object)
	rel := object
	if i != nil {
		rel = i.table
		j.touch(rel)
		j.fresh = i.file == j.file.Version
	}
	if s.Concurrent {
		j.outsideTransaction("DROP INDEX CONCURRENTLY")
		j.lock(rel, shareUpdateExclusive)
	} else {
		j.lock(rel, accessExclusive)
	}
	if i == nil && s.MissingOk {
		j.loosely()
		j.info("drop-unknown-index", fmt.Sprintf("no migration has made %s; if it is there, queries may need it", object), "see that none does")
		return
	}
	j.breaksReaders("queries of running code that need the index %s get slow", object)
	if i == nil || i.unique {
		j.breaksWriters("ON CONFLICT that needs the index %s fails", object)
	}
	if !s.Concurrent {
		j.warn("drop-index-non-concurrent", fmt.Sprintf("%s is locked against everybody", rel), "DROP INDEX CONCURRENTLY in a file of its own with '-- +goose NO TRANSACTION'")
	}
}

// dropOfTable: triggers, policies and rules are named by their table and their own name.
func (j *judge) dropOfTable(parts []string, s *pg.DropStmt) {
	if len(parts) < 2 {
		j.unknown("this DROP names no table")
		return
	}
	rel, own := j.qualified(parts[:len(parts)-1]...), parts[len(parts)-1]
	t := j.on(rel)
	j.lock(rel, accessExclusive)
	tr := t.triggers[own]
	delete(t.triggers, own)
	switch {
	case tr != nil && tr.file == j.file.Version:
		j.fresh = true
	case tr == nil && s.MissingOk && t.complete && s.RemoveType == pg.ObjectType_OBJECT_TRIGGER:
		// The series made the table, and no such trigger: this only makes the next statement repeatable.
		j.loosely()
		return
	}
	j.breaksWriters("what %s did for the rows of %s no longer happens", own, rel)
}

func (j *judge) dropSchema(schemaName string) {
	j.touch("schema " + schemaName)
	j.fresh = j.cat.others["schema "+schemaName] == j.file.Version
	for _, rel := range j.cat.inSchema(schemaName) {
		j.touch(rel)
		j.lock(rel, accessExclusive)
		j.cat.dropTable(rel)
	}
	delete(j.cat.others, "schema "+schemaName)
	for f := range j.cat.functions {
		if strings.HasPrefix(f, schemaName+".") {
			delete(j.cat.functions, f)
		}
	}
	j.breaksReaders("whatever uses the schema %s fails", schemaName)
}
