package compat

import (
	"fmt"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// columnParts are what stands behind the type of a column.
type columnParts struct {
	def                                  *pg.Node
	notNull, identity, generated, serial bool
	primary, unique                      bool
	checks                               []*pg.Constraint
	refers                               []*pg.Constraint
}

// serials are no types of their own: an integer with a sequence for its default.
var serials = map[string]string{
	"serial": "int4", "serial4": "int4", "bigserial": "int8", "serial8": "int8", "smallserial": "int2", "serial2": "int2",
}

func partsOf(def *pg.ColumnDef) columnParts {
	var p columnParts
	p.serial = serials[typeOf(def.TypeName).base] != ""
	for _, n := range def.Constraints {
		c := n.GetConstraint()
		switch c.GetContype() {
		case pg.ConstrType_CONSTR_NOTNULL:
			p.notNull = true
		case pg.ConstrType_CONSTR_DEFAULT:
			if !isNull(c.RawExpr) {
				p.def = c.RawExpr
			}
		case pg.ConstrType_CONSTR_IDENTITY:
			p.identity = true
		case pg.ConstrType_CONSTR_GENERATED:
			p.generated = true
		case pg.ConstrType_CONSTR_PRIMARY:
			p.primary = true
		case pg.ConstrType_CONSTR_UNIQUE:
			p.unique = true
		case pg.ConstrType_CONSTR_CHECK:
			p.checks = append(p.checks, c)
		case pg.ConstrType_CONSTR_FOREIGN:
			p.refers = append(p.refers, c)
		}
	}
	return p
}

// filled: a row that does not name the column gets a value anyway.
func (p columnParts) filled() bool { return p.def != nil || p.serial || p.identity || p.generated }

// addColumn: new code needs it, old code does not name it.
func addColumn(a *alter) {
	def := a.cmd.GetDef().GetColumnDef()
	if def == nil {
		a.unknown("this ADD COLUMN has no definition")
		return
	}
	if old := a.t.columns[def.Colname]; old != nil && a.cmd.MissingOk {
		// IF NOT EXISTS of a column that is there: nothing happens, whatever the definition says.
		a.loosely()
		return
	}
	p := partsOf(def)
	a.lock(a.rel, accessExclusive)
	a.expand()
	a.info("cached-plan", fmt.Sprintf("a prepared SELECT * of %s fails once in sessions that are open", a.rel), "name the columns in queries")
	filledByRewrite(a, def, p)
	if (p.notNull || p.primary) && !p.filled() {
		a.breaksWriters("an INSERT into %s that does not name %s fails", a.rel, def.Colname)
		a.split("add-column-not-null-no-default", fmt.Sprintf("%s is NOT NULL without a default: it fails on existing rows, and on rows of old code", def.Colname),
			"add it without NOT NULL, fill it (trigger and backfill), then SET NOT NULL in a contract step")
	}
	inlineConstraints(a, def, p)
	if typeOf(def.TypeName).base == "json" {
		a.info("json", "json has no equality: SELECT DISTINCT and UNION fail", "use jsonb")
	}
	a.t.columns[def.Colname] = newColumn(def, p, a.file.Version)
}

func newColumn(def *pg.ColumnDef, p columnParts, file int64) *column {
	typ := typeOf(def.TypeName)
	if plain := serials[typ.base]; plain != "" {
		typ.base = plain
	}
	return &column{typ: typ, notNull: p.notNull || p.primary || p.serial || p.identity,
		hasDefault: p.filled(), file: file}
}

// filledByRewrite: values that differ from row to row are written into every row at once.
func filledByRewrite(a *alter, def *pg.ColumnDef, p columnParts) {
	var code, what string
	switch {
	case p.serial:
		code, what = "add-column-serial", "a serial column"
	case p.identity:
		code, what = "add-column-identity", "an identity column"
	case p.generated:
		code, what = "add-column-generated-stored", "a stored generated column"
	case p.def != nil && !evaluatedOnce(p.def):
		code, what = "add-column-volatile-default", "a default that may differ from row to row"
	case a.cat.domains[typeOf(def.TypeName).base]:
		code, what = "add-column-domain", "a domain with a constraint"
	default:
		return
	}
	a.rewrite()
	a.split(code, fmt.Sprintf("%s of %s is %s: the whole table is rewritten while nobody can read or write it", def.Colname, a.rel, what),
		"add the column without it, set the default for new rows, and fill the old rows in a backfill step")
}

// inlineConstraints are checked, or indexed, in the same breath, under the strongest lock.
func inlineConstraints(a *alter, def *pg.ColumnDef, p columnParts) {
	for _, c := range p.refers {
		ref := a.relation(c.Pktable)
		a.lock(ref, shareRowExclusive)
		a.touch(ref)
		if p.filled() {
			a.breaksWriters("a row of old code gets a %s that may not exist in %s", def.Colname, ref)
		}
	}
	for _, c := range p.checks {
		a.scan()
		if !p.filled() && !passesNull(c.RawExpr) {
			a.breaksWriters("a row of old code has no %s, which its CHECK may refuse", def.Colname)
		}
	}
	if p.unique || p.primary {
		a.scan()
		if p.filled() {
			a.breaksWriters("rows of old code all get the same %s, or collide", def.Colname)
		}
	}
	if len(p.refers)+len(p.checks) > 0 || p.unique || p.primary {
		a.split("add-column-inline-constraint", fmt.Sprintf("the constraint of %s is checked and indexed while nobody can read or write %s", def.Colname, a.rel),
			"add the column alone; add a CHECK or foreign key NOT VALID and VALIDATE it in a backfill step; build a UNIQUE index CONCURRENTLY")
	}
	for i, c := range p.checks {
		addKnownConstraint(a, c, fmt.Sprintf("%s_%s_check%d", a.rel, def.Colname, i))
	}
	for i, c := range p.refers {
		addKnownConstraint(a, c, fmt.Sprintf("%s_%s_fkey%d", a.rel, def.Colname, i))
	}
}

// addIdentity makes an existing column an identity; it has to be NOT NULL already.
func addIdentity(a *alter) {
	a.lock(a.rel, accessExclusive)
	a.breaksWriters("an INSERT that names %s of %s fails where it is GENERATED ALWAYS", a.cmd.Name, a.rel)
	if c := a.t.columns[a.cmd.Name]; c != nil {
		c.hasDefault = true
	}
}

func dropIdentity(a *alter) {
	a.lock(a.rel, accessExclusive)
	a.breaksWriters("an INSERT into %s that leaves %s to the database fails", a.rel, a.cmd.Name)
}

func dropExpression(a *alter) {
	a.lock(a.rel, accessExclusive)
	a.breaksWriters("%s of %s is no longer computed for rows of old code", a.cmd.Name, a.rel)
}
