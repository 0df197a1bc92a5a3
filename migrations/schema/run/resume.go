package run

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	pg "github.com/pganalyze/pg_query_go/v6"
)

// found is what the catalog says about the object of a statement that can not run in a transaction.
type found string

const (
	foundNothing found = ""
	// An index by its name, in the schema of its table.
	foundAbsent   found = "absent"
	foundValid    found = "valid"
	foundInvalid  found = "invalid"
	foundBuilding found = "building" // some session is at it right now
	foundForeign  found = "foreign"  // the name belongs to another table, or to something that is no plain index
	// A partition of its parent.
	foundAttached found = "attached"
	foundPending  found = "pending"
	foundDetached found = "detached"
)

// next is what to do with such a statement.
type next string

const (
	nextRun      next = "run"
	nextSkip     next = "skip"
	nextCleanRun next = "clean up, then run"
	nextFinalize next = "finalize"
	nextRefuse   next = "refuse"
)

// decide says how to go on. before is what the catalog said when the statement was first begun, foundNothing if it never
// was; now is what it says now.
func decide(m mode, begun bool, before, now found, ifNotExists bool) (next, string) {
	switch m {
	case modeCreateIndex:
		return decideCreateIndex(begun, before, now, ifNotExists)
	case modeDropIndex:
		if begun && before != foundAbsent && now == foundAbsent {
			return nextSkip, ""
		}
	case modeReindex:
		if begun {
			return nextCleanRun, ""
		}
	case modeDetach:
		switch {
		case now == foundPending:
			return nextFinalize, ""
		case begun && before != foundDetached && now == foundDetached:
			return nextSkip, ""
		}
	case modeOpaque:
		if begun {
			return nextRefuse, "it was interrupted, and nothing tells whether it was done"
		}
	}
	return nextRun, ""
}

func decideCreateIndex(begun bool, before, now found, ifNotExists bool) (next, string) {
	switch now {
	case foundInvalid:
		return nextCleanRun, ""
	case foundBuilding:
		return nextRefuse, "another session builds an index of this name right now; wait for it (see pg_stat_progress_create_index)"
	case foundForeign:
		if ifNotExists {
			return nextRefuse, "IF NOT EXISTS would pass, but the name belongs to something else than an index of this table; choose another name"
		}
	case foundValid:
		if ifNotExists || begun && before == foundAbsent {
			return nextSkip, ""
		}
	}
	return nextRun, ""
}

// look asks the catalog about the object of a statement.
func look(ctx context.Context, conn *pgx.Conn, m mode, n *pg.Node) (found, error) {
	switch m {
	case modeCreateIndex:
		return lookIndex(ctx, conn, n.GetIndexStmt())
	case modeDropIndex:
		var exists bool
		err := conn.QueryRow(ctx, `SELECT pg_catalog.to_regclass($1) IS NOT NULL`, dropped(n)).Scan(&exists)
		if exists {
			return foundValid, err
		}
		return foundAbsent, err
	case modeDetach:
		alter := n.GetAlterTableStmt()
		var pending *bool
		err := conn.QueryRow(ctx, `SELECT (SELECT inhdetachpending FROM pg_catalog.pg_inherits
			WHERE inhparent = pg_catalog.to_regclass($1) AND inhrelid = pg_catalog.to_regclass($2))`,
			relation(alter.Relation), relation(detached(alter))).Scan(&pending)
		switch {
		case pending == nil:
			return foundDetached, err
		case *pending:
			return foundPending, err
		}
		return foundAttached, err
	}
	return foundNothing, nil
}

func dropped(n *pg.Node) string {
	return objectName(n.GetDropStmt().Objects[0].GetList().Items)
}

func lookIndex(ctx context.Context, conn *pgx.Conn, s *pg.IndexStmt) (found, error) {
	const sql = `SELECT CASE
			WHEN i.oid IS NULL THEN 'absent'
			WHEN i.relkind <> 'i' OR x.indrelid <> t.oid THEN 'foreign'
			WHEN x.indisvalid AND x.indisready THEN 'valid'
			WHEN EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index p WHERE p.index_relid = i.oid) THEN 'building'
			ELSE 'invalid' END
		FROM pg_catalog.pg_class t
		LEFT JOIN pg_catalog.pg_class i ON i.relnamespace = t.relnamespace AND i.relname = $2
		LEFT JOIN pg_catalog.pg_index x ON x.indexrelid = i.oid
		WHERE t.oid = pg_catalog.to_regclass($1)`
	var f found
	err := conn.QueryRow(ctx, sql, relation(s.Relation), s.Idxname).Scan(&f)
	if errors.Is(err, pgx.ErrNoRows) {
		return foundAbsent, nil // no such table: the server will say so
	}
	return f, err
}

// clean removes what an interrupted statement has left: an INVALID index is of no use for reading, but is written to,
// and a unique one refuses rows.
func clean(ctx context.Context, conn *pgx.Conn, m mode, n *pg.Node) error {
	var drop []string
	var err error
	switch m {
	case modeCreateIndex:
		s := n.GetIndexStmt()
		drop, err = names(ctx, conn, `SELECT pg_catalog.format('%I.%I', ns.nspname, i.relname)
			FROM pg_catalog.pg_class t JOIN pg_catalog.pg_namespace ns ON ns.oid = t.relnamespace
			JOIN pg_catalog.pg_index x ON x.indrelid = t.oid AND NOT (x.indisvalid AND x.indisready)
			JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid AND i.relkind = 'i' AND i.relname = $2
			WHERE t.oid = pg_catalog.to_regclass($1)`, relation(s.Relation), s.Idxname)
	case modeReindex:
		drop, err = names(ctx, conn, `SELECT pg_catalog.format('%I.%I', ns.nspname, i.relname)
			FROM pg_catalog.pg_index x
			JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid AND i.relname ~ '_cc(new|old)[0-9]*$'
			JOIN pg_catalog.pg_namespace ns ON ns.oid = i.relnamespace
			WHERE NOT (x.indisvalid AND x.indisready) AND x.indrelid = coalesce(
				(SELECT indrelid FROM pg_catalog.pg_index WHERE indexrelid = pg_catalog.to_regclass($1)),
				pg_catalog.to_regclass($1)::oid)`, relation(n.GetReindexStmt().Relation))
	}
	if err != nil {
		return fmt.Errorf("looking for an INVALID index: %w", err)
	}
	for _, name := range drop {
		if _, err := conn.Exec(ctx, "DROP INDEX CONCURRENTLY IF EXISTS "+name); err != nil {
			return fmt.Errorf("dropping the INVALID index %s: %w", name, err)
		}
	}
	return nil
}

func names(ctx context.Context, conn *pgx.Conn, sql string, args ...any) ([]string, error) {
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
