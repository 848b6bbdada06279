-- The first tables of users
-- depends:

-- migrate: apply
-- A deleted account leaves a tombstone of id and version, without personal data.
CREATE TABLE accounts (
    id              uuid        PRIMARY KEY,
    email           text        UNIQUE,
    name            text,
    password_hash   text,
    roles           text[]      NOT NULL,
    order_emails    boolean     NOT NULL DEFAULT true,
    payment_emails  boolean     NOT NULL DEFAULT true,
    version         integer     NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    deleted_at      timestamptz,
    idempotency_key text        UNIQUE,
    fingerprint     bytea,
    CONSTRAINT accounts_nothing_personal_in_a_tombstone CHECK (
        CASE WHEN deleted_at IS NULL
             THEN num_nulls(email, name, password_hash) = 0
             ELSE num_nonnulls(email, name, password_hash, fingerprint) = 0 AND roles = '{}'
        END
    )
);
CREATE INDEX accounts_administrators ON accounts (id) WHERE 'admin' = ANY (roles);

-- A session is a family of refresh tokens: the use of one issues the next.
CREATE TABLE sessions (
    id         uuid        PRIMARY KEY,
    account_id uuid        NOT NULL REFERENCES accounts (id),
    started_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX sessions_of_account ON sessions (account_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

-- Only hashes, which a reader of the table cannot use. A token with a successor has been used.
CREATE TABLE refresh_tokens (
    hash       bytea       PRIMARY KEY,
    session_id uuid        NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    expires_at timestamptz NOT NULL,
    successor  bytea
);
CREATE INDEX refresh_tokens_of_session ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_expiry ON refresh_tokens (expires_at);

-- Failed sign-in attempts by the SHA-256 of the e-mail address, with or without an account.
CREATE TABLE sign_in_attempts (
    email_hash bytea       PRIMARY KEY,
    attempts   integer     NOT NULL,
    last_at    timestamptz NOT NULL
);
CREATE INDEX sign_in_attempts_age ON sign_in_attempts (last_at);

-- A key is in the JWKS from published_at to retires_at, when its last token has expired. It signs from signs_from until
-- its successor does. Without a successor it does not retire.
CREATE TABLE signing_keys (
    key_id       text        PRIMARY KEY,
    private_jwk  text        NOT NULL,
    published_at timestamptz NOT NULL,
    signs_from   timestamptz NOT NULL,
    retires_at   timestamptz
);

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

-- migrate: rollback
DROP TABLE journal_relay;
DROP TABLE journal;
DROP TABLE signing_keys;
DROP TABLE sign_in_attempts;
DROP TABLE refresh_tokens;
DROP TABLE sessions;
DROP TABLE accounts;
