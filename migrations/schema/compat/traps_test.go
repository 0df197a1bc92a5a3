package compat

import "testing"

// traps are statements for which tools that look at one statement alone raise a false alarm, and what other
// statements of everyday files must come to.
var traps = []hazard{
	{name: "index on a table of the same file", sql: "CREATE TABLE a (x int); CREATE INDEX i ON a (x); CREATE UNIQUE INDEX u ON a (x);", wantPhase: expand},
	{name: "everything on a table of the same file", sql: `CREATE TABLE a (x int);
ALTER TABLE a ADD COLUMN y int NOT NULL; ALTER TABLE a ALTER x TYPE text; ALTER TABLE a ALTER x SET NOT NULL; ALTER TABLE a RENAME x TO z;
ALTER TABLE a ADD CHECK (y > 0); ALTER TABLE a DROP COLUMN y; INSERT INTO a VALUES ('1'); UPDATE a SET z = '2'; DELETE FROM a; TRUNCATE a;
ALTER TABLE a RENAME TO b; DROP TABLE b;`, wantPhase: expand},
	{name: "foreign key of a new table", sql: "CREATE TABLE a (x bigint REFERENCES customers (id));", wantPhase: expand, wantCosts: "customers SRE"},
	{name: "foreign key of a new table, added", sql: "CREATE TABLE a (x bigint); ALTER TABLE a ADD FOREIGN KEY (x) REFERENCES customers;", wantPhase: expand, wantCosts: "customers SRE"},
	{name: "foreign key of a new column", sql: "ALTER TABLE orders ADD COLUMN x bigint; ALTER TABLE orders ADD FOREIGN KEY (x) REFERENCES customers NOT VALID;",
		wantPhase: expand, wantCosts: "orders AE, orders SRE, customers SRE"},
	{name: "check of a new column", sql: "ALTER TABLE orders ADD COLUMN x int; ALTER TABLE orders ADD CHECK (x BETWEEN 1 AND 9 OR x IS NULL) NOT VALID;", wantPhase: expand, wantCosts: "orders AE, orders AE"},
	{name: "check of a new column that refuses NULL", sql: "ALTER TABLE orders ADD COLUMN x int; ALTER TABLE orders ADD CHECK (coalesce(x, 0) > 0) NOT VALID;",
		wantPhase: mixedP, wantBreaks: "w", wantFindings: "error:mixed-phases", wantCosts: "orders AE, orders AE"},
	{name: "check of a new column beside an old one", sql: "ALTER TABLE orders ADD COLUMN x int; ALTER TABLE orders ADD CHECK (x > total) NOT VALID;",
		wantPhase: mixedP, wantBreaks: "w", wantFindings: "error:mixed-phases", wantCosts: "orders AE, orders AE"},
	{name: "partition of a new table", sql: "CREATE TABLE a (x int) PARTITION BY LIST (x); CREATE TABLE b PARTITION OF a FOR VALUES IN (1);", wantPhase: expand},
	{name: "partition of a live table", sql: "CREATE TABLE b PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');", wantPhase: expand, wantCosts: "events AE, events_rest AE, scan", wantInfo: "partition-locks-parent"},
	{name: "attach a new partition", sql: "CREATE TABLE b (at timestamptz, kind text); ALTER TABLE events ATTACH PARTITION b FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');",
		wantPhase: expand, wantCosts: "events SUE, events_rest AE, scan"},
	{name: "index rebuilt", sql: noTx + "DROP INDEX CONCURRENTLY IF EXISTS new_index;", wantPhase: expand, wantCosts: "new_index SUE", wantInfo: "drop-unknown-index"},
	{name: "trigger made repeatable", sql: "DROP TRIGGER IF EXISTS t ON orders; CREATE TRIGGER t BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION stamp();",
		wantPhase: expand, wantCosts: "orders AE, orders SRE"},
	{name: "trigger of a table from before the series", sql: "DROP TRIGGER IF EXISTS t ON elsewhere;", wantPhase: contract, wantBreaks: "w", wantCosts: "elsewhere AE"},
	{name: "function, or replaced if it was there", sql: "CREATE OR REPLACE FUNCTION fresh() RETURNS int LANGUAGE sql AS 'SELECT 1';", wantPhase: expand},
	{name: "function replaced in the file that makes it", sql: "CREATE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE OR REPLACE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT 2'; DROP FUNCTION g();", wantPhase: expand},
	{name: "column if not exists, and it does", sql: "ALTER TABLE orders ADD COLUMN IF NOT EXISTS total int NOT NULL;", wantPhase: expand, wantCosts: ""},
	{name: "table if not exists, and it does", sql: "CREATE TABLE IF NOT EXISTS orders (id int); DROP TABLE orders;", wantPhase: mixedP, wantBreaks: "r",
		wantFindings: "error:mixed-phases", wantCosts: "orders AE, customers AE", wantInfo: "if-not-exists"},
	{name: "enum made and widened in one file", sql: "CREATE TYPE hue AS ENUM ('a'); ALTER TYPE hue ADD VALUE 'b';", wantPhase: expand},
	{name: "comment beside contract", sql: "ALTER TABLE orders DROP COLUMN total; COMMENT ON TABLE orders IS 'x';", wantPhase: contract, wantBreaks: "rw", wantCosts: "orders AE"},
	{name: "comment beside backfill", sql: "COMMENT ON COLUMN orders.total IS 'x'; UPDATE orders SET total = 1 WHERE total = 0;", wantPhase: backfill, wantCosts: "orders RE"},
	{name: "default beside contract", sql: "ALTER TABLE orders ALTER customer SET DEFAULT 1; ALTER TABLE orders DROP COLUMN total;", wantPhase: contract, wantBreaks: "rw", wantCosts: "orders AE, orders AE"},
	{name: "default beside backfill", sql: "ALTER TABLE orders ALTER customer SET DEFAULT 1; UPDATE orders SET placed = now() WHERE placed IS NULL;", wantPhase: mixedP,
		wantFindings: "error:mixed-phases", wantCosts: "orders AE, orders RE"},
	{name: "new table beside contract", sql: "CREATE TABLE a (); DROP TABLE billing.invoices;", wantPhase: mixedP, wantBreaks: "r", wantFindings: "error:mixed-phases", wantCosts: "billing.invoices AE"},
	{name: "two phases in one ALTER TABLE", sql: "ALTER TABLE orders ADD COLUMN x int, DROP COLUMN total;", wantPhase: mixedP, wantBreaks: "rw", wantFindings: "error:mixed-phases", wantCosts: "orders AE"},
	{name: "setval", sql: "SELECT setval('tickets', (SELECT max(id) FROM orders));", wantPhase: expand},
	{name: "plain select", sql: "SELECT 1;", wantPhase: expand},
	{name: "select that deletes", sql: "WITH gone AS (DELETE FROM orders RETURNING id) SELECT count(*) FROM gone;", wantPhase: contract, wantBreaks: "r", wantCosts: "orders RE"},
	{name: "insert that deletes", sql: "WITH gone AS (DELETE FROM orders RETURNING *) INSERT INTO billing.invoices SELECT id FROM gone;", wantPhase: mixedP, wantBreaks: "r",
		wantFindings: "error:mixed-phases", wantCosts: "billing.invoices RE, orders RE"},
	{name: "merge", sql: "MERGE INTO orders o USING customers c ON o.customer = c.id WHEN MATCHED THEN UPDATE SET total = 1;", wantPhase: backfill, wantCosts: "orders RE"},
	{name: "merge that deletes", sql: "MERGE INTO orders o USING customers c ON o.customer = c.id WHEN MATCHED THEN DELETE;", wantPhase: contract, wantBreaks: "r", wantCosts: "orders RE"},
	{name: "select into", sql: "SELECT * INTO copy FROM orders;", wantPhase: expand},
	{name: "table from a query", sql: "CREATE TABLE copy AS SELECT * FROM orders; DROP TABLE copy;", wantPhase: expand},
	{name: "search path", sql: "SET LOCAL search_path TO billing; ALTER TABLE invoices DROP COLUMN id;", wantPhase: contract, wantBreaks: "rw", wantCosts: "billing.invoices AE"},
	{name: "search path for ever", sql: "SET search_path TO billing;", wantPhase: expand, wantFindings: "error:set-not-local"},
	{name: "role for ever", sql: "SET ROLE other;", wantPhase: expand, wantFindings: "error:set-not-local"},
	{name: "triggers off", sql: "SET LOCAL session_replication_role = replica;", wantPhase: unknownP, wantFindings: "error:unknown-statement"},
	{name: "rename a constraint", sql: "ALTER TABLE orders RENAME CONSTRAINT orders_customer_fkey TO who; ALTER TABLE orders DROP CONSTRAINT who;", wantPhase: expand,
		wantFindings: "warning:new-writes-break-old-readers", wantCosts: "orders AE, orders AE, customers AE", wantTwoStep: true},
	{name: "schema, extension, sequence, types", sql: "CREATE SCHEMA s; CREATE EXTENSION IF NOT EXISTS citext; CREATE SEQUENCE q; CREATE TYPE p AS (x int); CREATE DOMAIN d AS int; ALTER SEQUENCE q OWNED BY orders.id;", wantPhase: expand},
	{name: "sequence starts again", sql: "ALTER SEQUENCE tickets RESTART;", wantPhase: unknownP, wantFindings: "error:unknown-statement"},
	{name: "quoted name of another schema", sql: `CREATE TABLE "billing.invoices" (x int); DROP TABLE billing.invoices;`, wantPhase: mixedP, wantBreaks: "r",
		wantFindings: "error:mixed-phases", wantCosts: "billing.invoices AE"},
	{name: "temporary table", sql: "CREATE TEMP TABLE orders (x int); INSERT INTO orders VALUES (1); DROP TABLE orders;", wantPhase: expand},
	{name: "temporary table in front of a live one", sql: "CREATE TEMP TABLE orders (x int); DROP TABLE public.orders;", wantPhase: mixedP, wantBreaks: "r",
		wantFindings: "error:mixed-phases", wantCosts: "orders AE, customers AE"},
	{name: "public or not is the same", sql: "CREATE TABLE public.a (x int); DROP TABLE a;", wantPhase: expand},
}

func TestTraps(t *testing.T) {
	for _, h := range traps {
		t.Run(h.name, func(t *testing.T) { h.check(t, classify(t, shop, h.sql)) })
	}
}

// TestRebuiltIndex: the pattern for an index in a file without a transaction, as two texts.
func TestRebuiltIndex(t *testing.T) {
	files := load(t, shop, noTx+"SELECT 1;")
	second := files[1].Up[0]
	drop, create := second, second
	drop.SQL, create.SQL = "DROP INDEX CONCURRENTLY IF EXISTS i;", "CREATE INDEX CONCURRENTLY i ON orders (total);"
	create.Line++
	files[1].Up = append(files[1].Up[:0], drop, create)
	all, err := Classify(files)
	if err != nil {
		t.Fatal(err)
	}
	if got := codes(all[1].Findings); all[1].Phase != expand || got != "" {
		t.Errorf("phase %s, findings %q; want expand and none", all[1].Phase, got)
	}
}
