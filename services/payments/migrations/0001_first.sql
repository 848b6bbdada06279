-- The first tables of payments
-- depends:

-- migrate: apply

-- Saved payment methods. Removed ones stay, so that a repeated request finds them by its Idempotency-Key.
CREATE TABLE payment_methods (
    id              uuid        PRIMARY KEY,
    user_id         uuid        NOT NULL,
    token           text        NOT NULL,
    label           text,
    brand           text        NOT NULL,
    last4           text        NOT NULL,
    is_default      boolean     NOT NULL,
    idempotency_key text,
    fingerprint     bytea       NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    removed_at      timestamptz,
    UNIQUE (user_id, idempotency_key),
    CHECK (removed_at IS NULL OR NOT is_default)
);
CREATE UNIQUE INDEX payment_methods_one_default ON payment_methods (user_id) WHERE is_default;
CREATE INDEX payment_methods_of_user ON payment_methods (user_id, id);

-- One row for each order, so one payment for each order. A row without a user is a tombstone: its void came first.
CREATE TABLE payments (
    id                     uuid        PRIMARY KEY,
    order_id               uuid        NOT NULL UNIQUE,
    user_id                uuid,
    amount_minor           bigint      NOT NULL CHECK (amount_minor >= 0),
    currency               text        NOT NULL,
    method_token           text        NOT NULL,
    method_brand           text        NOT NULL,
    method_last4           text        NOT NULL,
    state                  text        NOT NULL,
    wanted                 text,
    code                   text,
    refund_requested_minor bigint      NOT NULL DEFAULT 0,
    refunded_minor         bigint      NOT NULL DEFAULT 0,
    attempts               integer     NOT NULL DEFAULT 0,
    next_attempt_at        timestamptz NOT NULL DEFAULT now(),
    correlation_id         text        NOT NULL,
    traceparent            text,
    created_at             timestamptz NOT NULL DEFAULT now(),
    authorized_at          timestamptz,
    captured_at            timestamptz,
    voided_at              timestamptz,
    CHECK (state IN ('intended', 'authorized', 'declined', 'voided', 'captured')),
    CHECK (wanted IN ('capture', 'give_back')),
    CHECK (wanted IS NULL OR state IN ('intended', 'authorized')),
    CHECK (user_id IS NOT NULL OR state = 'voided'),
    CHECK (0 <= refunded_minor AND refunded_minor <= refund_requested_minor),
    CHECK (refund_requested_minor <= CASE WHEN state = 'captured' THEN amount_minor ELSE 0 END)
);
CREATE INDEX payments_wanted ON payments (next_attempt_at) WHERE wanted IS NOT NULL;
CREATE INDEX payments_of_user ON payments (user_id, id);

CREATE TABLE refunds (
    id              uuid        PRIMARY KEY,
    payment_id      uuid        NOT NULL REFERENCES payments,
    amount_minor    bigint      NOT NULL CHECK (amount_minor > 0),
    currency        text        NOT NULL,
    reason          text        NOT NULL,
    state           text        NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'done', 'failed')),
    code            text,
    idempotency_key text,
    fingerprint     bytea,
    attempts        integer     NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    correlation_id  text        NOT NULL,
    traceparent     text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    done_at         timestamptz,
    UNIQUE (payment_id, idempotency_key)
);
CREATE INDEX refunds_pending ON refunds (next_attempt_at) WHERE state = 'pending';
CREATE INDEX refunds_of_payment ON refunds (payment_id, id);

-- A transaction is the capture of a payment or a refund. The primary key books it once, however often it is tried.
CREATE TABLE ledger_entries (
    position       bigint      GENERATED ALWAYS AS IDENTITY UNIQUE,
    transaction_id uuid        NOT NULL,
    account        text        NOT NULL,
    payment_id     uuid        NOT NULL REFERENCES payments,
    amount_minor   bigint      NOT NULL CHECK (amount_minor <> 0),
    currency       text        NOT NULL,
    booked_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (transaction_id, account)
);
CREATE INDEX ledger_entries_of_payment ON ledger_entries (payment_id, position);

-- The record of the sandbox provider, down to the journal. No other table refers to it, as none could refer to the
-- record of a remote provider, and it is written in separate transactions.
CREATE TABLE sandbox_payments (
    payment_id     uuid        PRIMARY KEY,
    token          text        NOT NULL,
    amount_minor   bigint      NOT NULL,
    currency       text        NOT NULL,
    state          text        NOT NULL CHECK (state IN ('unheard', 'authorized', 'declined', 'voided', 'captured')),
    code           text,
    failures_left  integer     NOT NULL DEFAULT 0,
    heard_at       timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE sandbox_refunds (
    refund_id    uuid        PRIMARY KEY,
    payment_id   uuid        NOT NULL REFERENCES sandbox_payments,
    amount_minor bigint      NOT NULL CHECK (amount_minor > 0),
    given_at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX sandbox_refunds_of_payment ON sandbox_refunds (payment_id);

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
DROP TABLE dead_letters, inbox, journal_relay, journal, sandbox_refunds, sandbox_payments,
    ledger_entries, refunds, payments, payment_methods;
