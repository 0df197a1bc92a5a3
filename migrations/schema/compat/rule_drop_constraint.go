package compat

import (
	"fmt"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// dropConstraint lets writers write more. Of an index that backs it, running code may need the existence.
func dropConstraint(a *alter) {
	a.lock(a.rel, accessExclusive)
	a.cascade(a.cmd.Behavior)
	k := a.t.constraints[a.cmd.Name]
	delete(a.t.constraints, a.cmd.Name)
	delete(a.cat.indexes, indexName(a.rel, a.cmd.Name))
	switch {
	case k != nil && k.file == a.file.Version:
		a.loosely()
	case k != nil && k.kept:
		a.breaksReaders("nothing proves any more that the old and the new shape of %s are equal", a.rel)
	case k != nil && (k.kind == pg.ConstrType_CONSTR_CHECK || k.kind == pg.ConstrType_CONSTR_FOREIGN):
		if k.refers != "" {
			a.lock(k.refers, accessExclusive)
			a.touch(k.refers)
		}
		a.loosely()
		a.twoStep()
		a.warn("new-writes-break-old-readers", fmt.Sprintf("without %s new code may write what running code does not expect", a.cmd.Name),
			"write the first such row in a later revision")
	case k != nil && k.kind == pg.ConstrType_CONSTR_PRIMARY:
		a.breaksWriters("ON CONFLICT on the key of %s fails, and logical replication can not find its rows", a.rel)
	default:
		a.breaksWriters("ON CONFLICT on constraint %s of %s fails", a.cmd.Name, a.rel)
	}
}
