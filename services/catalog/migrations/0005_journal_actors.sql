-- The actor of each event: chassis.actor.
-- depends: 0004_minor_units

-- migrate: apply
ALTER TABLE journal ADD COLUMN actor text DEFAULT 'unknown';

-- migrate: rollback
ALTER TABLE journal DROP COLUMN actor;
