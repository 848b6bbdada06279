-- The few accounts whose address may have several forms, for users.workers.address_canonicaliser
-- depends: 0009_erasure_views

-- migrate: apply
CREATE INDEX accounts_international_addresses ON accounts (id) WHERE email ~ '[^\x01-\x7e]' OR email ~ '[@.]xn--';

-- migrate: rollback
DROP INDEX accounts_international_addresses;
