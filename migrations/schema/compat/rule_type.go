package compat

import (
	"fmt"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// enumType: CREATE TYPE … AS ENUM, ADD VALUE, RENAME VALUE.
func enumType(j *judge, n *pg.Node) bool {
	if c := n.GetCreateEnumStmt(); c != nil {
		typ := "type " + j.qualified(words(c.TypeName)...)
		j.touch(typ)
		j.cat.others[typ] = j.file.Version
		j.expand()
		return true
	}
	s := n.GetAlterEnumStmt()
	if s == nil {
		return false
	}
	typ := "type " + j.qualified(words(s.TypeName)...)
	j.touch(typ)
	j.fresh = j.cat.others[typ] == j.file.Version
	if s.OldVal != "" {
		j.renamed("rename-enum-value", fmt.Sprintf("value %q of %s", s.OldVal, typ))
		return true
	}
	j.expand()
	j.twoStep()
	if !j.file.NoTransaction && !j.fresh {
		j.file.enumValues = append(j.file.enumValues, s.NewVal)
	}
	j.warn("new-writes-break-old-readers", fmt.Sprintf("once new code writes %q, code that is still running reads it", s.NewVal),
		"write the first such value in a later revision")
	return true
}

// usedEnumValue is a label that the file added and the statement names: PostgreSQL refuses that in one transaction.
func usedEnumValue(scope *fileScope, s sqlStatement) string {
	if len(scope.enumValues) == 0 || s.node.GetAlterEnumStmt() != nil || s.node.GetCommentStmt() != nil {
		return ""
	}
	for _, c := range find[*pg.A_Const](s.node) {
		for _, v := range scope.enumValues {
			if c.GetSval() != nil && c.GetSval().Sval == v {
				return v
			}
		}
	}
	return ""
}

// domainType: a domain's constraint is one of every column that has it.
func domainType(j *judge, n *pg.Node) bool {
	if c := n.GetCreateDomainStmt(); c != nil {
		d := j.qualified(words(c.Domainname)...)
		j.touch("type " + d)
		j.cat.others["type "+d] = j.file.Version
		j.cat.domains[d] = j.cat.domains[d] || len(c.Constraints) > 0
		j.expand()
		return true
	}
	s := n.GetAlterDomainStmt()
	if s == nil {
		return false
	}
	d := j.qualified(words(s.TypeName)...)
	j.touch("type " + d)
	j.fresh = j.cat.others["type "+d] == j.file.Version
	switch s.Subtype {
	case "C", "O": // ADD CONSTRAINT, SET NOT NULL
		j.cat.domains[d] = true
		j.scan()
		j.breaksWriters("a value of %s that the constraint refuses can not be written", d)
		j.warn("domain-constraint", fmt.Sprintf("every table with a column of %s is read under a lock", d), "use a CHECK of the table, NOT VALID")
	case "V": // VALIDATE CONSTRAINT
		j.backfill()
	case "X", "N": // DROP CONSTRAINT, DROP NOT NULL
		j.loosely()
		j.twoStep()
		j.warn("new-writes-break-old-readers", fmt.Sprintf("new code may write values of %s that running code does not expect", d), "write the first in a later revision")
	case "T": // SET or DROP DEFAULT
		if s.Def == nil {
			j.breaksWriters("a row that leaves a %s to its default no longer gets it", d)
			return true
		}
		j.loosely()
	default:
		j.unknown("this ALTER DOMAIN is not known")
	}
	return true
}
