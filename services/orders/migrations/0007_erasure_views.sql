-- What `cartwright verify` reads to see that a deleted account is erased: that something is there, and not what
-- depends: 0006_verification

-- migrate: apply
CREATE VIEW verification.customers AS
SELECT user_id, deleted
FROM customers;
CREATE VIEW verification.cart_items AS
SELECT user_id
FROM cart_items;

-- migrate: rollback
DROP VIEW verification.customers;
DROP VIEW verification.cart_items;
