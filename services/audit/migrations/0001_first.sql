-- The first tables of audit
-- depends:

-- migrate: apply
-- The journal of everything. Rows are only ever added, in the order of `position`, without gaps; each holds the hash
-- of the one before it. The columns between event_id and event_time are copies out of the envelope, to be searched.
CREATE TABLE entries (
    position       bigint      PRIMARY KEY,
    event_id       uuid        NOT NULL UNIQUE,
    type           text        NOT NULL,
    source         text        NOT NULL,
    subject        text        NOT NULL,
    order_id       uuid,
    correlation_id text        NOT NULL,
    event_time     timestamptz NOT NULL,
    recorded_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    envelope       text        NOT NULL,
    previous_hash  bytea       NOT NULL CHECK (length(previous_hash) = 32),
    hash           bytea       NOT NULL CHECK (length(hash) = 32)
);
CREATE INDEX entries_by_correlation ON entries (correlation_id, position);
CREATE INDEX entries_by_order ON entries (order_id, position) WHERE order_id IS NOT NULL;
CREATE INDEX entries_by_type ON entries (type, position);
CREATE INDEX entries_by_time ON entries (event_time);

-- The end of the chain, in one row. Whoever adds to the chain locks it, so replicas add one after the other.
CREATE TABLE chain_head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    position bigint  NOT NULL,
    hash     bytea   NOT NULL CHECK (length(hash) = 32)
);
INSERT INTO chain_head (position, hash) VALUES (0, decode(repeat('00', 32), 'hex'));

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
DROP TABLE chain_head;
DROP TABLE entries;
