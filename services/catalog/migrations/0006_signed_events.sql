-- The cursor of the relays that sign: they publish the last day again, and all unpublished events (signed_broker.py).
-- depends: 0005_journal_actors

-- migrate: apply
INSERT INTO journal_relay (name, transaction_id, position)
SELECT 'signed', transaction_id, position
FROM (
    SELECT transaction_id, position
    FROM journal_relay
    WHERE name = 'broker'
    UNION ALL
    SELECT coalesce(earlier.transaction_id, '0'), coalesce(earlier.position, 0)
    FROM (VALUES (true)) AS always
    LEFT JOIN (
        SELECT transaction_id, position
        FROM journal
        WHERE time < (SELECT time FROM journal ORDER BY position DESC LIMIT 1) - interval '1 day'
        ORDER BY position DESC
        LIMIT 1
    ) AS earlier ON true
) AS cursors
ORDER BY transaction_id, position
LIMIT 1;

-- migrate: rollback
DELETE FROM journal_relay WHERE name = 'signed';
