-- The tables of one purchase in orders, catalog and payments, as their first migrations made them, in one database.
-- They do not follow later migrations: a baseline that changes its length measures nothing.

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
    UNIQUE (user_id, idempotency_key)
);
CREATE INDEX ON orders (user_id, id);
CREATE INDEX ON orders (next_attempt_at) WHERE status IN ('pending', 'cancelling');

CREATE TABLE orders_journal (
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
CREATE INDEX ON orders_journal (transaction_id, position);
CREATE INDEX ON orders_journal (subject, position);

CREATE TABLE stock (
    product_id uuid   PRIMARY KEY,
    available  bigint NOT NULL CHECK (available >= 0)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

CREATE TABLE reservations (
    order_id    uuid        PRIMARY KEY,
    state       text        NOT NULL CHECK (state IN ('held', 'sold', 'released')),
    lines       jsonb       NOT NULL DEFAULT '[]',
    currency    text,
    total_minor bigint,
    reserved_at timestamptz NOT NULL DEFAULT now(),
    settled_at  timestamptz,
    settled_by  text        CHECK (settled_by IN ('undo', 'confirmation', 'cancellation'))
) WITH (fillfactor = 70);

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
    voided_at              timestamptz
);
CREATE INDEX ON payments (next_attempt_at) WHERE wanted IS NOT NULL;
CREATE INDEX ON payments (user_id, id);

CREATE TABLE payments_journal (LIKE orders_journal INCLUDING ALL);

-- The number of a product is in its id, so that pgbench can pick one.
INSERT INTO stock (product_id, available)
SELECT lpad(to_hex(number), 32, '0')::uuid, 2000000000
FROM generate_series(1, :products) AS number;
