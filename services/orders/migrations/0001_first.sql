-- The first tables of orders
-- depends:

-- migrate: apply
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

-- The timeline of an order is read from the journal.
CREATE INDEX journal_subject ON journal (subject, position);

-- The copy of users' names and addresses, from their events. A deleted user stays as a tombstone without data, so that
-- an older event that comes late does not bring the data back.
CREATE TABLE customers (
    user_id uuid    PRIMARY KEY,
    name    text    NOT NULL,
    email   text    NOT NULL,
    version integer NOT NULL,
    deleted boolean NOT NULL DEFAULT false
);

-- Lines are one document: they are written and read with their order, never alone. [{product_id, quantity}] when
-- placed; name and unit_price_minor are added by the confirmation.
CREATE TABLE orders (
    id                   uuid        PRIMARY KEY,
    user_id              uuid        NOT NULL,
    customer_name        text        NOT NULL,
    customer_email       text        NOT NULL,
    lines                jsonb       NOT NULL,
    payment_method       text,
    expected_total_minor bigint,
    expected_currency    text,
    from_cart            boolean     NOT NULL,
    answer_later         boolean     NOT NULL,
    currency             text,
    total_minor          bigint      CHECK (total_minor >= 0),
    status               text        NOT NULL DEFAULT 'pending'
                         CHECK (status IN ('pending', 'cancelling', 'confirmed', 'shipped', 'cancelled', 'refused')),
    reason               jsonb,
    idempotency_key      text,
    fingerprint          bytea       NOT NULL,
    correlation_id       text        NOT NULL,
    traceparent          text,
    created_at           timestamptz NOT NULL DEFAULT now(),
    deadline_at          timestamptz NOT NULL,
    next_attempt_at      timestamptz NOT NULL,
    attempts             integer     NOT NULL DEFAULT 0,
    last_trouble         text,
    confirmed_at         timestamptz,
    ended_at             timestamptz,
    CONSTRAINT one_order_per_key UNIQUE (user_id, idempotency_key),
    CONSTRAINT confirmed_has_total CHECK (status NOT IN ('confirmed', 'shipped') OR total_minor IS NOT NULL)
);
-- Ids are UUIDv7, so their order is that of time.
CREATE INDEX orders_of_user ON orders (user_id, id);
-- The sweeper's: only what is on its way stands in it.
CREATE INDEX orders_due ON orders (next_attempt_at) WHERE status IN ('pending', 'cancelling');

CREATE TABLE cart_items (
    user_id    uuid        NOT NULL,
    product_id uuid        NOT NULL,
    quantity   integer     NOT NULL CHECK (quantity > 0),
    added_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, product_id)
);

-- migrate: rollback
DROP TABLE cart_items, orders, customers, dead_letters, inbox, journal_relay, journal;
