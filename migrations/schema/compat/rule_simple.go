package compat

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// simpleCreate: new objects that nobody uses yet, and comments.
func simpleCreate(j *judge, n *pg.Node) bool {
	switch {
	case n.GetCommentStmt() != nil:
		j.touch(j.commented(n.GetCommentStmt()))
	case n.GetCreateSchemaStmt() != nil:
		return createSchema(j, n.GetCreateSchemaStmt())
	case n.GetCreateSeqStmt() != nil:
		seq := j.relation(n.GetCreateSeqStmt().Sequence)
		j.made(seq)
	case n.GetCompositeTypeStmt() != nil:
		j.made("type " + j.relation(n.GetCompositeTypeStmt().Typevar))
	case n.GetCreateRangeStmt() != nil:
		j.made("type " + j.qualified(words(n.GetCreateRangeStmt().TypeName)...))
	case n.GetCreateExtensionStmt() != nil:
		j.made("extension " + n.GetCreateExtensionStmt().Extname)
	case n.GetCreateStatsStmt() != nil:
		j.expand()
		for _, r := range n.GetCreateStatsStmt().Relations {
			j.touch(j.relation(r.GetRangeVar()))
			j.lock(j.relation(r.GetRangeVar()), shareUpdateExclusive)
		}
	case n.GetCreatePolicyStmt() != nil, n.GetAlterPolicyStmt() != nil:
		rel := n.GetCreatePolicyStmt().GetTable()
		if rel == nil {
			rel = n.GetAlterPolicyStmt().GetTable()
		}
		j.on(j.relation(rel))
		j.lock(j.relation(rel), accessExclusive)
		j.breaksReaders("which rows of %s a role sees changes", j.relation(rel))
		j.breaksWriters("which rows of %s a role may write changes", j.relation(rel))
	default:
		return false
	}
	return true
}

// made notes a new object.
func (j *judge) made(object string) {
	j.touch(object)
	if _, known := j.cat.others[object]; !known {
		j.cat.others[object] = j.file.Version
	}
	j.expand()
}

// commented is what a COMMENT speaks about, as far as it is a relation.
func (j *judge) commented(s *pg.CommentStmt) string {
	parts := objectWords(s.Object)
	switch s.Objtype {
	case pg.ObjectType_OBJECT_COLUMN, pg.ObjectType_OBJECT_TABCONSTRAINT, pg.ObjectType_OBJECT_TRIGGER:
		parts = parts[:max(len(parts)-1, 0)]
	case pg.ObjectType_OBJECT_TABLE, pg.ObjectType_OBJECT_VIEW, pg.ObjectType_OBJECT_INDEX, pg.ObjectType_OBJECT_SEQUENCE:
	default:
		return "comment"
	}
	if len(parts) == 0 {
		return "comment"
	}
	return j.qualified(parts...)
}

func createSchema(j *judge, s *pg.CreateSchemaStmt) bool {
	if len(s.SchemaElts) > 0 {
		j.touch("schema " + s.Schemaname)
		j.unknown("CREATE SCHEMA with statements inside is not known")
		return true
	}
	j.made("schema " + s.Schemaname)
	return true
}

// alterSequence: what values come next.
func alterSequence(j *judge, n *pg.Node) bool {
	s := n.GetAlterSeqStmt()
	if s == nil {
		return false
	}
	seq := j.relation(s.Sequence)
	j.touch(seq)
	j.fresh = j.cat.others[seq] == j.file.Version
	harmless := []string{"owned_by", "cache", "maxvalue", "as", "cycle"}
	for _, o := range s.Options {
		if !slices.Contains(harmless, o.GetDefElem().GetDefname()) && !j.fresh {
			j.unknown("whether the next values of " + seq + " collide with rows that are there is not known")
			return true
		}
	}
	j.loosely()
	return true
}

// privileges: more is expand, less is contract.
func privileges(j *judge, n *pg.Node) bool {
	var grant bool
	what := "functions, types or other objects"
	switch {
	case n.GetGrantStmt() != nil:
		s := n.GetGrantStmt()
		grant = s.IsGrant
		for _, o := range s.Objects {
			if r := o.GetRangeVar(); r != nil {
				what = j.relation(r)
				j.touch(what)
			}
		}
	case n.GetAlterDefaultPrivilegesStmt() != nil:
		grant, what = n.GetAlterDefaultPrivilegesStmt().GetAction().GetIsGrant(), "later objects"
	default:
		return false
	}
	if grant {
		j.expand()
		return true
	}
	j.breaksReaders("a role loses its rights on %s", what)
	return true
}
