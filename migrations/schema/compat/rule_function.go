package compat

import (
	"fmt"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// createFunction: a new one harms nobody; one that takes the place of another changes what running code calls.
func createFunction(j *judge, n *pg.Node) bool {
	s := n.GetCreateFunctionStmt()
	if s == nil {
		return false
	}
	fn := j.qualified(words(s.Funcname)...)
	j.touch("function " + fn)
	lang, text := "", ""
	for _, o := range s.Options {
		d := o.GetDefElem()
		switch d.GetDefname() {
		case "language":
			lang = strings.ToLower(d.GetArg().GetString_().GetSval())
		case "as":
			text = strings.Join(objectWords(d.Arg), "\n")
		}
	}
	old := j.cat.functions[fn]
	made := &function{file: j.file.Version}
	if lang == "plpgsql" {
		made.body = readBody(j.v.Statement.SQL, text)
	}
	// Trigger functions take no arguments: another function of the same name does not take their place.
	if old == nil || len(s.Parameters) == 0 {
		j.cat.functions[fn] = made
	}
	if old == nil || !s.Replace {
		j.expand()
		return true
	}
	if j.fresh = old.file == j.file.Version; !j.fresh {
		made.file = old.file
	}
	j.breaksReaders("code that calls %s gets what it does now", fn)
	j.breaksWriters("rows that triggers give to %s are treated differently", fn)
	j.info("replace-function", fmt.Sprintf("running code uses %s as it was", fn), "make a function of another name for new code")
	return true
}
