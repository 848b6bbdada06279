"""Promise 14: a right that was taken away is gone. Seen in the audit journal: no user acts with an ended right.

The right ends at once in users, and within two seconds in the other services. An event bears the time of its commit,
and the request may have begun before, in a process that was frozen meanwhile: hence the minute. A right that did not
end shows for the 15 minutes that a token lives.
"""

from cartwright.verifier.invariant import Invariant, Rule

# Acts that are done when they are answered. A capture or a refund keeps the actor who asked for it, and may come later.
_DONE_AT_ONCE = """
    (type LIKE 'user.%' OR type LIKE 'product.%' OR type LIKE 'stock.%'
     OR type IN ('operator.acted', 'email.requested', 'order.placed', 'order.shipped'))
"""
_CHANGES_OF_RIGHTS = """
    SELECT subject AS user_id, event_time, position,
           coalesce(roles ? 'admin', false) AS is_administrator
    FROM entries
    WHERE type IN ('user.roles_changed', 'user.deleted')
"""

ADMINISTRATORS_HAVE_THE_ROLE = Rule(
    service="audit",
    says="an administrator acted whose role had been taken away",
    things="recorded events",
    total="SELECT count(*) FROM entries",
    broken=f"""
        WITH changes AS MATERIALIZED ({_CHANGES_OF_RIGHTS}),
             acts AS (
                SELECT event_id, type, event_time, substr(actor, length('operator:') + 1) AS user_id
                FROM entries
                WHERE actor LIKE 'operator:%' AND {_DONE_AT_ONCE}
             )
        SELECT acts.event_id, format('%s by %s', acts.type, acts.user_id)
        FROM acts
        WHERE (SELECT NOT changes.is_administrator
               FROM changes
               WHERE changes.user_id = acts.user_id AND changes.event_time < acts.event_time - interval '1 minute'
               ORDER BY changes.event_time DESC, changes.position DESC
               LIMIT 1)
          AND NOT EXISTS (SELECT FROM changes
                          WHERE changes.user_id = acts.user_id AND changes.is_administrator
                            AND changes.event_time BETWEEN acts.event_time - interval '1 minute' AND acts.event_time)
    """,  # noqa: S608
)
ACTORS_HAVE_ACCOUNTS = Rule(
    service="audit",
    says="a person acted whose account had been deleted",
    things="recorded events",
    total="SELECT count(*) FROM entries",
    broken=f"""
        SELECT acts.event_id, format('%s by %s', acts.type, acts.actor)
        FROM entries AS deletions
        JOIN entries AS acts
          ON acts.actor IN ('user:' || deletions.subject, 'operator:' || deletions.subject)
         AND acts.event_time > deletions.event_time + interval '1 minute'
        WHERE deletions.type = 'user.deleted'
          AND {_DONE_AT_ONCE.replace("type ", "acts.type ")}
    """,  # noqa: S608
)

INVARIANT = Invariant(
    14,
    "nobody acts with a right that was taken away",
    rules=(ADMINISTRATORS_HAVE_THE_ROLE, ACTORS_HAVE_ACCOUNTS),
)
