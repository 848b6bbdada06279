-- The cursor of the relays that sign what they publish (chassis.signed_broker): the last day is said again.
-- depends: 0004_present_address_and_amounts

-- migrate: apply
INSERT INTO journal_relay (name, transaction_id, position)
SELECT 'signed', coalesce(earlier.transaction_id, '0'), coalesce(earlier.position, 0)
FROM (VALUES (true)) AS always
LEFT JOIN (
    SELECT transaction_id, position
    FROM journal
    WHERE time < now() - interval '1 day'
    ORDER BY position DESC
    LIMIT 1
) AS earlier ON true;

-- migrate: rollback
DELETE FROM journal_relay WHERE name = 'signed';
