-- A deleted account keeps no payment method, and no token of a payment that has ended
-- depends: 0005_signed_events

-- migrate: apply
-- A tombstone for each deleted account. `erased_at` is null while an open payment needs its token.
CREATE TABLE deleted_users (
    user_id    uuid        PRIMARY KEY,
    deleted_at timestamptz NOT NULL DEFAULT now(),
    erased_at  timestamptz
);
CREATE INDEX deleted_users_unfinished ON deleted_users (user_id) WHERE erased_at IS NULL;

-- migrate: rollback
DROP TABLE deleted_users;
