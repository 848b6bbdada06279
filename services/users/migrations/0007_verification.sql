-- The views that `cartwright verify` may read, without secrets, addresses and contents (chassis.persistence.privileges)
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

-- migrate: rollback
DROP SCHEMA verification CASCADE;
