-- The first tables of catalog: products, their stock, and the reservations of orders.
-- depends:

-- migrate: apply
CREATE TABLE categories (
    id                  uuid        PRIMARY KEY,
    name                text        NOT NULL,
    created_at          timestamptz NOT NULL DEFAULT now(),
    created_by          uuid,
    idempotency_key     text,
    request_fingerprint bytea,
    UNIQUE (created_by, idempotency_key)
);
CREATE UNIQUE INDEX categories_name ON categories (lower(name));

-- Wide and seldom written. The available quantity is in `stock`, so that a purchase rewrites a few bytes and no index.
CREATE TABLE products (
    id                  uuid        PRIMARY KEY,
    sku                 text        NOT NULL,
    name                text        NOT NULL,
    description         text        NOT NULL,
    category_id         uuid        REFERENCES categories (id),
    price_minor         bigint      NOT NULL CHECK (price_minor > 0),
    currency            text        NOT NULL,
    attributes          jsonb       NOT NULL,
    version             integer     NOT NULL DEFAULT 1,
    created_at          timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz NOT NULL DEFAULT now(),
    deleted_at          timestamptz,
    created_by          uuid,
    idempotency_key     text,
    request_fingerprint bytea,
    trigrams            text[]      NOT NULL,
    search              tsvector    NOT NULL GENERATED ALWAYS AS (
        setweight(to_tsvector('english', name), 'A') ||
        setweight(to_tsvector('simple', sku), 'A') ||
        setweight(to_tsvector('english', description), 'C') ||
        setweight(jsonb_to_tsvector('english', attributes, '["string"]'), 'D')
    ) STORED,
    UNIQUE (created_by, idempotency_key)
);
-- A SKU is free again once its product is deleted.
CREATE UNIQUE INDEX products_sku ON products (sku) WHERE deleted_at IS NULL;
CREATE INDEX products_by_name ON products (lower(name), id) WHERE deleted_at IS NULL;
CREATE INDEX products_by_price ON products (currency, price_minor, id) WHERE deleted_at IS NULL;
CREATE INDEX products_by_age ON products (created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX products_by_category ON products (category_id) WHERE deleted_at IS NULL;
CREATE INDEX products_search ON products USING gin (search);
CREATE INDEX products_trigrams ON products USING gin (trigrams);

-- Narrow, and with free space on its pages: the row of a popular product is rewritten thousands of times a second. With
-- free space it stays on its page (a HOT update).
CREATE TABLE stock (
    product_id uuid   PRIMARY KEY REFERENCES products (id),
    available  bigint NOT NULL CHECK (available >= 0)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- The ledger of all changes of the stock but those by orders. The initial stock is its first entry. Rows never change.
CREATE TABLE stock_adjustments (
    id                  uuid        PRIMARY KEY,
    product_id          uuid        NOT NULL REFERENCES products (id),
    quantity            bigint      NOT NULL CHECK (quantity <> 0),
    reason              text        NOT NULL,
    available           bigint      NOT NULL CHECK (available >= 0),
    created_at          timestamptz NOT NULL DEFAULT now(),
    created_by          uuid,
    idempotency_key     text,
    request_fingerprint bytea,
    UNIQUE (created_by, idempotency_key)
);
CREATE INDEX stock_adjustments_of_product ON stock_adjustments (product_id, id);

-- The stock that each order holds, has bought or has returned. `released` without lines is a tombstone, which refuses
-- a late reservation.
CREATE TABLE reservations (
    order_id    uuid        PRIMARY KEY,
    state       text        NOT NULL CHECK (state IN ('held', 'sold', 'released')),
    lines       jsonb       NOT NULL DEFAULT '[]',
    currency    text,
    total_minor bigint,
    reserved_at timestamptz NOT NULL DEFAULT now(),
    settled_at  timestamptz,
    settled_by  text        CHECK (settled_by IN ('undo', 'confirmation', 'cancellation')),
    CHECK ((state = 'held') = (settled_at IS NULL)),
    CHECK ((settled_at IS NULL) = (settled_by IS NULL)),
    CHECK (state = 'released' OR (lines <> '[]' AND currency IS NOT NULL AND total_minor IS NOT NULL))
) WITH (fillfactor = 70);

-- The invariant of the stock: `difference` is zero for every product at all times.
CREATE VIEW stock_balance AS
WITH adjusted AS (
    SELECT product_id, sum(quantity) AS quantity
    FROM stock_adjustments
    GROUP BY product_id
), reserved AS (
    SELECT
        (line ->> 'product_id')::uuid AS product_id,
        sum((line ->> 'quantity')::bigint) FILTER (WHERE reservations.state = 'held') AS held,
        sum((line ->> 'quantity')::bigint) FILTER (WHERE reservations.state = 'sold') AS sold
    FROM reservations
    CROSS JOIN LATERAL jsonb_array_elements(reservations.lines) AS line
    GROUP BY 1
)
SELECT
    stock.product_id,
    coalesce(adjusted.quantity, 0) AS adjusted,
    stock.available,
    coalesce(reserved.held, 0) AS held,
    coalesce(reserved.sold, 0) AS sold,
    coalesce(adjusted.quantity, 0) - stock.available - coalesce(reserved.held, 0) - coalesce(reserved.sold, 0)
        AS difference
FROM stock
LEFT JOIN adjusted ON adjusted.product_id = stock.product_id
LEFT JOIN reserved ON reserved.product_id = stock.product_id;

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
DROP VIEW stock_balance;
DROP TABLE dead_letters, inbox, journal_relay, journal, reservations, stock_adjustments, stock, products, categories;
