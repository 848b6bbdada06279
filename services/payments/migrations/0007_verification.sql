-- The views that `cartwright verify` may read, without secrets, addresses and contents (chassis.persistence.privileges)
-- depends: 0006_deleted_users

-- migrate: apply
CREATE SCHEMA verification;

CREATE VIEW verification.journal AS
SELECT position, transaction_id, event_id, type, subject, time, correlation_id, actor, md5(data::text) AS data_md5
FROM journal;
CREATE VIEW verification.journal_relay AS
SELECT name, transaction_id, position
FROM journal_relay;
COMMENT ON TABLE journal IS 'append-only: what was said stays said';
CREATE VIEW verification.inbox AS
SELECT event_id
FROM inbox;
CREATE VIEW verification.dead_letters AS
SELECT event_id, type, reason, attempts
FROM dead_letters;

CREATE VIEW verification.payments AS
SELECT id, order_id, user_id, state, wanted, amount_minor, currency, refunded_minor, attempts, created_at, authorized_at
FROM payments;
-- A refund that an administrator requested has the fingerprint of the request; a refund after a cancellation has none.
CREATE VIEW verification.refunds AS
SELECT id, payment_id, amount_minor, currency, state, attempts, created_at, idempotency_key, correlation_id,
       fingerprint IS NOT NULL AS is_requested
FROM refunds;
CREATE VIEW verification.ledger_entries AS
SELECT transaction_id, account, payment_id, amount_minor, currency
FROM ledger_entries;
CREATE VIEW verification.sandbox_payments AS
SELECT payment_id, amount_minor, currency, state
FROM sandbox_payments;
CREATE VIEW verification.sandbox_refunds AS
SELECT refund_id, payment_id, amount_minor
FROM sandbox_refunds;
COMMENT ON TABLE ledger_entries IS 'append-only: a booking is corrected by another one';

-- migrate: rollback
DROP SCHEMA verification CASCADE;
