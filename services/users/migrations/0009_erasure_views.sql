-- What `cartwright verify` reads to see that a deleted account is erased: that something is there, and not what
-- depends: 0008_encrypted_signing_keys

-- migrate: apply
CREATE VIEW verification.accounts AS
SELECT id, deleted_at
FROM accounts;

-- migrate: rollback
DROP VIEW verification.accounts;
