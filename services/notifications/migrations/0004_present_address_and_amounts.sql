-- Mails go to the present address of an account, and state what the ledger says at the time of sending
-- depends: 0003_journal_actors

-- migrate: apply
-- Before the columns, so that the table can be read while the index is made.
-- What an administrator had sent to an address is found by it when its account is deleted.
CREATE INDEX notifications_without_user ON notifications (toaddr) WHERE user_id IS NULL;

-- What the version before wrote about money was a guess.
UPDATE notifications
SET body = regexp_replace(body, '\n(You get your|You have not been charged)[^\n]*\n',
                          E'\nYour order shows what becomes of the payment.\n')
WHERE state = 'pending' AND kind = 'order_cancelled';

-- `event_data`: what a text that is written at the time of sending is made of. `amounts`: the sums that the text states,
-- in minor units, for a check against the ledger.
ALTER TABLE notifications ADD COLUMN event_data json, ADD COLUMN amounts json;

-- migrate: rollback
DROP INDEX notifications_without_user;
ALTER TABLE notifications DROP COLUMN event_data, DROP COLUMN amounts;
