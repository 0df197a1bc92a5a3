package appbundle

import (
	"strings"
	"testing"

	"github.com/interlock-dev/interlock/migrations/schema"
	"github.com/interlock-dev/interlock/migrations/schema/compat"
	"github.com/interlock-dev/interlock/reconcilers/internal/stamps"
)

func TestTwoStep(t *testing.T) {
	const initial = "-- +goose Up\nCREATE TABLE orders (id bigint PRIMARY KEY, note text NOT NULL);\n"
	const relax = "-- +goose Up\nALTER TABLE orders ALTER COLUMN note DROP NOT NULL;\n"
	const assumed = "-- +interlock assume expand reason=\"version 1 reads NULL as empty\"\n" + relax
	web := stamps.Key{Kind: "Deployment", Name: "web"}
	tests := map[string]struct {
		second string
		ready  int64
		stamp  stamps.Stamp
		runs   bool
		want   bool
	}{
		"with new code beside old":       {relax, 1, stamps.Stamp{Key: web, Series: "shop", Version: 2}, true, true},
		"alone: the code did not change": {relax, 1, stamps.Stamp{Key: web, Series: "shop", Version: 2, Kept: true}, true, false},
		"applied before":                 {relax, 2, stamps.Stamp{Key: web, Series: "shop", Version: 2}, true, false},
		"nothing runs yet":               {relax, 0, stamps.Stamp{Key: web, Series: "shop", Version: 2}, false, false},
		"code for an older version":      {relax, 1, stamps.Stamp{Key: web, Series: "shop", Version: 1}, true, false},
		"another series":                 {relax, 1, stamps.Stamp{Key: web, Series: "billing", Version: 2}, true, false},
		"assumed, with a reason":         {assumed, 1, stamps.Stamp{Key: web, Series: "shop", Version: 2}, true, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			files, err := schema.Load(map[string]string{"00001_init.sql": initial, "00002_relax.sql": tt.second})
			if err != nil {
				t.Fatal(err)
			}
			classes, err := compat.Classify(files)
			if err != nil {
				t.Fatal(err)
			}
			got := twoStep("shop", classes, tt.ready, []stamps.Stamp{tt.stamp}, tt.runs)
			if (got != "") != tt.want || tt.want && !strings.Contains(got, "00002_relax.sql") {
				t.Errorf("got %q, want refused %v", got, tt.want)
			}
		})
	}
}
