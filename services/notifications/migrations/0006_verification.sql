-- What `cartwright verify` may read: these views and nothing else, without secrets, addresses and contents (chassis.persistence.privileges)
-- depends: 0005_signed_events

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

CREATE VIEW verification.notifications AS
SELECT id, kind, subject_key, order_id, state, attempts, next_attempt_at, created_at, toaddr <> '' AS has_address,
       amounts
FROM notifications;

-- migrate: rollback
DROP SCHEMA verification CASCADE;
