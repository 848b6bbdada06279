-- What payments has said of each order: for the amounts refunded, and for the timeline
-- depends: 0008_cart_changes

-- migrate: apply
CREATE TABLE payment_events (
    order_id     uuid        NOT NULL,
    event_id     uuid        NOT NULL,
    type         text        NOT NULL,
    time         timestamptz NOT NULL,
    actor        text,
    amount_minor bigint      NOT NULL,
    currency     text        NOT NULL,
    data         json        NOT NULL,
    PRIMARY KEY (order_id, event_id)
);

-- migrate: rollback
DROP TABLE payment_events;
