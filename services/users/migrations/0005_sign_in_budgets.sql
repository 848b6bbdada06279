-- Sign-in limits by source, and known devices
-- depends: 0004_journal_actors

-- migrate: apply
-- sign_in_attempts stays for replicas of the previous release, which run during an upgrade. Nothing else uses it.

-- The key is a SHA-256 of the source, of the account from a source, of the account, or of a known device. The budget is
-- full at full_at, and also without a row. turn_at is the slot of a source at an account.
CREATE TABLE sign_in_budgets (
    key     bytea       PRIMARY KEY,
    full_at timestamptz NOT NULL,
    turn_at timestamptz
);
CREATE INDEX sign_in_budgets_age ON sign_in_budgets (full_at);

-- Only hashes, as for refresh tokens.
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
