-- Expand: version 2 finds a customer's orders as fast as version 1 does, and nobody waits for the index.

-- +goose NO TRANSACTION
-- +goose Up
CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_customer_name ON orders (customer_name, created_at);

-- +goose Down
DROP INDEX CONCURRENTLY orders_customer_name;
