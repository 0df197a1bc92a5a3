package compat

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/interlock-dev/interlock/migrations/schema"
)

// shop is what the series has made before the statement under test.
const shop = `
CREATE TABLE customers (id bigint PRIMARY KEY, name varchar(50) NOT NULL, note text, age int, price numeric(8,2), email text);
CREATE TABLE orders (id serial PRIMARY KEY, customer bigint REFERENCES customers, total int NOT NULL DEFAULT 0, placed timestamptz);
CREATE INDEX orders_placed ON orders (placed);
CREATE UNIQUE INDEX customers_email ON customers (email);
ALTER TABLE customers ADD CONSTRAINT age_ok CHECK (age > 0);
ALTER TABLE customers ADD CONSTRAINT note_set CHECK (note IS NOT NULL);
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE DOMAIN zip AS text CHECK (length(VALUE) = 5);
CREATE VIEW adults AS SELECT * FROM customers WHERE age > 17;
CREATE MATERIALIZED VIEW totals AS SELECT customer FROM orders;
CREATE TABLE events (at timestamptz, kind text) PARTITION BY RANGE (at);
CREATE TABLE events_rest PARTITION OF events DEFAULT;
CREATE TABLE events_old (at timestamptz, kind text);
CREATE SCHEMA billing;
CREATE TABLE billing.invoices (id int PRIMARY KEY);
CREATE SEQUENCE tickets;
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.placed := now(); RETURN NEW; END $$;
CREATE TRIGGER orders_stamp BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION stamp();
`

// load makes files out of texts; every text is one block of goose. The first text is version 1.
func load(t *testing.T, texts ...string) []schema.File {
	t.Helper()
	files := map[string]string{}
	for i, text := range texts {
		var head, body []string
		for _, line := range strings.Split(text, "\n") {
			if strings.HasPrefix(line, "-- +") {
				head = append(head, line)
			} else {
				body = append(body, line)
			}
		}
		files[fmt.Sprintf("%d_t.sql", i+1)] = fmt.Sprintf("%s\n-- +goose Up\n-- +goose StatementBegin\n%s\n-- +goose StatementEnd\n",
			strings.Join(head, "\n"), strings.TrimSpace(strings.Join(body, "\n")))
	}
	list, err := schema.Load(files)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// classify gives the last of the texts.
func classify(t *testing.T, texts ...string) Classified {
	t.Helper()
	all, err := Classify(load(t, texts...))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all[:len(all)-1] {
		for _, f := range c.Findings {
			if f.Code == "does-not-parse" || f.Code == "unknown-statement" {
				t.Fatalf("the set-up is wrong: %s", f)
			}
		}
	}
	return all[len(all)-1]
}

// codes are the findings as "error:code", without information, which tests ask for by name.
func codes(findings []Finding) string {
	var list []string
	for _, f := range findings {
		if f.Severity != SeverityInfo {
			list = append(list, string(f.Severity)+":"+f.Code)
		}
	}
	return strings.Join(list, " ")
}

func hasCode(findings []Finding, code string) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool { return f.Code == code })
}

var short = strings.NewReplacer(accessExclusive, "AE", shareRowExclusive, "SRE", shareUpdateExclusive, "SUE", rowExclusive, "RE", exclusive, "X", share, "S")

// costs are the locks, "rewrite" and "scan" of all statements.
func costs(c Classified) string {
	var list []string
	for _, v := range c.Statements {
		for _, l := range v.Locks {
			mode := short.Replace(l.Mode)
			if l.Mode == "ROW SHARE" {
				mode = "RS"
			}
			list = append(list, l.Relation+" "+mode)
		}
		if v.Rewrite {
			list = append(list, "rewrite")
		}
		if v.Scan {
			list = append(list, "scan")
		}
	}
	return strings.Join(list, ", ")
}

// breaks is "r", "w", "rw" or "".
func breaks(c Classified) string {
	var r, w string
	for _, v := range c.Statements {
		if len(v.BreaksReaders) > 0 {
			r = "r"
		}
		if len(v.BreaksWriters) > 0 {
			w = "w"
		}
	}
	return r + w
}
