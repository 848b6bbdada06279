-- `cartwright verify` reads whether a deleted account is erased, and no personal data
-- depends: 0008_encrypted_signing_keys

-- migrate: apply
CREATE VIEW verification.accounts AS
SELECT id, deleted_at
FROM accounts;

-- migrate: rollback
DROP VIEW verification.accounts;
