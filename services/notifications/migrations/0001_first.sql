-- The first tables of notifications
-- depends:

-- migrate: apply
-- The copy of what users says about a person. A deleted account stays, empty: else an event that comes late would
-- bring it back.
CREATE TABLE recipients (
    user_id        uuid    PRIMARY KEY,
    email          text    NOT NULL,
    name           text    NOT NULL,
    order_emails   boolean NOT NULL,
    payment_emails boolean NOT NULL,
    version        bigint  NOT NULL,
    deleted        boolean NOT NULL
);

-- One row for each message to a person, sent or not. The unique index is the promise: never twice for one thing and kind.
CREATE TABLE notifications (
    id              uuid        PRIMARY KEY,
    kind            text        NOT NULL,
    subject_key     text        NOT NULL,
    order_id        uuid,
    user_id         uuid,
    toaddr          text        NOT NULL,
    subject         text        NOT NULL,
    body            text        NOT NULL,
    state           text        NOT NULL CHECK (state IN ('pending', 'sent', 'failed', 'suppressed')),
    code            text,
    attempts        integer     NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    correlation_id  text        NOT NULL,
    traceparent     text,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    sent_at         timestamptz,
    UNIQUE (kind, subject_key),
    CHECK ((state = 'sent') = (sent_at IS NOT NULL))
);
CREATE INDEX notifications_due ON notifications (next_attempt_at) WHERE state = 'pending' AND toaddr <> '';
CREATE INDEX notifications_without_address ON notifications (user_id) WHERE state = 'pending' AND toaddr = '';
CREATE INDEX notifications_of_user ON notifications (user_id, id);
CREATE INDEX notifications_of_order ON notifications (order_id) WHERE order_id IS NOT NULL;

-- What administrators asked for with POST /send. The message itself travels as the event email.requested.
CREATE TABLE email_requests (
    message_id      uuid        PRIMARY KEY,
    requested_by    uuid        NOT NULL,
    idempotency_key text,
    fingerprint     bytea       NOT NULL,
    requested_at    timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX email_requests_by_key ON email_requests (requested_by, idempotency_key)
    WHERE idempotency_key IS NOT NULL;

CREATE TABLE journal (
    position       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transaction_id xid8        NOT NULL DEFAULT pg_current_xact_id(),
    event_id       uuid        NOT NULL,
    type           text        NOT NULL,
    subject        text        NOT NULL,
    time           timestamptz NOT NULL DEFAULT clock_timestamp(),
    correlation_id text        NOT NULL,
    traceparent    text,
    data           json        NOT NULL
);
CREATE INDEX journal_commit_order ON journal (transaction_id, position);

CREATE TABLE journal_relay (
    name           text        PRIMARY KEY,
    transaction_id xid8        NOT NULL DEFAULT '0',
    position       bigint      NOT NULL DEFAULT 0,
    holder         uuid,
    leased_until   timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO journal_relay (name) VALUES ('broker');

CREATE TABLE inbox (
    event_id    uuid        PRIMARY KEY,
    received_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE dead_letters (
    event_id  uuid        PRIMARY KEY,
    type      text        NOT NULL,
    subject   text        NOT NULL,
    reason    text        NOT NULL,
    attempts  integer     NOT NULL,
    envelope  text        NOT NULL,
    failed_at timestamptz NOT NULL DEFAULT now()
);

-- migrate: rollback
DROP TABLE dead_letters;
DROP TABLE inbox;
DROP TABLE journal_relay;
DROP TABLE journal;
DROP TABLE email_requests;
DROP TABLE notifications;
DROP TABLE recipients;
