package shop_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/interlock-dev/interlock/examples/shop"
	"github.com/interlock-dev/interlock/examples/shop/store"
	v1 "github.com/interlock-dev/interlock/examples/shop/store/v1"
	v2 "github.com/interlock-dev/interlock/examples/shop/store/v2"
	"github.com/interlock-dev/interlock/internal/pgtest"
)

// seeded is the number of rows from before the change; most are never written during it.
const seeded = 20_000

func TestMain(m *testing.M) { pgtest.Main(m) }

// Both versions read and write at the same time while expand and backfill run, each sees what the other one
// wrote, and version 2 goes on after the contract step.
func TestBothVersionsWorkUntilContract(t *testing.T) {
	uri := pgtest.Database(t)
	migrations := newMigrations(t, uri)
	migrations.upTo(t, 1)
	old, current := open(t, uri), open(t, uri)
	seed(t, old)

	stores := map[string]store.Store{"v1": v1.New(old)}
	// Writers of version 1 first: from before the first step on.
	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	errs := make(chan error, 100)
	start := func(name string, reader string) {
		for i := range 4 {
			clients.Go(func() { client(ctx, fmt.Sprintf("%s-%d", name, i), stores[name], stores[reader], errs) })
		}
	}
	start("v1", "v1")
	for _, version := range []int64{2, 3, 4} {
		time.Sleep(200 * time.Millisecond)
		migrations.upTo(t, version)
	}
	assertShapesEqual(t, old)

	// The backfill is verified: now version 2 may start, beside version 1. Each checks with the other's eyes.
	stop()
	clients.Wait()
	ctx, stop = context.WithCancel(t.Context())
	stores["v2"] = v2.New(current)
	start("v1", "v2")
	start("v2", "v1")
	time.Sleep(time.Second)
	stop()
	clients.Wait()
	assertShapesEqual(t, old)

	// The last version 1 is gone.
	ctx, stop = context.WithCancel(t.Context())
	start("v2", "v2")
	time.Sleep(200 * time.Millisecond)
	migrations.upTo(t, 5)
	time.Sleep(200 * time.Millisecond)
	stop()
	clients.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}

	if _, err := stores["v1"].List(t.Context(), "seed-1"); err == nil {
		t.Error("version 1 still reads after the contract step; then that step took nothing away")
	}
	got, err := stores["v2"].Sum(t.Context(), "seed-1")
	if want := (store.Summary{Customer: "seed-1", Orders: 20, Quantity: 40, TotalCents: 20 * 1234}); err != nil || got != want {
		t.Errorf("seeded rows after the change: %+v, %v; want %+v", got, err, want)
	}
}

// What breaks the equality of the two shapes is refused by the database, not only unlikely.
func TestEqualityIsEnforced(t *testing.T) {
	uri := pgtest.Database(t)
	migrations := newMigrations(t, uri)
	migrations.upTo(t, 1)
	pool := open(t, uri)
	seed(t, pool)
	migrations.upTo(t, 4)

	for _, tc := range []struct {
		name, statement string
		wantErr         string // empty: it works, and the shapes stay equal
	}{
		{"old writer", `UPDATE orders SET customer = 'a', total_cents = 7 WHERE customer = 'seed-1'`, ""},
		{"new writer", `UPDATE orders SET customer_name = 'b', total = 0.07 WHERE customer = 'seed-2'`, ""},
		{"writer of something else", `UPDATE orders SET status = 'paid' WHERE customer = 'seed-3'`, ""},
		{"as a replica", `SET session_replication_role = replica; UPDATE orders SET customer = 'c' WHERE customer = 'seed-4'`, ""},
		{"old writer of the largest total", `UPDATE orders SET total_cents = 2147483647 WHERE customer = 'seed-5'`, ""},
		{"old writer of the smallest total", `UPDATE orders SET total_cents = -2147483648 WHERE customer = 'seed-5'`, ""},
		{"trigger switched off", `ALTER TABLE orders DISABLE TRIGGER zz_orders_sync_shapes; UPDATE orders SET customer = 'd' WHERE customer = 'seed-6'`, "orders_customer_equal"},
		{"another currency", `UPDATE orders SET currency = 'USD' WHERE customer = 'seed-7'`, "orders_currency_equal"},
		{"old writer, no customer", `UPDATE orders SET customer = NULL WHERE customer = 'seed-8'`, "null value"},
		{"new writer, no customer", `UPDATE orders SET customer_name = NULL WHERE customer = 'seed-8'`, "null value"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			conn, err := pool.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Conn().Close(context.Background()); conn.Release() }()
			_, err = conn.Conn().PgConn().Exec(t.Context(), tc.statement).ReadAll()
			switch {
			case tc.wantErr == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tc.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tc.wantErr)):
				t.Errorf("error %v; want one about %q", err, tc.wantErr)
			}
			assertShapesEqual(t, pool)
		})
	}
}

// client creates, changes and reads orders of its own until ctx ends, and compares every answer.
func client(ctx context.Context, name string, write, read store.Store, errs chan<- error) {
	report := func(err error) {
		if err != nil && ctx.Err() == nil {
			select {
			case errs <- fmt.Errorf("client %s: %w", name, err):
			default:
			}
		}
	}
	for i := 0; ctx.Err() == nil; i++ {
		o := store.Order{ID: newID(), Customer: fmt.Sprintf("%s/%d/%s", name, i, newID()), Quantity: 3, TotalCents: rand.Int64N(2_000_000_000), Status: "new"}
		_, created, err := write.Create(ctx, o)
		if err == nil && !created {
			err = errors.New("a new order was there already")
		}
		report(err)
		report(expect(ctx, read, o))

		// The reader renames, the writer sets the price: both shapes are written from both sides.
		o.Customer += "+"
		_, err = read.Update(ctx, o.ID, store.Change{Customer: &o.Customer})
		report(err)
		o.TotalCents /= 2
		_, err = write.Update(ctx, o.ID, store.Change{TotalCents: &o.TotalCents})
		report(err)
		report(expect(ctx, write, o))
		report(expect(ctx, read, o))
		sum, err := read.Sum(ctx, o.Customer)
		if err == nil && sum.TotalCents != o.TotalCents {
			err = fmt.Errorf("sum %+v of %+v", sum, o)
		}
		report(err)
	}
}

func expect(ctx context.Context, s store.Store, want store.Order) error {
	got, err := s.Get(ctx, want.ID)
	if err != nil {
		return err
	}
	list, err := s.List(ctx, want.Customer)
	if err != nil {
		return err
	}
	got.Currency = ""
	if got != want || len(list) != 1 || list[0].ID != want.ID {
		return fmt.Errorf("read %+v and %+v; want %+v", got, list, want)
	}
	return nil
}

func assertShapesEqual(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	var total, differ int
	err := pool.QueryRow(t.Context(), `SELECT count(*), count(*) FILTER (WHERE customer IS DISTINCT FROM customer_name
		OR total * 100 IS DISTINCT FROM total_cents OR currency IS DISTINCT FROM 'EUR') FROM orders`).Scan(&total, &differ)
	if err != nil || differ != 0 || total < seeded {
		t.Errorf("%d of %d rows differ between the shapes, error %v; want 0", differ, total, err)
	}
}

func seed(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	_, err := pool.Exec(t.Context(), `INSERT INTO orders (id, customer, quantity, total_cents)
		SELECT gen_random_uuid(), 'seed-' || n % 1000, 2, 1234 FROM generate_series(1, $1::int) n`, seeded)
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, uri string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), uri)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

type migrations struct{ provider *goose.Provider }

func newMigrations(t *testing.T, uri string) migrations {
	t.Helper()
	db, err := sql.Open("pgx", uri)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	files, err := fs.Sub(shop.History, "history/2/db")
	if err != nil {
		t.Fatal(err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files)
	if err != nil {
		t.Fatal(err)
	}
	return migrations{provider}
}

func (m migrations) upTo(t *testing.T, version int64) {
	t.Helper()
	if _, err := m.provider.UpTo(t.Context(), version); err != nil {
		t.Fatal(err)
	}
}

func newID() string {
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", rand.Uint32(), rand.Uint32N(1<<16), rand.Uint32N(1<<12), rand.Uint32N(1<<12), rand.Uint64N(1<<48))
}
