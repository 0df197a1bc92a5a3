package compat

import (
	"fmt"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// alter is one command of an ALTER TABLE under judgement.
type alter struct {
	*judge
	rel string
	t   *table
	cmd *pg.AlterTableCmd
}

func alterTable(j *judge, n *pg.Node) bool {
	s := n.GetAlterTableStmt()
	if s == nil {
		return false
	}
	rel := j.relation(s.Relation)
	switch s.Objtype {
	case pg.ObjectType_OBJECT_TABLE:
	case pg.ObjectType_OBJECT_INDEX:
		alterIndex(j, rel, s)
		return true
	default:
		j.touch(rel)
		j.unknown("this ALTER of something that is no table is not known")
		return true
	}
	t := j.on(rel)
	for _, c := range s.Cmds {
		cmd := c.GetAlterTableCmd()
		r := alterRules[cmd.GetSubtype()]
		if r == nil {
			j.lock(rel, accessExclusive)
			j.unknown(fmt.Sprintf("this command of ALTER TABLE on %s is not known", rel))
			continue
		}
		r(&alter{judge: j, rel: rel, t: t, cmd: cmd})
		j.fresh = j.isFresh(rel)
	}
	return true
}

// alterIndex: settings of an index, and its place in a partitioned one.
func alterIndex(j *judge, name string, s *pg.AlterTableStmt) {
	j.touch(name)
	rel := name
	if i := j.cat.indexes[name]; i != nil {
		rel = i.table
		j.on(rel)
	}
	for _, c := range s.Cmds {
		switch c.GetAlterTableCmd().GetSubtype() {
		case pg.AlterTableType_AT_SetRelOptions, pg.AlterTableType_AT_ResetRelOptions, pg.AlterTableType_AT_SetStatistics,
			pg.AlterTableType_AT_AttachPartition:
			j.lock(rel, shareUpdateExclusive)
			j.loosely()
		default:
			j.unknown("this command of ALTER INDEX is not known")
		}
	}
}

// tuneTable: settings that no query notices.
func tuneTable(a *alter) {
	a.lock(a.rel, shareUpdateExclusive)
	a.loosely()
}

// setStorage: how new values are stored; what is there stays.
func setStorage(a *alter) {
	a.lock(a.rel, accessExclusive)
	a.loosely()
}

// rewriteTable: the same rows in other files.
func rewriteTable(a *alter) {
	a.lock(a.rel, accessExclusive)
	a.rewrite()
	a.loosely()
	a.split("rewrite", fmt.Sprintf("this copies the whole of %s while nobody can read or write it", a.rel),
		"make a new table and move the rows in batches, or assume it with the reason why the table is small")
}

func replicaIdentity(a *alter) {
	a.lock(a.rel, accessExclusive)
	a.warn("replica-identity", "what logical replication sends for "+a.rel+" changes", "see that subscribers still find the rows")
	if def := a.cmd.GetDef().GetReplicaIdentityStmt(); def.GetIdentityType() == "n" {
		a.breaksWriters("updates and deletes of %s fail once it is published", a.rel)
		return
	}
	a.loosely()
}

func rowSecurity(a *alter) {
	a.lock(a.rel, accessExclusive)
	a.breaksReaders("which rows of %s a role sees changes", a.rel)
	a.breaksWriters("which rows of %s a role may write changes", a.rel)
}

func changeOwner(a *alter) {
	a.lock(a.rel, accessExclusive)
	a.breaksReaders("the old owner of %s loses its rights", a.rel)
}
