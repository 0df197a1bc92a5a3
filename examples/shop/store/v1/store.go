package v1

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/interlock-dev/interlock/examples/shop/store"
)

// Store keeps orders in the schema of version 1.
type Store struct{ pool *pgxpool.Pool }

var _ store.Store = (*Store)(nil)

// New returns a Store on the pool, which the caller closes.
func New(pool *pgxpool.Pool) *Store { return &Store{pool: pool} }

const columns = `id, customer, quantity, total_cents, status`

// Create implements store.Store.
func (s *Store) Create(ctx context.Context, o store.Order) (store.Order, bool, error) {
	created, err := one(s.pool.Query(ctx,
		`INSERT INTO orders (id, customer, quantity, total_cents, status) VALUES ($1, $2, $3, $4, 'new')
		 ON CONFLICT (id) DO NOTHING RETURNING `+columns, o.ID, o.Customer, o.Quantity, o.TotalCents))
	if !errors.Is(err, store.ErrNotFound) {
		return created, err == nil, err
	}
	there, err := s.Get(ctx, o.ID)
	return there, false, err
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, id string) (store.Order, error) {
	return one(s.pool.Query(ctx, `SELECT `+columns+` FROM orders WHERE id = $1`, id))
}

// List implements store.Store.
func (s *Store) List(ctx context.Context, customer string) ([]store.Order, error) {
	rows, err := s.pool.Query(ctx,
		`SELECT `+columns+` FROM orders WHERE customer = $1 ORDER BY created_at, id LIMIT $2`, customer, store.MaxList)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scan)
}

// Sum implements store.Store.
func (s *Store) Sum(ctx context.Context, customer string) (store.Summary, error) {
	sum := store.Summary{Customer: customer}
	err := s.pool.QueryRow(ctx,
		`SELECT count(*), coalesce(sum(quantity), 0), coalesce(sum(total_cents), 0) FROM orders WHERE customer = $1`,
		customer).Scan(&sum.Orders, &sum.Quantity, &sum.TotalCents)
	return sum, err
}

// Update implements store.Store.
func (s *Store) Update(ctx context.Context, id string, c store.Change) (store.Order, error) {
	return one(s.pool.Query(ctx,
		`UPDATE orders SET customer = coalesce($2, customer), quantity = coalesce($3, quantity),
		   total_cents = coalesce($4, total_cents), status = coalesce($5, status)
		 WHERE id = $1 RETURNING `+columns, id, c.Customer, c.Quantity, c.TotalCents, c.Status))
}

// Ping implements store.Store.
func (s *Store) Ping(ctx context.Context) error { return s.pool.Ping(ctx) }

func one(rows pgx.Rows, err error) (store.Order, error) {
	if err != nil {
		return store.Order{}, err
	}
	o, err := pgx.CollectExactlyOneRow(rows, scan)
	if errors.Is(err, pgx.ErrNoRows) {
		return store.Order{}, store.ErrNotFound
	}
	return o, err
}

func scan(row pgx.CollectableRow) (store.Order, error) {
	var o store.Order
	err := row.Scan(&o.ID, &o.Customer, &o.Quantity, &o.TotalCents, &o.Status)
	return o, err
}
