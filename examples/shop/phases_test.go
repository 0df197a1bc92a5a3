package shop_test

import (
	"testing"

	"github.com/interlock-dev/interlock/examples/shop"
	"github.com/interlock-dev/interlock/migrations/schema"
	"github.com/interlock-dev/interlock/migrations/schema/compat"
)

// Every file of the change belongs to one phase, without a directive that says so.
func TestFilesBelongToOnePhase(t *testing.T) {
	files, err := schema.LoadFS(shop.History, "history/2/db")
	if err != nil {
		t.Fatal(err)
	}
	classified, err := compat.Classify(files)
	if err != nil {
		t.Fatal(err)
	}
	want := []schema.Phase{schema.PhaseExpand, schema.PhaseExpand, schema.PhaseExpand, schema.PhaseBackfill, schema.PhaseContract}
	if len(classified) != len(want) {
		t.Fatalf("%d files, want %d", len(classified), len(want))
	}
	for i, c := range classified {
		if c.Phase != want[i] || c.Err() != nil {
			t.Errorf("%s is %s (%v), want %s", c.File.Name, c.Phase, c.Err(), want[i])
		}
		for _, v := range c.Statements {
			t.Logf("%s:%d %s readers %v writers %v", c.File.Name, v.Statement.Line, v.Phase, v.BreaksReaders, v.BreaksWriters)
		}
		for _, f := range c.Findings {
			t.Logf("%s:%d %s %s: %s; %s", f.File, f.Line, f.Severity, f.Code, f.Message, f.Fix)
		}
	}
}
