-- The views by which `cartwright verify` sees that the data of a deleted account is erased: whether data exists, not its content
-- depends: 0007_verification

-- migrate: apply
CREATE VIEW verification.deleted_users AS
SELECT user_id, deleted_at
FROM deleted_users;
CREATE VIEW verification.payment_methods AS
SELECT id, user_id
FROM payment_methods;
CREATE OR REPLACE VIEW verification.payments AS
SELECT id, order_id, user_id, state, wanted, amount_minor, currency, refunded_minor, attempts, created_at, authorized_at,
       captured_at, voided_at, method_token <> '' AS has_token
FROM payments;

-- migrate: rollback
DROP VIEW verification.deleted_users;
DROP VIEW verification.payment_methods;
DROP VIEW verification.payments;
CREATE VIEW verification.payments AS
SELECT id, order_id, user_id, state, wanted, amount_minor, currency, refunded_minor, attempts, created_at, authorized_at
FROM payments;
