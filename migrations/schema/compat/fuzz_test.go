package compat

import (
	"testing"

	"github.com/interlock-dev/interlock/migrations/schema"
)

// one file of statements, as goose would send them.
func one(version int64, texts ...string) schema.File {
	f := schema.File{Version: version, Name: "f.sql"}
	for i, text := range texts {
		f.Up = append(f.Up, schema.Statement{SQL: text, Line: i + 1})
	}
	return f
}

// FuzzClassify: no text breaks the classifier, every finding says where it is, and a statement more at the end of a
// file never makes the file laxer.
func FuzzClassify(f *testing.F) {
	for _, h := range hazards {
		f.Add(h.sql, "ALTER TABLE orders DROP COLUMN total")
		f.Add("CREATE TABLE orders (total int)", h.sql)
	}
	for _, h := range traps {
		f.Add(h.sql, "UPDATE orders SET total = 1")
	}
	f.Add(addFullName+syncBody+syncTrigger, equal)
	// The parser takes seconds to start, and the fuzzer takes that for a hang of the first text.
	if err := intact(); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		if err := schemaText(first + second); err {
			return
		}
		alone := one(2, first)
		both := one(2, first, second)
		without, err := Classify([]schema.File{one(1, shop), alone})
		if err != nil {
			t.Fatalf("%v\n%q", err, first)
		}
		with, err := Classify([]schema.File{one(1, shop), both})
		if err != nil {
			t.Fatalf("%v\n%q\n%q", err, first, second)
		}
		if strictness[with[1].Phase] < strictness[without[1].Phase] {
			t.Fatalf("%s became %s\n%q\n%q", without[1].Phase, with[1].Phase, first, second)
		}
		if without[1].Err() != nil && with[1].Err() == nil {
			t.Fatalf("an error went away: %v\n%q\n%q", without[1].Err(), first, second)
		}
		for _, finding := range with[1].Findings {
			if finding.Line < 1 || finding.Code == "" || finding.Message == "" || finding.Fix == "" {
				t.Fatalf("an empty finding: %+v", finding)
			}
		}
		if strictness[with[1].Phase] > strictness[schema.PhaseContract] && with[1].Err() == nil {
			t.Fatalf("%s may run\n%q\n%q", with[1].Phase, first, second)
		}
	})
}

// schemaText: loading would refuse the text before it gets here.
func schemaText(text string) bool {
	_, err := schema.Load(map[string]string{"1_a.sql": "-- +goose Up\n-- +goose StatementBegin\n" + text + "\n-- +goose StatementEnd\n"})
	return err != nil
}
