package compat

import "fmt"

// setNotNull tightens what writers may write. A validated CHECK spares the scan.
func setNotNull(a *alter) {
	col := a.cmd.Name
	a.lock(a.rel, accessExclusive)
	c := a.t.columns[col]
	if c != nil && c.notNull {
		a.loosely()
		return
	}
	a.breaksWriters("a row of %s without %s is refused", a.rel, col)
	if !a.t.notNullProved(col) {
		a.scan()
		a.warn("set-not-null-scan", fmt.Sprintf("all of %s is read while nobody can read or write it", a.rel),
			fmt.Sprintf("first add CHECK (%s IS NOT NULL) NOT VALID and VALIDATE it in a backfill step; then this step reads nothing", col))
	}
	if c != nil {
		c.notNull = true
	}
}

// dropNotNull harms nobody by itself; the NULLs that new code then writes do.
func dropNotNull(a *alter) {
	col := a.cmd.Name
	a.lock(a.rel, accessExclusive)
	a.loosely()
	a.twoStep()
	a.warn("new-writes-break-old-readers", fmt.Sprintf("once new code writes NULL into %s.%s, code that is still running reads it", a.rel, col),
		"write the first NULL in a later revision")
	if c := a.t.columns[col]; c != nil {
		c.notNull = false
	}
}
