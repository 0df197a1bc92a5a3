package compat

func dropColumn(a *alter) {
	col := a.cmd.Name
	a.lock(a.rel, accessExclusive)
	if c := a.t.columns[col]; c != nil && c.file == a.file.Version {
		a.fresh = true
	}
	a.breaksReaders("a query that reads %s.%s fails", a.rel, col)
	a.breaksWriters("a statement that writes %s.%s fails", a.rel, col)
	a.cascade(a.cmd.Behavior)
	a.cat.dropColumn(a.rel, col)
}
