"""Promise 16: of a deleted account nothing personal stays where it was kept for its use.

What is a record of the books stays: orders, payments, that there were messages. So do the journals and audit.
"""

from cartwright.verifier.findings import Findings
from cartwright.verifier.invariant import Invariant, Rule
from cartwright.verifier.snapshots import Snapshots, side_by_side

_DELETED = """
    SELECT id, extract(epoch FROM now() - deleted_at)::float8 AS age_s
    FROM accounts
    WHERE deleted_at IS NOT NULL
    ORDER BY id
"""
_KEPT_BY = {
    "a payment method": ("payments", "SELECT DISTINCT user_id FROM payment_methods ORDER BY user_id"),
    "an address to write to": ("notifications", "SELECT user_id FROM recipients WHERE NOT deleted ORDER BY user_id"),
    "a name and an address": ("orders", "SELECT user_id FROM customers WHERE NOT deleted ORDER BY user_id"),
    "a cart": ("orders", "SELECT DISTINCT user_id FROM cart_items ORDER BY user_id"),
}
TOKENS_ARE_ERASED = Rule(
    service="payments",
    says="a payment of a deleted account keeps its token",
    things="deleted accounts",
    total="SELECT count(*) FROM deleted_users",
    broken="""
        SELECT payments.id, payments.state, extract(epoch FROM now() - greatest(
                   deleted_users.deleted_at, payments.authorized_at, payments.captured_at, payments.voided_at))
        FROM deleted_users
        JOIN payments ON payments.user_id = deleted_users.user_id
        WHERE payments.has_token
          AND payments.wanted IS NULL
          AND payments.state NOT IN ('intended', 'authorized')
    """,
)
MESSAGES_ARE_EMPTY = Rule(
    service="notifications",
    says="a message to a deleted account keeps its address or its text",
    things="deleted recipients",
    total="SELECT count(*) FROM recipients WHERE deleted",
    broken="""
        SELECT recipients.user_id, string_agg(notifications.id::text, ' ')
        FROM recipients
        LEFT JOIN notifications ON notifications.user_id = recipients.user_id
        WHERE recipients.deleted
          AND (recipients.is_known OR notifications.has_address OR notifications.has_content)
        GROUP BY recipients.user_id
    """,
)


async def walk(snapshots: Snapshots, findings: Findings) -> None:
    streams = {what: snapshots.stream(service, query) for what, (service, query) in _KEPT_BY.items()}
    deleted = 0
    async for user_id, found in side_by_side({"deleted": snapshots.stream("users", _DELETED), **streams}):
        if account := found.pop("deleted"):
            deleted += 1
            for what, kept in found.items():
                if kept:
                    findings.violated("a deleted account is kept", user_id, what, age_s=account[0]["age_s"])
    findings.checked_so_many("deleted accounts", deleted)


INVARIANT = Invariant(
    16, "nothing personal is kept of a deleted account", rules=(TOKENS_ARE_ERASED, MESSAGES_ARE_EMPTY), walk=walk
)
