-- The version of an account at the last change of its roles: tokens of an older version stay revoked
-- depends: 0010_international_addresses

-- migrate: apply
ALTER TABLE accounts ADD COLUMN roles_version integer NOT NULL DEFAULT 0;

-- migrate: rollback
ALTER TABLE accounts DROP COLUMN roles_version;
