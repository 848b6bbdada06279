"""Promise 7: nothing is stuck. Every saga ends, every event leaves its journal, dead letters are there to be seen."""

from cartwright.launcher.layout import CONSUMERS, PUBLISHERS
from cartwright.verifier.invariant import Invariant, Rule

SAGAS_END = Rule(
    service="orders",
    says="an order is stuck",
    things="orders",
    total="SELECT count(*) FROM orders",
    broken="""
        SELECT id, format('%s for %s s, %s attempts: %s', status, extract(epoch FROM now() - created_at)::bigint,
                          attempts, coalesce(last_trouble, 'nobody takes it up'))
        FROM orders
        WHERE status IN ('pending', 'cancelling')
          AND (deadline_at < now() - interval '60 s' OR next_attempt_at < now() - interval '60 s')
    """,
)
PAYMENTS_SETTLE = Rule(
    service="payments",
    says="a payment waits for its provider",
    things="payments",
    total="SELECT count(*) FROM payments WHERE user_id IS NOT NULL",
    broken="""
        SELECT id, format('%s wanted, %s attempts', wanted, attempts)
        FROM payments
        WHERE wanted IS NOT NULL AND greatest(created_at, authorized_at) < now() - interval '60 s'
        UNION ALL
        SELECT payment_id, format('refund %s, %s attempts', id, attempts)
        FROM refunds
        WHERE state = 'pending' AND created_at < now() - interval '60 s'
    """,
)
# A mail server may be away for long, and then the next attempt lies ahead. A sender's lease is 90 s.
NOTIFICATIONS_ARE_SENT = Rule(
    service="notifications",
    says="a notification is not being sent",
    things="notifications",
    total="SELECT count(*) FROM notifications",
    broken="""
        SELECT id, format('%s, due for %s s', kind, extract(epoch FROM now() - next_attempt_at)::bigint)
        FROM notifications
        WHERE state = 'pending' AND has_address AND next_attempt_at < now() - interval '120 s'
    """,
)


def _events_leave(service: str) -> Rule:
    return Rule(
        service=service,
        says=f"an event of {service} is not published",
        things=f"events of {service}",
        total="SELECT count(*) FROM journal",
        broken="""
            SELECT journal.event_id, format('%s, for %s s', journal.type,
                                            extract(epoch FROM now() - journal.time)::bigint)
            FROM journal
            JOIN journal_relay AS relay ON relay.name = 'signed'
            WHERE (journal.transaction_id, journal.position) > (relay.transaction_id, relay.position)
              AND journal.time < now() - interval '10 s'
        """,
    )


def _no_dead_letters(service: str) -> Rule:
    return Rule(
        service=service,
        says=f"an event is a dead letter of {service}",
        things=f"dead letters of {service}",
        total="SELECT count(*) FROM dead_letters",
        broken="SELECT event_id, format('%s after %s attempts: %s', type, attempts, reason) FROM dead_letters",
    )


INVARIANT = Invariant(
    7,
    "every saga ends, every event is published, no dead letters",
    rules=(
        SAGAS_END,
        PAYMENTS_SETTLE,
        NOTIFICATIONS_ARE_SENT,
        *(_events_leave(service) for service in PUBLISHERS),
        *(_no_dead_letters(service) for service in CONSUMERS),
    ),
)
