package compat

import (
	"fmt"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// validateConstraint reads the whole table but blocks nobody.
func validateConstraint(a *alter) {
	a.lock(a.rel, shareUpdateExclusive)
	a.backfill()
	k := a.t.constraints[a.cmd.Name]
	if k == nil {
		return
	}
	if k.kind == pg.ConstrType_CONSTR_FOREIGN {
		a.touch(k.refers)
		a.lock(k.refers, "ROW SHARE")
	}
	if k.file == a.file.Version && !a.isFresh(a.rel) && !a.file.NoTransaction {
		a.warn("validate-in-same-transaction", fmt.Sprintf("the lock that adding %s took is held while the table is read", a.cmd.Name),
			"VALIDATE it in a later file")
	}
	k.validated = true
}
