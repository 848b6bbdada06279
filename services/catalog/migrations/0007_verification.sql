-- The views that `cartwright verify` may read, without secrets, addresses and contents (chassis.persistence.privileges).
-- depends: 0006_signed_events

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

CREATE VIEW verification.stock AS
SELECT product_id, available
FROM stock;
CREATE VIEW verification.stock_adjustments AS
SELECT product_id, quantity
FROM stock_adjustments;
CREATE VIEW verification.reservations AS
SELECT order_id, state, lines, currency, total_minor, reserved_at, settled_at
FROM reservations;
COMMENT ON TABLE stock_adjustments IS 'append-only: stock is conserved against their sum';

-- migrate: rollback
DROP SCHEMA verification CASCADE;
