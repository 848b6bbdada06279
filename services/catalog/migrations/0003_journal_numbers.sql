-- The transaction numbers of the journal continue after a restore from a dump (chassis.messaging.restore_detection).
-- depends: 0002_words

-- migrate: apply
CREATE FUNCTION journal_number(transaction_id xid8) RETURNS xid8 LANGUAGE sql STABLE AS 'SELECT $1';

-- migrate: rollback
ALTER TABLE journal ALTER COLUMN transaction_id SET DEFAULT pg_current_xact_id();
DROP FUNCTION journal_number;
