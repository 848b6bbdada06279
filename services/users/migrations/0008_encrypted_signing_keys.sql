-- Encrypted private signing keys (users.key_encryption)
-- depends: 0007_verification

-- migrate: apply
-- `ciphertext` is the nonce of 12 bytes and the private JWK, encrypted by AES-GCM under the key `encryption_key_id`.
ALTER TABLE signing_keys ADD COLUMN encryption_key_id text;
ALTER TABLE signing_keys ADD COLUMN ciphertext bytea;
ALTER TABLE signing_keys ALTER COLUMN private_jwk DROP NOT NULL;

-- The start of the service encrypts the keys of an earlier release, since only it has the encryption key, and drops the
-- column.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM signing_keys) THEN
        ALTER TABLE signing_keys DROP COLUMN private_jwk;
    END IF;
END
$$;

-- migrate: rollback
DELETE FROM signing_keys;
ALTER TABLE signing_keys DROP COLUMN ciphertext;
ALTER TABLE signing_keys DROP COLUMN encryption_key_id;
ALTER TABLE signing_keys ADD COLUMN IF NOT EXISTS private_jwk text NOT NULL;
