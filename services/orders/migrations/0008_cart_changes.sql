-- What an older replica puts into a cart is a change of the cart, too: it knows of no versions
-- depends: 0007_erasure_views

-- migrate: apply
CREATE FUNCTION count_cart_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO carts (user_id, version) VALUES (NEW.user_id, 1)
    ON CONFLICT (user_id) DO UPDATE SET version = carts.version + 1;
    RETURN NEW;
END $$;
CREATE TRIGGER cart_changed BEFORE INSERT OR UPDATE ON cart_items
FOR EACH ROW EXECUTE FUNCTION count_cart_change();

CREATE VIEW verification.carts AS
SELECT user_id, version
FROM carts;

-- migrate: rollback
DROP VIEW verification.carts;
DROP TRIGGER cart_changed ON cart_items;
DROP FUNCTION count_cart_change;
