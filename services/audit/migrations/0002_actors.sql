-- Who did it: the actor of each event, copied out of the envelope (chassis.actor).
-- depends: 0001_first

-- migrate: apply
ALTER TABLE entries ADD COLUMN actor text DEFAULT 'unknown';
CREATE INDEX entries_by_actor ON entries (actor, position);

-- migrate: rollback
ALTER TABLE entries DROP COLUMN actor;
