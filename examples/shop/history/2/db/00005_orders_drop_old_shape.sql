-- Contract: the old shape goes. Version 1 works no more after this, and nothing leads back to it.
-- SET NOT NULL scans nothing here: the validated checks prove it already.

-- +goose Up
ALTER TABLE orders
    ALTER COLUMN customer_name SET NOT NULL,
    ALTER COLUMN total SET NOT NULL,
    ALTER COLUMN currency SET NOT NULL;
DROP TRIGGER zz_orders_sync_shapes ON orders;
DROP FUNCTION orders_sync_shapes();
ALTER TABLE orders
    DROP CONSTRAINT orders_customer_equal,
    DROP CONSTRAINT orders_total_equal,
    DROP CONSTRAINT orders_currency_equal,
    DROP COLUMN customer,
    DROP COLUMN total_cents;
