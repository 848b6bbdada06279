-- The Idempotency-Key of a registration belongs to the address: store a digest of both (users/register_account.py)
-- depends: 0002_journal_numbers

-- migrate: apply
UPDATE accounts
SET idempotency_key = encode(sha256(convert_to(email, 'UTF8') || '\x00' || convert_to(idempotency_key, 'UTF8')), 'hex')
WHERE idempotency_key IS NOT NULL AND email IS NOT NULL;
UPDATE accounts SET idempotency_key = NULL WHERE email IS NULL;

-- migrate: rollback
UPDATE accounts SET idempotency_key = NULL;
