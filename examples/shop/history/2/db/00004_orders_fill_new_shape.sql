-- Backfill: rows from before get their new shape, and the database proves that every row has it.

-- +goose Up
UPDATE orders
SET customer_name = customer, total = total_cents / 100.0, currency = 'EUR'
WHERE customer_name IS NULL OR total IS NULL OR currency IS NULL;

ALTER TABLE orders VALIDATE CONSTRAINT orders_customer_equal;
ALTER TABLE orders VALIDATE CONSTRAINT orders_total_equal;
ALTER TABLE orders VALIDATE CONSTRAINT orders_currency_equal;

-- +goose Down
SELECT 1;
