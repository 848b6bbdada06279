-- The actor of each event (chassis.actor)
-- depends: 0003_registration_keys

-- migrate: apply
ALTER TABLE journal ADD COLUMN actor text DEFAULT 'unknown';

-- migrate: rollback
ALTER TABLE journal DROP COLUMN actor;
