-- A cart is bought at most once: its version, which order has bought which version, and who was refused for it
-- depends: 0002_journal_numbers

-- migrate: apply
-- `version` counts the customer's changes of the cart. The row is also the lock under which a cart changes or is bought.
CREATE TABLE carts (
    user_id uuid   PRIMARY KEY,
    version bigint NOT NULL
);
INSERT INTO carts (user_id, version)
SELECT DISTINCT user_id, 1
FROM cart_items;

CREATE TABLE cart_purchases (
    order_id     uuid   PRIMARY KEY,
    user_id      uuid   NOT NULL,
    cart_version bigint NOT NULL,
    CONSTRAINT one_order_per_cart UNIQUE (user_id, cart_version)
);

-- Purchases with a key that came after another had bought the cart: their key repeats the refusal.
CREATE TABLE cart_refusals (
    user_id         uuid  NOT NULL,
    idempotency_key text  NOT NULL,
    fingerprint     bytea NOT NULL,
    bought_by       uuid  NOT NULL,
    PRIMARY KEY (user_id, idempotency_key)
);

-- migrate: rollback
DROP TABLE cart_refusals, cart_purchases, carts;
