package compat

import (
	"fmt"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// attachPartition locks the parent only against other changes of its shape, but the child against everybody.
func attachPartition(a *alter) {
	p := a.cmd.GetDef().GetPartitionCmd()
	child := a.relation(p.GetName())
	a.lock(a.rel, shareUpdateExclusive)
	a.lock(child, accessExclusive)
	a.touch(child)
	a.expand()
	a.defaultPartition(child, a.t, p.GetBound())
	if t := a.cat.tables[child]; a.isFresh(child) || t != nil && t.hasValidCheck() {
		return
	}
	a.v.Scan = true
	a.warn("attach-partition-scan", fmt.Sprintf("all of %s is read while nobody can read or write it, unless a CHECK shows that its rows fit", child),
		"add that CHECK NOT VALID and VALIDATE it before")
}

func (t *table) hasValidCheck() bool {
	for _, k := range t.constraints {
		if k.kind == pg.ConstrType_CONSTR_CHECK && k.validated {
			return true
		}
	}
	return false
}

func detachPartition(a *alter) {
	p := a.cmd.GetDef().GetPartitionCmd()
	child := a.relation(p.GetName())
	a.touch(child)
	a.breaksReaders("queries of %s no longer see the rows of %s", a.rel, child)
	a.breaksWriters("rows of %s that belong to %s are refused", a.rel, child)
	if p.GetConcurrent() || a.cmd.Subtype == pg.AlterTableType_AT_DetachPartitionFinalize {
		a.lock(a.rel, shareUpdateExclusive)
		if p.GetConcurrent() {
			a.outsideTransaction("DETACH PARTITION CONCURRENTLY")
		}
		return
	}
	a.lock(a.rel, accessExclusive)
	a.lock(child, accessExclusive)
	a.warn("detach-partition-non-concurrent", fmt.Sprintf("%s is locked against everybody", a.rel),
		"DETACH PARTITION … CONCURRENTLY in a file of its own with '-- +goose NO TRANSACTION'")
}
