package compat

import (
	"fmt"
	"slices"
)

// columnDefault: SET DEFAULT and DROP DEFAULT.
func columnDefault(a *alter) {
	col := a.cmd.Name
	a.lock(a.rel, accessExclusive)
	c := a.t.columns[col]
	def := a.cmd.Def
	if c != nil && c.file == a.file.Version {
		a.fresh = true
	}
	if def == nil || isNull(def) {
		a.breaksWriters("a row that leaves %s.%s to its default no longer gets it", a.rel, col)
		if c != nil {
			c.hasDefault = false
		}
		return
	}
	a.loosely()
	a.info("default-visible", fmt.Sprintf("rows of code that is still running get the new default of %s.%s too", a.rel, col), "see that it can read them")
	if a.synced(col) {
		a.fresh = false
		a.warn("default-of-synced-column", fmt.Sprintf("the sync trigger takes the default of %s.%s for a value that old code wrote", a.rel, col),
			"set the default in the contract step")
	}
	if c != nil {
		c.hasDefault = true
	}
}

// synced: a trigger of the series assigns the column.
func (a *alter) synced(col string) bool {
	for _, tr := range a.t.triggers {
		if f := a.cat.functions[tr.function]; f != nil && tr.before && slices.Contains(f.body.columns(), col) {
			return true
		}
	}
	return false
}
