-- Limits on attempts to sign in by source, and the devices that are known
-- depends: 0004_journal_actors

-- migrate: apply
-- sign_in_attempts stays for a replica of the release before, which runs on during an upgrade; nothing else uses it.

-- A budget by the SHA-256 of what it is of: a source, an account from a source, an account, a known device. It is full
-- at full_at, and without a row it is full too.
CREATE TABLE sign_in_budgets (
    key     bytea       PRIMARY KEY,
    full_at timestamptz NOT NULL,
    turn_at timestamptz
);
CREATE INDEX sign_in_budgets_age ON sign_in_budgets (full_at);

-- Only hashes, as of refresh tokens.
CREATE TABLE known_devices (
    hash       bytea       PRIMARY KEY,
    account_id uuid        NOT NULL REFERENCES accounts (id),
    expires_at timestamptz NOT NULL
);
CREATE INDEX known_devices_of_account ON known_devices (account_id, expires_at);
CREATE INDEX known_devices_expiry ON known_devices (expires_at);

-- migrate: rollback
DROP TABLE known_devices;
DROP TABLE sign_in_budgets;
