package compat

import (
	"strings"
	"testing"

	"github.com/interlock-dev/interlock/migrations/schema"
)

func TestDirectives(t *testing.T) {
	const (
		add    = "ALTER TABLE orders ADD COLUMN x int;\n"
		drop   = "ALTER TABLE orders DROP COLUMN total;\n"
		update = "UPDATE orders SET total = 1 WHERE id < 5;\n"
		block  = "DO $$ BEGIN NULL; END $$;\n"
	)
	assume := func(phase string) string { return "-- +interlock assume " + phase + " reason=\"tried it\"\n" }
	tests := []struct {
		name, sql       string
		wantPhase       schema.Phase
		wantErr         string
		wantAssumption  string
		wantInfo        string
		wantTouchesStar bool
	}{
		{name: "stricter", sql: "-- +interlock phase contract\n" + add, wantPhase: contract},
		{name: "stricter: backfill", sql: "-- +interlock phase backfill\n" + add, wantPhase: backfill},
		{name: "stricter: of nothing", sql: "-- +interlock phase contract\nSELECT 1;", wantPhase: contract},
		{name: "stricter: of a default", sql: "-- +interlock phase backfill\nALTER TABLE orders ALTER total SET DEFAULT 1;" + update, wantPhase: backfill},
		{name: "never laxer", sql: "-- +interlock phase backfill\n" + drop, wantPhase: contract},
		{name: "one phase for a mixed file", sql: "-- +interlock phase contract\n" + add + update + drop, wantPhase: contract},
		{name: "too low for a mixed file", sql: "-- +interlock phase backfill\n" + add + drop, wantPhase: mixedP, wantErr: "mixed-phases"},
		{name: "does not make known", sql: "-- +interlock phase contract\n" + block, wantPhase: unknownP, wantErr: "unknown-statement", wantTouchesStar: true},

		{name: "assumed", sql: assume("expand") + drop, wantPhase: expand, wantAssumption: "2_t.sql: assumed expand, classified contract: tried it"},
		{name: "assumed: unknown", sql: assume("backfill") + block, wantPhase: backfill, wantAssumption: "assumed backfill, classified unknown", wantTouchesStar: true},
		{name: "assumed: unknown contract", sql: assume("contract") + block, wantPhase: contract, wantAssumption: "assumed contract", wantTouchesStar: true},
		{name: "assumed: mixed", sql: assume("expand") + add + drop, wantPhase: expand, wantAssumption: "classified mixed"},
		{name: "assumed: a small table", sql: assume("expand") + "ALTER TABLE orders ADD COLUMN x serial;", wantPhase: expand, wantAssumption: "classified expand: tried it"},
		{name: "assumed: a rename", sql: assume("contract") + "ALTER TABLE orders RENAME TO old_orders;", wantPhase: contract, wantAssumption: "classified contract"},
		{name: "assumed for nothing", sql: assume("expand") + add, wantPhase: expand, wantInfo: "assume-unneeded"},
		{name: "assuming is not parsing", sql: assume("expand") + "ALTER TABLE;", wantPhase: expand, wantErr: "does-not-parse", wantAssumption: "classified unknown", wantTouchesStar: true},
		{name: "assuming is not committing", sql: assume("expand") + "COMMIT;", wantPhase: expand, wantErr: "transaction-control", wantInfo: "assume-unneeded"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := classify(t, shop, tt.sql)
			if c.Phase != tt.wantPhase {
				t.Errorf("phase %s, want %s", c.Phase, tt.wantPhase)
			}
			if err := c.Err(); (err == nil) != (tt.wantErr == "") || err != nil && !strings.Contains(err.Error(), ": "+tt.wantErr+": ") {
				t.Errorf("error %v, want %q", err, tt.wantErr)
			}
			if got := strings.Join(c.Assumptions, "|"); !strings.Contains(got, tt.wantAssumption) || (got == "") != (tt.wantAssumption == "") {
				t.Errorf("assumptions %q, want %q", got, tt.wantAssumption)
			}
			if tt.wantInfo != "" && !hasCode(c.Findings, tt.wantInfo) {
				t.Errorf("no finding %q in %v", tt.wantInfo, c.Findings)
			}
			if got := strings.Contains(strings.Join(c.Touches, " "), "*"); got != tt.wantTouchesStar {
				t.Errorf("touches %q", c.Touches)
			}
		})
	}
}

func TestMixedNamesItsLines(t *testing.T) {
	c := classify(t, shop, "ALTER TABLE orders ADD COLUMN x int;\n\nCOMMENT ON TABLE orders IS 'a';\nUPDATE orders SET x = 1 WHERE x IS NULL;\nALTER TABLE orders\n  DROP COLUMN total;")
	want := "2_t.sql:7: mixed-phases: the file mixes phases: line 4 is expand, line 7 is backfill, line 8 is contract; split it into one file per phase"
	if err := c.Err(); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v\nwant %s", err, want)
	}
	many := classify(t, shop, strings.Repeat("UPDATE orders SET total = 1 WHERE id = 1;\n", 30)+"DROP TABLE orders;")
	if err := many.Err(); err == nil || !strings.Contains(err.Error(), "and 19 more") {
		t.Errorf("a long file is not cut: %v", err)
	}
}

func TestClassifySortsAndKeeps(t *testing.T) {
	files := load(t, "CREATE TABLE a (x int);", "ALTER TABLE a DROP COLUMN x;")
	files[0], files[1] = files[1], files[0]
	all, err := Classify(files)
	if err != nil {
		t.Fatal(err)
	}
	if all[0].File.Version != 1 || all[1].Phase != contract || files[0].Version != 2 {
		t.Errorf("not in version order, or the input was changed: %v", all)
	}
	if empty, err := Classify(nil); err != nil || len(empty) != 0 {
		t.Errorf("nothing gave %v, %v", empty, err)
	}
}

func TestTouches(t *testing.T) {
	for sql, want := range map[string]string{
		"ALTER TABLE public.orders DROP COLUMN total;":                        "orders",
		"CREATE TABLE billing.lines (i int REFERENCES billing.invoices);":     "billing.invoices billing.lines",
		"DROP INDEX orders_placed;":                                           "orders orders_placed",
		"DROP SCHEMA billing;":                                                "billing.invoices schema billing",
		`UPDATE "Orders" SET x = 1 WHERE y;`:                                  "Orders",
		"WITH g AS (DELETE FROM orders) INSERT INTO customers SELECT 1;":      "customers orders",
		"ALTER TYPE mood ADD VALUE 'x';":                                      "type mood",
		"CREATE FUNCTION billing.f() RETURNS int LANGUAGE sql AS 'SELECT 1';": "function billing.f",
		"ALTER TABLE customers RENAME TO clients;":                            "clients customers",
		"COMMENT ON COLUMN orders.total IS 'x';":                              "orders",
		"ALTER TABLE orders VALIDATE CONSTRAINT orders_customer_fkey;":        "customers orders",
		"DO $$ BEGIN END $$;":                                                 "*",
	} {
		if got := strings.Join(classify(t, shop, sql).Touches, " "); got != want {
			t.Errorf("%s\ntouches %q, want %q", sql, got, want)
		}
	}
}
