-- The first tables of newservice
-- depends:

-- migrate: apply
CREATE TABLE entries (
    id         uuid        PRIMARY KEY,
    user_id    uuid        NOT NULL,
    text       text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX entries_of_user ON entries (user_id);

-- include: chassis.messaging.journal.SCHEMA
-- include: chassis.messaging.journal.NUMBERS
-- include: chassis.messaging.journal.ACTORS
-- include: chassis.messaging.journal.SIGNED
-- include: chassis.messaging.inbox.SCHEMA

-- What `cartwright verify` may read: these views and nothing else (chassis.persistence.privileges)
CREATE SCHEMA verification;
CREATE VIEW verification.journal AS
SELECT position, transaction_id, event_id, type, subject, time, correlation_id, actor, md5(data::text) AS data_md5
FROM journal;
CREATE VIEW verification.journal_relay AS
SELECT name, transaction_id, position
FROM journal_relay;
COMMENT ON TABLE journal IS 'append-only: an emitted event is never changed';
CREATE VIEW verification.inbox AS
SELECT event_id
FROM inbox;
CREATE VIEW verification.dead_letters AS
SELECT event_id, type, reason, attempts
FROM dead_letters;

-- migrate: rollback
DROP SCHEMA verification CASCADE;
DROP TABLE dead_letters;
DROP TABLE inbox;
DROP FUNCTION journal_number;
DROP TABLE journal_relay;
DROP TABLE journal;
DROP TABLE entries;
