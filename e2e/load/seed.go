package load

import "fmt"

// Rows from before the load are made by a formula, so that it knows what must be in them.

// ordersPerSeed is how many seeded orders one customer has.
const ordersPerSeed = 10

// SeedSQL inserts n orders in the schema of version 1, with n as its parameter.
const SeedSQL = `INSERT INTO orders (id, customer, quantity, total_cents, status)
SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'seed-' || n / 10, 1 + n % 9,
       (n::bigint * 7919 % 1000003)::integer, 'paid'
FROM generate_series(0, $1::integer - 1) AS n`

// seededOrder is row n of SeedSQL.
func seededOrder(n int) Order {
	return Order{
		ID:         fmt.Sprintf("00000000-0000-4000-8000-%012x", n),
		Customer:   seededCustomer(n / ordersPerSeed),
		Quantity:   int64(1 + n%9),
		TotalCents: int64(n) * 7919 % 1000003,
		Status:     "paid",
	}
}

func seededCustomer(k int) string { return fmt.Sprintf("seed-%d", k) }
