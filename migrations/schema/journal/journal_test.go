package journal

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/interlock-dev/interlock/internal/pgtest"
	"github.com/interlock-dev/interlock/migrations/schema"
	"github.com/interlock-dev/interlock/migrations/schema/postgres"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestReadWithoutJournal(t *testing.T) {
	conn := pgtest.Connect(t, pgtest.Database(t))
	s, err := Read(t.Context(), conn, "shop")
	if err != nil {
		t.Fatal(err)
	}
	if s.Series != "shop" || s.Fence.State != FenceOpen || s.Steps != nil || s.Runner.Epoch != 0 {
		t.Errorf("state = %+v, want an empty one", s)
	}
	if images, err := Images(t.Context(), conn, "shop"); err != nil || images != nil {
		t.Errorf("images = %v, %v, want none", images, err)
	}
	if err := Ensure(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	if s, err = Read(t.Context(), conn, "shop"); err != nil || s.Fence.State != FenceOpen {
		t.Errorf("state of an unknown series = %+v, %v", s, err)
	}
}

func TestEnsureByManyAtOnce(t *testing.T) {
	uri := pgtest.Database(t)
	var all sync.WaitGroup
	for range 8 {
		conn := pgtest.Connect(t, uri)
		all.Go(func() {
			for range 3 {
				if err := Ensure(context.Background(), conn); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	conn := pgtest.Connect(t, uri)
	if got := pgtest.Value[int](t, conn, "SELECT version FROM interlock.meta"); got != len(migrations) {
		t.Errorf("version = %d, want %d", got, len(migrations))
	}
	pgtest.Exec(t, conn, "UPDATE interlock.meta SET version = 1000")
	if err := Ensure(t.Context(), conn); err == nil || !strings.Contains(err.Error(), "use the newer Interlock") {
		t.Errorf("a newer journal gives %v", err)
	}
}

func TestEnsureWithoutPrivilege(t *testing.T) {
	uri := pgtest.Database(t)
	admin := pgtest.Connect(t, uri)
	pgtest.Exec(t, admin, "CREATE ROLE powerless LOGIN PASSWORD '"+pgtest.Password+"'")
	t.Cleanup(func() { pgtest.Exec(t, admin, "DROP ROLE powerless") })
	conn := pgtest.Connect(t, pgtest.Shared(t).URI("powerless", admin.Config().Database))
	if err := Ensure(t.Context(), conn); err == nil || !strings.Contains(err.Error(), "GRANT CREATE ON DATABASE") {
		t.Errorf("error = %v, want the grant that is missing", err)
	}
	_ = conn.Close(t.Context())
}

func TestFence(t *testing.T) {
	type move struct {
		to      FenceState // open stands for Withdraw
		version int64
		want    string // "state version committed", or "" for a *FenceError
	}
	tests := map[string][]move{
		"all the way": {
			{FenceProposed, 5, "proposed 5 0"}, {FenceHeld, 5, "held 5 0"}, {FenceCommitted, 5, "committed 5 5"},
			{FenceProposed, 7, "proposed 7 5"}, {FenceHeld, 7, "held 7 5"}, {FenceCommitted, 7, "committed 7 7"}},
		"each twice": {
			{FenceProposed, 5, "proposed 5 0"}, {FenceProposed, 5, "proposed 5 0"}, {FenceHeld, 5, "held 5 0"}, {FenceHeld, 5, "held 5 0"},
			{FenceCommitted, 5, "committed 5 5"}, {FenceCommitted, 5, "committed 5 5"}},
		"withdrawn": {{FenceProposed, 5, "proposed 5 0"}, {FenceOpen, 5, "open 0 0"}, {FenceOpen, 5, "open 0 0"}, {FenceProposed, 4, "proposed 4 0"}},
		"withdrawn when held, after another": {
			{FenceProposed, 3, "proposed 3 0"}, {FenceHeld, 3, "held 3 0"}, {FenceCommitted, 3, "committed 3 3"},
			{FenceProposed, 5, "proposed 5 3"}, {FenceHeld, 5, "held 5 3"}, {FenceOpen, 5, "committed 3 3"}},
		"withdraw nothing":            {{FenceOpen, 5, "open 0 0"}},
		"hold before propose":         {{FenceHeld, 5, ""}},
		"commit before hold":          {{FenceProposed, 5, "proposed 5 0"}, {FenceCommitted, 5, ""}, {FenceHeld, 5, "held 5 0"}},
		"another version":             {{FenceProposed, 5, "proposed 5 0"}, {FenceHeld, 6, ""}, {FenceProposed, 6, ""}, {FenceOpen, 6, ""}},
		"propose while held":          {{FenceProposed, 5, "proposed 5 0"}, {FenceHeld, 5, "held 5 0"}, {FenceProposed, 5, ""}, {FenceProposed, 6, ""}},
		"committed never goes down":   {{FenceProposed, 5, "proposed 5 0"}, {FenceHeld, 5, "held 5 0"}, {FenceCommitted, 5, "committed 5 5"}, {FenceProposed, 4, ""}, {FenceProposed, 5, ""}},
		"withdraw after commit":       {{FenceProposed, 5, "proposed 5 0"}, {FenceHeld, 5, "held 5 0"}, {FenceCommitted, 5, "committed 5 5"}, {FenceOpen, 5, ""}},
		"hold or commit after commit": {{FenceProposed, 5, "proposed 5 0"}, {FenceHeld, 5, "held 5 0"}, {FenceCommitted, 5, "committed 5 5"}, {FenceHeld, 5, ""}, {FenceCommitted, 6, ""}},
	}
	conn := pgtest.Connect(t, pgtest.Database(t))
	if err := Ensure(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	for name, moves := range tests {
		t.Run(name, func(t *testing.T) {
			for i, m := range moves {
				f, err := fenceTo(t, conn, name, m.to, m.version)
				var refused *FenceError
				if m.want == "" {
					if !errors.As(err, &refused) {
						t.Fatalf("move %d: %+v, %v, want *FenceError", i+1, f, err)
					}
					if now, err := Read(t.Context(), conn, name); err != nil || now.Fence != f {
						t.Fatalf("move %d: the error says %+v, the journal %+v, %v", i+1, f, now.Fence, err)
					}
					continue
				}
				if err != nil {
					t.Fatalf("move %d: %v", i+1, err)
				}
				if got := describe(f); got != m.want {
					t.Fatalf("move %d: fence = %s, want %s", i+1, got, m.want)
				}
			}
		})
	}
}

func TestFenceOneWinner(t *testing.T) {
	uri := pgtest.Database(t)
	if err := Ensure(t.Context(), pgtest.Connect(t, uri)); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	var won []int64
	for v := int64(1); v <= 8; v++ {
		conn := pgtest.Connect(t, uri)
		all.Go(func() {
			f, err := Propose(context.Background(), conn, "shop", v, "main@1")
			mu.Lock()
			defer mu.Unlock()
			var refused *FenceError
			if err == nil {
				won = append(won, f.Version)
			} else if !errors.As(err, &refused) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(won) != 1 {
		t.Errorf("versions %v were all proposed, want one", won)
	}
}

func TestImages(t *testing.T) {
	conn := pgtest.Connect(t, pgtest.Database(t))
	if err := Ensure(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		record, want Image
	}{
		{Image{Image: "shop:1", Version: 5, Commit: "b", Revision: "r1"}, Image{Version: 5, Commit: "b", Revision: "r1"}},
		{Image{Image: "shop:1", Version: 7, Commit: "c", Revision: "r2"}, Image{Version: 5, Commit: "b", Revision: "r1"}},
		{Image{Image: "shop:1", Version: 3, Commit: "a", Revision: "r3"}, Image{Version: 3, Commit: "a", Revision: "r3"}},
		{Image{Image: "shop:1", Version: 3, Commit: "z", Revision: "r4"}, Image{Version: 3, Commit: "a", Revision: "r3"}},
	} {
		got, err := RecordImage(t.Context(), conn, "shop", step.record)
		if err != nil {
			t.Fatal(err)
		}
		if got.FirstSeen.IsZero() || got.Version != step.want.Version || got.Commit != step.want.Commit || got.Revision != step.want.Revision {
			t.Errorf("after %+v: %+v, want %+v", step.record, got, step.want)
		}
	}
	images, err := Images(t.Context(), conn, "shop")
	if err != nil || len(images) != 1 || images[0].Version != 3 {
		t.Errorf("images = %+v, %v, want one at 3", images, err)
	}
}

func TestVersionsAndIdentity(t *testing.T) {
	conn := pgtest.Connect(t, pgtest.Database(t))
	if err := Ensure(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	first := []schema.File{{Version: 2, Name: "2_b.sql", Checksum: "x"}, {Version: 1, Name: "1_a.sql", Checksum: "y"}}
	edited := []schema.File{{Version: 2, Name: "2_c.sql", Checksum: "z"}, {Version: 3, Name: "3_c.sql", Checksum: "w"}}
	for _, files := range [][]schema.File{first, edited, nil} {
		if err := RecordVersions(t.Context(), conn, "shop", files); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []postgres.Identity{{SystemIdentifier: "7", Timeline: 2}, {SystemIdentifier: "7", Timeline: 1}} {
		if err := RecordIdentity(t.Context(), conn, "shop", id); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Read(t.Context(), conn, "shop")
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Versions) != 3 || s.Versions[0].Version != 1 || s.Versions[1].Name != "2_b.sql" || s.Versions[2].Checksum != "w" {
		t.Errorf("versions = %+v, want 1, 2 as first seen, 3", s.Versions)
	}
	if s.SystemIdentifier != "7" || s.Timeline != 1 {
		t.Errorf("identity = %s/%d, want 7/1: a restore may go back", s.SystemIdentifier, s.Timeline)
	}
}

func TestGooseTable(t *testing.T) {
	tests := map[string]string{
		"shop":   "interlock.goose_shop",
		"shop_2": "interlock.goose_shop_2",
	}
	for series, want := range tests {
		if got := GooseTable(series); got != want {
			t.Errorf("GooseTable(%q) = %s, want %s", series, got, want)
		}
	}
	seen := map[string]string{}
	long := strings.Repeat("a", 57)
	for _, series := range []string{"shop", "Shop", "SHOP", "shop-eu", "shop_eu", "shop.eu", "shop__eu", `a"b`, "a;b", long, long + "b", long + "c", "é"} {
		table, ok := strings.CutPrefix(GooseTable(series), "interlock.")
		if !ok || len(table) > 63 || strings.Trim(table, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			t.Errorf("GooseTable(%q) = %s is no plain name of at most 63 bytes", series, table)
		}
		if other, taken := seen[table]; taken {
			t.Errorf("%q and %q share the table %s", series, other, table)
		}
		seen[table] = series
	}
	if LockID("shop") == LockID("shop2") {
		t.Error("two series share a lock")
	}
}
