-- What `cartwright verify` reads to see that a deleted account is erased: that something is there, and not what
-- depends: 0007_verification

-- migrate: apply
CREATE VIEW verification.accounts AS
SELECT id, deleted_at
FROM accounts;

-- migrate: rollback
DROP VIEW verification.accounts;
