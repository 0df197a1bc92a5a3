package compat

import (
	"testing"

	"github.com/interlock-dev/interlock/migrations/schema"
)

const (
	expand   = schema.PhaseExpand
	backfill = schema.PhaseBackfill
	contract = schema.PhaseContract
	mixedP   = schema.PhaseMixed
	unknownP = schema.PhaseUnknown
	noTx     = "-- +goose NO TRANSACTION\n"
)

// hazard is a case of the list of what hurts in PostgreSQL; the number in its name is that of the list.
type hazard struct {
	name, sql    string
	wantPhase    schema.Phase
	wantBreaks   string
	wantFindings string
	wantCosts    string
	wantTwoStep  bool
	wantInfo     string
}

var hazards = []hazard{
	{name: "1 create index", sql: "CREATE INDEX i ON orders (total);", wantPhase: expand, wantFindings: "warning:create-index-non-concurrent", wantCosts: "orders S, scan"},
	{name: "1 concurrently", sql: noTx + "CREATE INDEX CONCURRENTLY i ON orders (total);", wantPhase: expand, wantFindings: "warning:fails-when-repeated", wantCosts: "orders SUE"},
	{name: "2 drop index", sql: "DROP INDEX orders_placed;", wantPhase: contract, wantBreaks: "r", wantFindings: "warning:drop-index-non-concurrent", wantCosts: "orders AE"},
	{name: "2 concurrently", sql: noTx + "DROP INDEX CONCURRENTLY IF EXISTS orders_placed;", wantPhase: contract, wantBreaks: "r", wantCosts: "orders SUE"},
	{name: "2 unique index", sql: noTx + "DROP INDEX CONCURRENTLY IF EXISTS customers_email;", wantPhase: contract, wantBreaks: "rw", wantCosts: "customers SUE"},
	{name: "3 reindex index", sql: "REINDEX INDEX orders_placed;", wantPhase: expand, wantFindings: "warning:reindex-non-concurrent", wantCosts: "orders S, orders_placed AE, scan"},
	{name: "3 reindex concurrently", sql: noTx + "REINDEX TABLE CONCURRENTLY orders;", wantPhase: expand, wantCosts: "orders SUE"},
	{name: "4 concurrently in a transaction", sql: "CREATE INDEX CONCURRENTLY i ON orders (total);", wantPhase: expand, wantFindings: "error:concurrently-in-transaction", wantCosts: "orders SUE"},
	{name: "4 concurrently beside another", sql: noTx + "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON orders (total); SET lock_timeout = 1;", wantPhase: expand,
		wantFindings: "error:concurrently-in-transaction warning:if-not-exists-keeps-invalid-index warning:set-not-local", wantCosts: "orders SUE"},
	{name: "5 if not exists", sql: noTx + "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON orders (total);", wantPhase: expand, wantFindings: "warning:if-not-exists-keeps-invalid-index", wantCosts: "orders SUE"},
	{name: "6 volatile default", sql: "ALTER TABLE orders ADD COLUMN u uuid DEFAULT gen_random_uuid();", wantPhase: expand, wantFindings: "error:add-column-volatile-default", wantCosts: "orders AE, rewrite"},
	{name: "6 unknown function", sql: "ALTER TABLE orders ADD COLUMN u int DEFAULT mine();", wantPhase: expand, wantFindings: "error:add-column-volatile-default", wantCosts: "orders AE, rewrite"},
	{name: "7 serial", sql: "ALTER TABLE orders ADD COLUMN n bigserial;", wantPhase: expand, wantFindings: "error:add-column-serial", wantCosts: "orders AE, rewrite"},
	{name: "8 identity", sql: "ALTER TABLE orders ADD COLUMN n bigint GENERATED ALWAYS AS IDENTITY;", wantPhase: expand, wantFindings: "error:add-column-identity", wantCosts: "orders AE, rewrite"},
	{name: "9 generated", sql: "ALTER TABLE orders ADD COLUMN n int GENERATED ALWAYS AS (total * 2) STORED;", wantPhase: expand, wantFindings: "error:add-column-generated-stored", wantCosts: "orders AE, rewrite"},
	{name: "10 constant default", sql: "ALTER TABLE orders ADD COLUMN n int NOT NULL DEFAULT 7;", wantPhase: expand, wantCosts: "orders AE", wantInfo: "cached-plan"},
	{name: "10 stable default", sql: "ALTER TABLE orders ADD COLUMN n timestamptz NOT NULL DEFAULT now();", wantPhase: expand, wantCosts: "orders AE"},
	{name: "10 cast default", sql: "ALTER TABLE orders ADD COLUMN n jsonb DEFAULT '{}'::jsonb;", wantPhase: expand, wantCosts: "orders AE"},
	{name: "10 default null", sql: "ALTER TABLE orders ADD COLUMN n int DEFAULT NULL;", wantPhase: expand, wantCosts: "orders AE"},
	{name: "11 not null without default", sql: "ALTER TABLE orders ADD COLUMN n int NOT NULL;", wantPhase: mixedP, wantBreaks: "w", wantFindings: "error:add-column-not-null-no-default error:mixed-phases", wantCosts: "orders AE"},
	{name: "11 default null", sql: "ALTER TABLE orders ADD COLUMN n int DEFAULT NULL NOT NULL;", wantPhase: mixedP, wantBreaks: "w", wantFindings: "error:add-column-not-null-no-default error:mixed-phases", wantCosts: "orders AE"},
	{name: "12 json", sql: "ALTER TABLE orders ADD COLUMN n json;", wantPhase: expand, wantCosts: "orders AE", wantInfo: "json"},
	{name: "13 inline references", sql: "ALTER TABLE orders ADD COLUMN n bigint REFERENCES customers;", wantPhase: expand, wantFindings: "error:add-column-inline-constraint", wantCosts: "orders AE, customers SRE"},
	{name: "13 inline unique", sql: "ALTER TABLE orders ADD COLUMN n bigint UNIQUE;", wantPhase: expand, wantFindings: "error:add-column-inline-constraint", wantCosts: "orders AE, scan"},
	{name: "13 inline check", sql: "ALTER TABLE orders ADD COLUMN n bigint CHECK (n > 0);", wantPhase: expand, wantFindings: "error:add-column-inline-constraint", wantCosts: "orders AE, scan"},
	{name: "13 inline check that refuses NULL", sql: "ALTER TABLE orders ADD COLUMN n bigint CHECK (n IS NOT NULL);", wantPhase: mixedP, wantBreaks: "w", wantFindings: "error:add-column-inline-constraint error:mixed-phases", wantCosts: "orders AE, scan"},
	{name: "13 inline primary key", sql: "ALTER TABLE events_old ADD COLUMN n bigint PRIMARY KEY;", wantPhase: mixedP, wantBreaks: "w",
		wantFindings: "error:add-column-not-null-no-default error:add-column-inline-constraint error:mixed-phases", wantCosts: "events_old AE, scan"},
	{name: "14 set not null", sql: "ALTER TABLE orders ALTER placed SET NOT NULL;", wantPhase: contract, wantBreaks: "w", wantFindings: "warning:set-not-null-scan", wantCosts: "orders AE, scan"},
	{name: "14 with a validated check", sql: "ALTER TABLE customers ALTER note SET NOT NULL;", wantPhase: contract, wantBreaks: "w", wantCosts: "customers AE"},
	{name: "14 already", sql: "ALTER TABLE customers ALTER name SET NOT NULL;", wantPhase: expand, wantCosts: "customers AE"},
	{name: "15 drop not null", sql: "ALTER TABLE customers ALTER name DROP NOT NULL;", wantPhase: expand, wantFindings: "warning:new-writes-break-old-readers", wantCosts: "customers AE", wantTwoStep: true},
	{name: "16 type with a rewrite", sql: "ALTER TABLE customers ALTER note TYPE jsonb USING note::jsonb;", wantPhase: contract, wantBreaks: "rw", wantFindings: "error:alter-column-type", wantCosts: "customers AE, rewrite"},
	{name: "16 int to bigint", sql: "ALTER TABLE customers ALTER age TYPE bigint;", wantPhase: expand, wantFindings: "error:alter-column-type-rewrite", wantCosts: "customers AE, rewrite", wantTwoStep: true},
	{name: "16 a column from before the series", sql: "ALTER TABLE elsewhere ALTER x TYPE text;", wantPhase: contract, wantBreaks: "rw", wantFindings: "error:alter-column-type", wantCosts: "elsewhere AE, rewrite"},
	{name: "17 narrowing", sql: "ALTER TABLE customers ALTER name TYPE varchar(20);", wantPhase: contract, wantBreaks: "rw", wantFindings: "error:alter-column-type", wantCosts: "customers AE, rewrite"},
	{name: "17 fewer digits", sql: "ALTER TABLE customers ALTER price TYPE numeric(6,2);", wantPhase: contract, wantBreaks: "rw", wantFindings: "error:alter-column-type", wantCosts: "customers AE, rewrite"},
	{name: "17 another scale", sql: "ALTER TABLE customers ALTER price TYPE numeric(10,4);", wantPhase: contract, wantBreaks: "rw", wantFindings: "error:alter-column-type", wantCosts: "customers AE, rewrite"},
	{name: "18 varchar wider", sql: "ALTER TABLE customers ALTER name TYPE varchar(100);", wantPhase: expand, wantFindings: "warning:cached-plan", wantCosts: "customers AE"},
	{name: "18 varchar to text", sql: "ALTER TABLE customers ALTER name TYPE text;", wantPhase: expand, wantFindings: "warning:cached-plan", wantCosts: "customers AE"},
	{name: "18 text to varchar without a length", sql: "ALTER TABLE customers ALTER note TYPE varchar;", wantPhase: expand, wantFindings: "warning:cached-plan", wantCosts: "customers AE"},
	{name: "18 more digits", sql: "ALTER TABLE customers ALTER price TYPE numeric(12,2);", wantPhase: expand, wantFindings: "warning:cached-plan", wantCosts: "customers AE"},
	{name: "18 with a USING that changes values", sql: "ALTER TABLE customers ALTER name TYPE text USING upper(name);", wantPhase: contract, wantBreaks: "rw", wantFindings: "error:alter-column-type", wantCosts: "customers AE, rewrite"},
	{name: "19 foreign key", sql: "ALTER TABLE orders ADD FOREIGN KEY (total) REFERENCES customers;", wantPhase: contract, wantBreaks: "w", wantFindings: "warning:add-foreign-key-scan", wantCosts: "orders SRE, customers SRE, scan"},
	{name: "20 foreign key not valid", sql: "ALTER TABLE orders ADD FOREIGN KEY (total) REFERENCES customers NOT VALID;", wantPhase: contract, wantBreaks: "w", wantCosts: "orders SRE, customers SRE"},
	{name: "21 validate with the add", sql: "ALTER TABLE orders ADD CONSTRAINT c CHECK (total >= 0) NOT VALID; ALTER TABLE orders VALIDATE CONSTRAINT c;", wantPhase: mixedP, wantBreaks: "w",
		wantFindings: "warning:validate-in-same-transaction error:mixed-phases", wantCosts: "orders AE, orders SUE"},
	{name: "21 validate alone", sql: "ALTER TABLE orders VALIDATE CONSTRAINT orders_customer_fkey;", wantPhase: backfill, wantCosts: "orders SUE, customers RS"},
	{name: "22 check", sql: "ALTER TABLE orders ADD CHECK (total >= 0);", wantPhase: contract, wantBreaks: "w", wantFindings: "warning:add-check-scan", wantCosts: "orders AE, scan"},
	{name: "23 check not valid", sql: "ALTER TABLE orders ADD CHECK (total >= 0) NOT VALID;", wantPhase: contract, wantBreaks: "w", wantCosts: "orders AE"},
	{name: "24 unique", sql: "ALTER TABLE orders ADD UNIQUE (placed);", wantPhase: contract, wantBreaks: "w", wantFindings: "warning:add-unique-builds-index", wantCosts: "orders AE, scan"},
	{name: "24 unique using a known index", sql: "ALTER TABLE customers ADD UNIQUE USING INDEX customers_email;", wantPhase: expand, wantCosts: "customers AE"},
	{name: "24 unique using an index that is not unique", sql: "ALTER TABLE orders ADD UNIQUE USING INDEX orders_placed;", wantPhase: contract, wantBreaks: "w", wantCosts: "orders AE"},
	{name: "24 unique index", sql: noTx + "CREATE UNIQUE INDEX CONCURRENTLY i ON orders (placed);", wantPhase: contract, wantBreaks: "w", wantFindings: "warning:fails-when-repeated", wantCosts: "orders SUE"},
	{name: "25 primary key", sql: "ALTER TABLE events_old ADD PRIMARY KEY (kind);", wantPhase: contract, wantBreaks: "w", wantFindings: "warning:add-unique-builds-index", wantCosts: "events_old AE, scan"},
	{name: "25 primary key using a nullable index", sql: "ALTER TABLE customers ADD PRIMARY KEY USING INDEX customers_email;", wantPhase: contract, wantBreaks: "w", wantCosts: "customers AE, scan"},
	{name: "26 exclusion", sql: "ALTER TABLE orders ADD EXCLUDE USING gist (placed WITH =);", wantPhase: contract, wantBreaks: "w", wantFindings: "warning:add-exclusion-constraint", wantCosts: "orders AE, scan"},
	{name: "27 domain constraint", sql: "ALTER DOMAIN zip ADD CHECK (VALUE <> '');", wantPhase: contract, wantBreaks: "w", wantFindings: "warning:domain-constraint", wantCosts: "scan"},
	{name: "27 domain not null", sql: "ALTER DOMAIN zip SET NOT NULL;", wantPhase: contract, wantBreaks: "w", wantFindings: "warning:domain-constraint", wantCosts: "scan"},
	{name: "27 column of a domain", sql: "ALTER TABLE orders ADD COLUMN z zip;", wantPhase: expand, wantFindings: "error:add-column-domain", wantCosts: "orders AE, rewrite"},
	{name: "28 drop column", sql: "ALTER TABLE orders DROP COLUMN total;", wantPhase: contract, wantBreaks: "rw", wantCosts: "orders AE"},
	{name: "29 drop table", sql: "DROP TABLE orders;", wantPhase: contract, wantBreaks: "r", wantCosts: "orders AE, customers AE"},
	{name: "29 drop table cascade", sql: "DROP TABLE IF EXISTS elsewhere CASCADE;", wantPhase: contract, wantBreaks: "r", wantFindings: "warning:cascade", wantCosts: "elsewhere AE"},
	{name: "30 drop check", sql: "ALTER TABLE customers DROP CONSTRAINT age_ok;", wantPhase: expand, wantFindings: "warning:new-writes-break-old-readers", wantCosts: "customers AE", wantTwoStep: true},
	{name: "30 drop unknown constraint", sql: "ALTER TABLE customers DROP CONSTRAINT other;", wantPhase: contract, wantBreaks: "w", wantCosts: "customers AE"},
	{name: "31 drop primary key", sql: "ALTER TABLE customers DROP CONSTRAINT customers_pkey;", wantPhase: contract, wantBreaks: "w", wantCosts: "customers AE"},
	{name: "31 replica identity nothing", sql: "ALTER TABLE customers REPLICA IDENTITY NOTHING;", wantPhase: contract, wantBreaks: "w", wantFindings: "warning:replica-identity", wantCosts: "customers AE"},
	{name: "32 drop schema", sql: "DROP SCHEMA billing;", wantPhase: contract, wantBreaks: "r", wantCosts: "billing.invoices AE"},
	{name: "32 drop trigger", sql: "DROP TRIGGER orders_stamp ON orders;", wantPhase: contract, wantBreaks: "w", wantCosts: "orders AE"},
	{name: "32 drop default", sql: "ALTER TABLE orders ALTER total DROP DEFAULT;", wantPhase: contract, wantBreaks: "w", wantCosts: "orders AE"},
	{name: "32 drop type", sql: "DROP TYPE mood;", wantPhase: contract, wantBreaks: "r"},
	{name: "32 drop function", sql: "DROP FUNCTION stamp();", wantPhase: contract, wantBreaks: "r"},
	{name: "32 drop view", sql: "DROP VIEW adults;", wantPhase: contract, wantBreaks: "r", wantCosts: "adults AE"},
	{name: "32 drop sequence", sql: "DROP SEQUENCE tickets;", wantPhase: contract, wantBreaks: "r", wantCosts: "tickets AE"},
	{name: "32 drop database", sql: noTx + "DROP DATABASE shop;", wantPhase: unknownP, wantFindings: "error:unknown-statement"},
	{name: "33 rename column", sql: "ALTER TABLE customers RENAME name TO full_name;", wantPhase: contract, wantBreaks: "rw", wantFindings: "error:rename-column", wantCosts: "customers AE"},
	{name: "34 rename table", sql: "ALTER TABLE customers RENAME TO clients;", wantPhase: contract, wantBreaks: "rw", wantFindings: "error:rename-table", wantCosts: "customers AE"},
	{name: "34 rename index", sql: "ALTER INDEX orders_placed RENAME TO orders_when;", wantPhase: expand, wantCosts: "orders SUE"},
	{name: "35 rename schema", sql: "ALTER SCHEMA billing RENAME TO money;", wantPhase: contract, wantBreaks: "rw", wantFindings: "error:rename-schema"},
	{name: "35 set schema", sql: "ALTER TABLE orders SET SCHEMA billing;", wantPhase: contract, wantBreaks: "rw", wantFindings: "error:set-schema", wantCosts: "orders AE"},
	{name: "36 rename enum value", sql: "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue';", wantPhase: contract, wantBreaks: "rw", wantFindings: "error:rename-enum-value"},
	{name: "37 add enum value", sql: "ALTER TYPE mood ADD VALUE 'ok';", wantPhase: expand, wantFindings: "warning:new-writes-break-old-readers", wantTwoStep: true},
	{name: "37 use it before commit", sql: "ALTER TYPE mood ADD VALUE 'ok'; CREATE TABLE moods (m mood DEFAULT 'ok');", wantPhase: expand,
		wantFindings: "warning:new-writes-break-old-readers error:enum-value-used-in-transaction", wantTwoStep: true},
	{name: "38 remove an enum value by hand", sql: "DELETE FROM pg_enum WHERE enumlabel = 'sad';", wantPhase: contract, wantBreaks: "r", wantCosts: "pg_enum RE"},
	{name: "39 truncate", sql: "TRUNCATE orders CASCADE;", wantPhase: contract, wantBreaks: "r", wantFindings: "warning:cascade", wantCosts: "orders AE, rewrite"},
	{name: "40 vacuum full", sql: noTx + "VACUUM FULL orders;", wantPhase: expand, wantFindings: "error:rewrite", wantCosts: "orders AE, rewrite"},
	{name: "40 cluster", sql: "CLUSTER orders USING orders_placed;", wantPhase: expand, wantFindings: "error:rewrite", wantCosts: "orders AE, rewrite"},
	{name: "40 set unlogged", sql: "ALTER TABLE orders SET UNLOGGED;", wantPhase: expand, wantFindings: "error:rewrite", wantCosts: "orders AE, rewrite"},
	{name: "40 tablespace", sql: "ALTER TABLE orders SET TABLESPACE fast;", wantPhase: expand, wantFindings: "error:rewrite", wantCosts: "orders AE, rewrite"},
	{name: "40 plain vacuum in a transaction", sql: "VACUUM orders;", wantPhase: expand, wantFindings: "error:concurrently-in-transaction", wantCosts: "orders SUE"},
	{name: "41 refresh", sql: "REFRESH MATERIALIZED VIEW totals;", wantPhase: backfill, wantFindings: "warning:refresh-non-concurrent", wantCosts: "totals AE"},
	{name: "41 refresh concurrently", sql: "REFRESH MATERIALIZED VIEW CONCURRENTLY totals;", wantPhase: backfill, wantCosts: "totals X"},
	{name: "42 detach", sql: "ALTER TABLE events DETACH PARTITION events_rest;", wantPhase: contract, wantBreaks: "rw", wantFindings: "warning:detach-partition-non-concurrent", wantCosts: "events AE, events_rest AE"},
	{name: "42 detach concurrently", sql: noTx + "ALTER TABLE events DETACH PARTITION events_rest CONCURRENTLY;", wantPhase: contract, wantBreaks: "rw", wantCosts: "events SUE"},
	{name: "43 attach", sql: "ALTER TABLE events ATTACH PARTITION events_old FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');", wantPhase: expand,
		wantFindings: "warning:attach-partition-scan", wantCosts: "events SUE, events_old AE, events_rest AE, scan"},
	{name: "44 trigger of an unknown function", sql: "CREATE TRIGGER t BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION elsewhere();", wantPhase: unknownP, wantFindings: "error:unknown-statement", wantCosts: "orders SRE"},
	{name: "44 trigger that only assigns", sql: "CREATE TRIGGER t BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION stamp();", wantPhase: expand, wantCosts: "orders SRE"},
	{name: "45 disable trigger", sql: "ALTER TABLE orders DISABLE TRIGGER orders_stamp;", wantPhase: contract, wantBreaks: "w", wantCosts: "orders SRE"},
	{name: "45 enable always", sql: "ALTER TABLE orders ENABLE ALWAYS TRIGGER orders_stamp;", wantPhase: expand, wantCosts: "orders SRE"},
	{name: "46 the runner sets the lock timeout; a file may too", sql: "SET LOCAL lock_timeout = '1s';", wantPhase: expand},
	{name: "47 and the statement timeout", sql: "SET statement_timeout = 0;", wantPhase: expand, wantFindings: "warning:set-not-local"},
	{name: "48 several tables in one transaction", sql: "ALTER TABLE orders ADD COLUMN a int; ALTER TABLE customers ADD COLUMN a int;", wantPhase: expand, wantCosts: "orders AE, customers AE", wantInfo: "several-tables-locked"},
	{name: "49 shape and data in one transaction", sql: "ALTER TABLE orders ADD COLUMN a int; UPDATE orders SET a = 1 WHERE a IS NULL;", wantPhase: mixedP, wantFindings: "error:mixed-phases", wantCosts: "orders AE, orders RE"},
	{name: "50 update", sql: "UPDATE orders SET total = 1 WHERE id < 100;", wantPhase: backfill, wantCosts: "orders RE"},
	{name: "50 update of everything", sql: "UPDATE orders SET total = 1;", wantPhase: backfill, wantFindings: "warning:update-without-where", wantCosts: "orders RE"},
	{name: "50 delete", sql: "DELETE FROM orders WHERE id < 100;", wantPhase: contract, wantBreaks: "r", wantCosts: "orders RE"},
	{name: "50 insert", sql: "INSERT INTO orders VALUES (1);", wantPhase: backfill, wantCosts: "orders RE"},
	{name: "51 one table twice", sql: "ALTER TABLE orders ADD COLUMN a int; ALTER TABLE orders ADD COLUMN b int;", wantPhase: expand, wantCosts: "orders AE, orders AE", wantInfo: "table-locked-again"},
	{name: "52 begin", sql: "BEGIN;", wantPhase: expand, wantFindings: "error:transaction-control"},
	{name: "52 commit", sql: "CREATE TABLE a (); COMMIT;", wantPhase: expand, wantFindings: "error:transaction-control"},
	{name: "52 savepoint", sql: "SAVEPOINT s;", wantPhase: expand, wantFindings: "error:transaction-control"},
	{name: "52 set transaction", sql: "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;", wantPhase: expand, wantFindings: "error:transaction-control"},
	{name: "53 insert that runs twice", sql: noTx + "INSERT INTO orders VALUES (1);", wantPhase: backfill, wantFindings: "error:repeats-without-transaction", wantCosts: "orders RE"},
	{name: "53 update that runs twice", sql: noTx + "UPDATE orders SET total = total + 1 WHERE id < 5;", wantPhase: backfill, wantFindings: "error:repeats-without-transaction", wantCosts: "orders RE"},
	{name: "53 insert that does not", sql: noTx + "INSERT INTO orders VALUES (1) ON CONFLICT DO NOTHING;", wantPhase: backfill, wantCosts: "orders RE"},
	{name: "53 column", sql: noTx + "ALTER TABLE orders ADD COLUMN a int;", wantPhase: expand, wantFindings: "warning:fails-when-repeated", wantCosts: "orders AE"},
	{name: "54 do", sql: "DO $$ BEGIN NULL; END $$;", wantPhase: unknownP, wantFindings: "error:unknown-statement"},
	{name: "54 call", sql: "CALL p();", wantPhase: unknownP, wantFindings: "error:unknown-statement"},
	{name: "54 select of a function", sql: "SELECT stamp();", wantPhase: unknownP, wantFindings: "error:unknown-statement"},
	{name: "54 insert through a function of the series", sql: "INSERT INTO orders SELECT stamp();", wantPhase: unknownP, wantFindings: "error:unknown-statement", wantCosts: "orders RE"},
	{name: "54 copy", sql: "COPY orders FROM '/tmp/x';", wantPhase: unknownP, wantFindings: "error:unknown-statement"},
	{name: "55 replace a view", sql: "CREATE OR REPLACE VIEW adults AS SELECT * FROM customers WHERE age > 20;", wantPhase: contract, wantBreaks: "r", wantCosts: "adults AE", wantInfo: "replace-view"},
	{name: "55 replace a function", sql: "CREATE OR REPLACE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;", wantPhase: contract, wantBreaks: "rw", wantInfo: "replace-function"},
	{name: "56 what waits in the queue is the runner's", sql: "ALTER TABLE orders ADD COLUMN a int;", wantPhase: expand, wantCosts: "orders AE"},
	{name: "57 foreign key without an index", sql: "CREATE TABLE lines (o int REFERENCES orders);", wantPhase: expand, wantCosts: "orders SRE"},
	{name: "58 matters of taste are left to linters", sql: "CREATE TABLE \"Lines\" (id int PRIMARY KEY, c char(3), at timestamp);", wantPhase: expand},
	{name: "59 update an extension", sql: "ALTER EXTENSION citext UPDATE;", wantPhase: unknownP, wantFindings: "error:unknown-statement"},
	{name: "59 grant", sql: "GRANT SELECT ON orders TO app;", wantPhase: expand},
	{name: "59 revoke", sql: "REVOKE SELECT ON orders FROM app;", wantPhase: contract, wantBreaks: "r"},
	{name: "59 row security", sql: "ALTER TABLE orders ENABLE ROW LEVEL SECURITY;", wantPhase: contract, wantBreaks: "rw", wantCosts: "orders AE"},
	{name: "59 policy", sql: "CREATE POLICY p ON orders USING (true);", wantPhase: contract, wantBreaks: "rw", wantCosts: "orders AE"},
	{name: "59 owner", sql: "ALTER TABLE orders OWNER TO other;", wantPhase: contract, wantBreaks: "r", wantCosts: "orders AE"},
	{name: "60 set default", sql: "ALTER TABLE orders ALTER total SET DEFAULT 5;", wantPhase: expand, wantCosts: "orders AE", wantInfo: "default-visible"},
	{name: "60 collation", sql: `ALTER TABLE customers ALTER name TYPE varchar(50) COLLATE "C";`, wantPhase: contract, wantBreaks: "rw", wantFindings: "error:alter-column-type", wantCosts: "customers AE, rewrite"},
	{name: "60 storage", sql: "ALTER TABLE customers ALTER note SET STORAGE EXTERNAL;", wantPhase: expand, wantCosts: "customers AE"},
	{name: "60 replica identity", sql: "ALTER TABLE customers REPLICA IDENTITY FULL;", wantPhase: expand, wantFindings: "warning:replica-identity", wantCosts: "customers AE"},
	{name: "61 cached plan", sql: "ALTER TABLE orders ADD COLUMN a int;", wantPhase: expand, wantCosts: "orders AE", wantInfo: "cached-plan"},
}

func TestHazards(t *testing.T) {
	for _, h := range hazards {
		t.Run(h.name, func(t *testing.T) { h.check(t, classify(t, shop, h.sql)) })
	}
}

func (h hazard) check(t *testing.T, c Classified) {
	t.Helper()
	if c.Phase != h.wantPhase {
		t.Errorf("phase %s, want %s", c.Phase, h.wantPhase)
	}
	if got := breaks(c); got != h.wantBreaks {
		t.Errorf("breaks %q, want %q", got, h.wantBreaks)
	}
	if got := codes(c.Findings); got != h.wantFindings {
		t.Errorf("findings %q, want %q", got, h.wantFindings)
	}
	if got := costs(c); got != h.wantCosts {
		t.Errorf("costs %q, want %q", got, h.wantCosts)
	}
	if c.TwoStep != h.wantTwoStep {
		t.Errorf("two-step %v, want %v", c.TwoStep, h.wantTwoStep)
	}
	if h.wantInfo != "" && !hasCode(c.Findings, h.wantInfo) {
		t.Errorf("no finding %q in %v", h.wantInfo, c.Findings)
	}
}
