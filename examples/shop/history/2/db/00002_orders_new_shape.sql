-- Expand: orders get their new shape beside the old one.
--
--   customer    text     becomes  customer_name text            another name
--   total_cents integer  becomes  total         numeric(12, 2)  another type
--                                 currency      text            new, NOT NULL in the end
--
-- From here on a trigger keeps both shapes equal, whichever of them a program writes, and the checks refuse a
-- row in which they are not: until the contract step, going back to version 1 loses nothing.
-- No column has a DEFAULT: with one, the trigger could not tell "not written" from "written".

-- +goose Up
ALTER TABLE orders
    ADD COLUMN customer_name text,
    ADD COLUMN total numeric(12, 2),
    ADD COLUMN currency text;

-- +goose StatementBegin
CREATE FUNCTION orders_sync_shapes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.customer_name := coalesce(NEW.customer_name, NEW.customer);
        NEW.customer := NEW.customer_name;
        NEW.total := coalesce(NEW.total, NEW.total_cents / 100.0);
        NEW.total_cents := NEW.total * 100;
        NEW.currency := coalesce(NEW.currency, 'EUR');
        RETURN NEW;
    END IF;

    -- Whoever changed one of the two is followed by the other one. A row from before this
    -- migration has no new shape yet; any write of it fills that in.
    IF NEW.customer_name IS DISTINCT FROM OLD.customer_name THEN
        NEW.customer := NEW.customer_name;
    ELSE
        NEW.customer_name := NEW.customer;
    END IF;
    IF NEW.total IS DISTINCT FROM OLD.total THEN
        NEW.total_cents := NEW.total * 100;
    ELSE
        NEW.total := NEW.total_cents / 100.0;
    END IF;
    NEW.currency := coalesce(NEW.currency, 'EUR');
    RETURN NEW;
END
$$;
-- +goose StatementEnd

-- The name sorts last, so that it sees what other triggers made of the row.
CREATE TRIGGER zz_orders_sync_shapes BEFORE INSERT OR UPDATE ON orders
    FOR EACH ROW EXECUTE FUNCTION orders_sync_shapes();
-- Not even a session with session_replication_role = replica goes past it.
ALTER TABLE orders ENABLE ALWAYS TRIGGER zz_orders_sync_shapes;

ALTER TABLE orders
    ADD CONSTRAINT orders_customer_equal CHECK (customer_name IS NOT NULL AND customer_name = customer) NOT VALID,
    ADD CONSTRAINT orders_total_equal CHECK (total IS NOT NULL AND total * 100 = total_cents) NOT VALID,
    ADD CONSTRAINT orders_currency_equal CHECK (currency IS NOT NULL AND currency = 'EUR') NOT VALID;

-- +goose Down
DROP TRIGGER zz_orders_sync_shapes ON orders;
DROP FUNCTION orders_sync_shapes();
ALTER TABLE orders
    DROP COLUMN customer_name,
    DROP COLUMN total,
    DROP COLUMN currency;
