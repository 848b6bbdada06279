-- Private signing keys are encrypted (users.key_encryption)
-- depends: 0007_verification

-- migrate: apply
-- `ciphertext` is the private JWK, by AES-GCM with the key that `encryption_key_id` names: nonce, 12 bytes, and the rest.
ALTER TABLE signing_keys ADD COLUMN encryption_key_id text;
ALTER TABLE signing_keys ADD COLUMN ciphertext bytea;
ALTER TABLE signing_keys ALTER COLUMN private_jwk DROP NOT NULL;

-- Keys of an earlier version are encrypted at the start of the service, which has the key for it, and the column goes then.
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
