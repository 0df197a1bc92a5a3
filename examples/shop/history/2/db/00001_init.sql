-- The shop's first schema.

-- +goose Up
CREATE TABLE orders (
    id          uuid PRIMARY KEY,
    customer    text NOT NULL,
    quantity    integer NOT NULL,
    total_cents integer NOT NULL,
    status      text NOT NULL DEFAULT 'new',
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX orders_customer ON orders (customer, created_at);

-- +goose Down
DROP TABLE orders;
