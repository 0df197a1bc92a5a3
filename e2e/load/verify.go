package load

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// maxExamples is how many rows a Verdict describes; all are counted.
const maxExamples = 20

// Verdict compares the rows of the database with what was acknowledged.
type Verdict struct {
	// Rows that were compared.
	Rows int
	// Lost rows were acknowledged, or there before, and are gone.
	Lost int
	// Wrong rows hold something else than what was acknowledged last.
	Wrong int
	// Duplicated rows are there twice, or are none that anybody wrote.
	Duplicated int
	// Examples in words, at most twenty.
	Examples []string
}

// Bad counts the rows that are lost, wrong or duplicated.
func (v Verdict) Bad() int { return v.Lost + v.Wrong + v.Duplicated }

// row is an order as it lies in the database, once for each shape that the table has.
type row struct{ shapes []Order }

// Verify reads every row of the table over conn and compares. Call it after Stop.
func (l *Load) Verify(ctx context.Context, conn *pgx.Conn) (Verdict, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := newComparison(l.model)
	if err := readRows(ctx, conn, c.add); err != nil {
		return Verdict{}, fmt.Errorf("read the table orders: %w", err)
	}
	return c.verdict(), nil
}

// readRows gives every row to add, whichever of the two schemas the table has, or both.
func readRows(ctx context.Context, conn *pgx.Conn, add func(row)) error {
	var hasOld, hasNew bool
	err := conn.QueryRow(ctx, `SELECT coalesce(bool_or(column_name = 'customer'), false), coalesce(bool_or(column_name = 'customer_name'), false)
		FROM information_schema.columns WHERE table_schema = 'public' AND table_name = 'orders'`).Scan(&hasOld, &hasNew)
	if err != nil {
		return err
	}
	var shapes []string
	if hasOld {
		shapes = append(shapes, `customer, total_cents::bigint`)
	}
	if hasNew {
		// A row without the new shape shows what no order has.
		shapes = append(shapes, `coalesce(customer_name, ''), coalesce((total * 100)::bigint, -1)`)
	}
	for i, shape := range shapes {
		shapes[i] = `id::text, quantity::bigint, status, ` + shape
	}
	return scanRows(ctx, conn, shapes, add)
}

func scanRows(ctx context.Context, conn *pgx.Conn, shapes []string, add func(row)) error {
	query := "SELECT "
	for i, shape := range shapes {
		if i > 0 {
			query += ", "
		}
		query += shape
	}
	rows, err := conn.Query(ctx, query+" FROM orders")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		r := row{shapes: make([]Order, len(shapes))}
		var into []any
		for i := range r.shapes {
			o := &r.shapes[i]
			into = append(into, &o.ID, &o.Quantity, &o.Status, &o.Customer, &o.TotalCents)
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		add(r)
	}
	return rows.Err()
}

// comparison takes in rows one by one.
type comparison struct {
	model  *model
	seen   map[string]bool
	result Verdict
}

func newComparison(m *model) *comparison { return &comparison{model: m, seen: map[string]bool{}} }

func (c *comparison) add(r row) {
	c.result.Rows++
	id := r.shapes[0].ID
	want, known := c.wanted(id)
	switch {
	case c.seen[id]:
		c.result.Duplicated++
		c.example("order %s is there twice", id)
	case !known:
		c.result.Duplicated++
		c.example("nobody wrote order %s: %+v", id, r.shapes)
	default:
		for _, shape := range r.shapes {
			if shape != want.now && (want.maybe == nil || shape != *want.maybe) {
				c.result.Wrong++
				c.example("order %s is %+v, acknowledged was %+v", id, r.shapes, want.now)
				break
			}
			if shape != r.shapes[0] {
				c.result.Wrong++
				c.example("order %s has two shapes that differ: %+v", id, r.shapes)
				break
			}
		}
	}
	c.seen[id] = true
}

// wanted is what must be known about an order: from the load, or from before it.
func (c *comparison) wanted(id string) (record, bool) {
	if r, ok := c.model.records[id]; ok {
		return *r, true
	}
	var n int
	if _, err := fmt.Sscanf(id, "00000000-0000-4000-8000-%012x", &n); err == nil && n < c.model.seeded {
		return record{now: seededOrder(n)}, true
	}
	return record{}, false
}

func (c *comparison) verdict() Verdict {
	for id, r := range c.model.records {
		if !c.seen[id] && !r.maybeAbsent {
			c.result.Lost++
			c.example("order %s is gone: %+v", id, r.now)
		}
	}
	for n := range c.model.seeded {
		id := seededOrder(n).ID
		if _, touched := c.model.records[id]; !touched && !c.seen[id] {
			c.result.Lost++
			c.example("order %s from before the load is gone", id)
		}
	}
	return c.result
}

func (c *comparison) example(format string, args ...any) {
	if len(c.result.Examples) < maxExamples {
		c.result.Examples = append(c.result.Examples, fmt.Sprintf(format, args...))
	}
}
