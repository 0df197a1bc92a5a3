package run

import (
	"context"
	"fmt"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/interlock-dev/interlock/migrations/schema"
)

// fact is something that the catalog must show after a file.
type fact struct {
	kind factKind
	// relation is quoted, as to_regclass takes it; empty for types and functions.
	relation string
	name     string
	// label of an enum.
	label     string
	statement schema.Statement
}

type factKind string

const (
	factRelation   factKind = "relation"
	factIndex      factKind = "index"
	factColumn     factKind = "column"
	factNotNull    factKind = "not null"
	factConstraint factKind = "constraint"
	factValidated  factKind = "validated constraint"
	factTrigger    factKind = "trigger"
	factLabel      factKind = "enum value"
)

// catalog asks for one fact: $1 is the relation, $2 the name, $3 the label.
var catalog = map[factKind]string{
	factRelation: `SELECT pg_catalog.to_regclass($1) IS NOT NULL AND $2 = '' AND $3 = ''`,
	factIndex: `SELECT EXISTS (SELECT FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
		WHERE x.indrelid = pg_catalog.to_regclass($1) AND i.relname = $2 AND $3 = '' AND (x.indisvalid OR i.relkind = 'I') AND x.indisready)`,
	factColumn: `SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute
		WHERE attrelid = pg_catalog.to_regclass($1) AND attname = $2 AND $3 = '' AND NOT attisdropped)`,
	factNotNull: `SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute
		WHERE attrelid = pg_catalog.to_regclass($1) AND attname = $2 AND $3 = '' AND attnotnull)`,
	factConstraint: `SELECT EXISTS (SELECT FROM pg_catalog.pg_constraint
		WHERE conrelid = pg_catalog.to_regclass($1) AND conname = $2 AND $3 = '')`,
	factValidated: `SELECT EXISTS (SELECT FROM pg_catalog.pg_constraint
		WHERE conrelid = pg_catalog.to_regclass($1) AND conname = $2 AND $3 = '' AND convalidated)`,
	factTrigger: `SELECT EXISTS (SELECT FROM pg_catalog.pg_trigger
		WHERE tgrelid = pg_catalog.to_regclass($1) AND tgname = $2 AND $3 = '')`,
	factLabel: `SELECT EXISTS (SELECT FROM pg_catalog.pg_enum
		WHERE enumtypid = pg_catalog.to_regtype($2)::oid AND enumlabel = $3 AND $1 = '')`,
}

// verify compares the catalog with what the file says.
func (r *Runner) verify(ctx context.Context, f schema.File, statements []statement) error {
	for _, want := range expectations(statements) {
		var seen bool
		if err := r.conn.QueryRow(ctx, catalog[want.kind], want.relation, want.name, want.label).Scan(&seen); err != nil {
			return fmt.Errorf("%s: reading the catalog: %w", f.Name, err)
		}
		if !seen {
			return refuse(f, want.statement, "the statement was applied, but the catalog does not show its %s %s; "+
				"see what removed it (an INVALID index counts as missing), and bring it back", want.kind, want)
		}
	}
	return nil
}

// String names the object of the fact.
func (f fact) String() string {
	switch f.kind {
	case factRelation:
		return f.relation
	case factLabel:
		return f.name + " '" + f.label + "'"
	}
	return ident(f.name) + " of " + f.relation
}

// expectations collects what must be there at the end of the file; a later statement takes back what an earlier one
// promised. Where that can not be told from the text nothing is expected: the server's success was the proof.
func expectations(statements []statement) []fact {
	var facts []fact
	for _, s := range statements {
		for _, n := range s.nodes {
			if movesNames(n, s.SQL) {
				return nil
			}
			facts = retract(facts, n)
			for _, f := range promised(n) {
				f.statement = s.Statement
				facts = append(facts, f)
			}
		}
	}
	return facts
}

// movesNames: after this statement a name may mean something else, or what it did is not in its text.
func movesNames(n *pg.Node, sql string) bool {
	switch x := n.Node.(type) {
	case *pg.Node_VariableSetStmt:
		name := strings.ToLower(x.VariableSetStmt.Name)
		return name == "search_path" || name == "role" || name == "session_authorization" || name == ""
	case *pg.Node_RenameStmt, *pg.Node_AlterObjectSchemaStmt, *pg.Node_DoStmt, *pg.Node_CallStmt:
		return true
	}
	return strings.Contains(strings.ToLower(sql), "set_config")
}

// retract removes the facts about whatever a statement drops.
func retract(facts []fact, n *pg.Node) []fact {
	var gone func(fact) bool
	switch x := n.Node.(type) {
	case *pg.Node_DropStmt:
		if x.DropStmt.Behavior == pg.DropBehavior_DROP_CASCADE {
			return nil
		}
		gone = func(f fact) bool { return dropsFact(x.DropStmt, f) }
	case *pg.Node_AlterTableStmt:
		drops := false
		for _, c := range x.AlterTableStmt.Cmds {
			switch c.GetAlterTableCmd().GetSubtype() {
			case pg.AlterTableType_AT_DropColumn, pg.AlterTableType_AT_DropConstraint, pg.AlterTableType_AT_DropNotNull:
				drops = true
			}
		}
		if !drops {
			return facts
		}
		gone = func(f fact) bool { return f.relation == relation(x.AlterTableStmt.Relation) }
	default:
		return facts
	}
	kept := facts[:0]
	for _, f := range facts {
		if !gone(f) {
			kept = append(kept, f)
		}
	}
	return kept
}

func dropsFact(d *pg.DropStmt, f fact) bool {
	for _, o := range d.Objects {
		items := o.GetList().GetItems()
		switch d.RemoveType {
		case pg.ObjectType_OBJECT_TABLE, pg.ObjectType_OBJECT_VIEW, pg.ObjectType_OBJECT_MATVIEW:
			if f.relation == objectName(items) {
				return true
			}
		case pg.ObjectType_OBJECT_INDEX:
			if f.kind == factIndex && len(items) > 0 && f.name == items[len(items)-1].GetString_().GetSval() {
				return true
			}
		case pg.ObjectType_OBJECT_TRIGGER:
			if f.kind == factTrigger && len(items) > 0 && f.name == items[len(items)-1].GetString_().GetSval() {
				return true
			}
		case pg.ObjectType_OBJECT_TYPE, pg.ObjectType_OBJECT_SCHEMA:
			return true
		}
	}
	return false
}

// promised is what a statement alone says about the catalog.
func promised(n *pg.Node) []fact {
	switch x := n.Node.(type) {
	case *pg.Node_CreateStmt:
		return table(x.CreateStmt.Relation)
	case *pg.Node_ViewStmt:
		return table(x.ViewStmt.View)
	case *pg.Node_CreateTableAsStmt:
		return table(x.CreateTableAsStmt.GetInto().GetRel())
	case *pg.Node_IndexStmt:
		if x.IndexStmt.Idxname != "" {
			return []fact{{kind: factIndex, relation: relation(x.IndexStmt.Relation), name: x.IndexStmt.Idxname}}
		}
	case *pg.Node_CreateTrigStmt:
		return []fact{{kind: factTrigger, relation: relation(x.CreateTrigStmt.Relation), name: x.CreateTrigStmt.Trigname}}
	case *pg.Node_AlterEnumStmt:
		if x.AlterEnumStmt.OldVal == "" {
			return []fact{{kind: factLabel, name: objectName(x.AlterEnumStmt.TypeName), label: x.AlterEnumStmt.NewVal}}
		}
	case *pg.Node_AlterTableStmt:
		return altered(x.AlterTableStmt)
	}
	return nil
}

func table(r *pg.RangeVar) []fact {
	if r == nil || r.Relpersistence == "t" {
		return nil
	}
	return []fact{{kind: factRelation, relation: relation(r)}}
}

func altered(a *pg.AlterTableStmt) []fact {
	if a.Objtype != pg.ObjectType_OBJECT_TABLE || a.MissingOk {
		return nil
	}
	var facts []fact
	rel := relation(a.Relation)
	for _, c := range a.Cmds {
		cmd := c.GetAlterTableCmd()
		switch cmd.GetSubtype() {
		case pg.AlterTableType_AT_AddColumn:
			facts = append(facts, fact{kind: factColumn, relation: rel, name: cmd.GetDef().GetColumnDef().GetColname()})
		case pg.AlterTableType_AT_SetNotNull:
			facts = append(facts, fact{kind: factNotNull, relation: rel, name: cmd.Name})
		case pg.AlterTableType_AT_ValidateConstraint:
			facts = append(facts, fact{kind: factValidated, relation: rel, name: cmd.Name})
		case pg.AlterTableType_AT_AddConstraint:
			if con := cmd.GetDef().GetConstraint(); con.GetConname() != "" {
				kind := factValidated
				if con.SkipValidation {
					kind = factConstraint
				}
				facts = append(facts, fact{kind: kind, relation: rel, name: con.Conname})
			}
		}
	}
	return facts
}
