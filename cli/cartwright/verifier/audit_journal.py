"""Promise 8: every change of state is in the audit journal once, in a legal order, with its actor,
and the hash chain holds against the heads that audit has signed.

What is compared: each order's and payment's state with the story that the service's own journal tells of it; each
row of every journal with audit's entry of the same event; audit's entries with their chain.
"""

from collections.abc import AsyncIterator
from uuid import UUID

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from cartwright.launcher.layout import PUBLISHERS
from cartwright.verifier.findings import Findings
from cartwright.verifier.invariant import Invariant, Rule
from cartwright.verifier.snapshots import Row, Snapshots, side_by_side

ORDER_EVENTS_EXPLAIN_STATES = Rule(
    service="orders",
    says="an order's events do not tell how it came to its state",
    things="orders",
    total="SELECT count(*) FROM orders",
    broken="""
        WITH told AS (
            SELECT subject, string_agg(split_part(type, '.', 2), ' ' ORDER BY position) AS story
            FROM journal
            WHERE type LIKE 'order.%'
            GROUP BY subject
        ), stories AS (
            SELECT coalesce(told.subject, orders.id::text) AS id,
                   orders.status,
                   coalesce(told.story, '') AS story,
                   CASE orders.status
                       WHEN 'pending'    THEN 'placed'
                       WHEN 'cancelling' THEN 'placed'
                       WHEN 'confirmed'  THEN 'placed confirmed'
                       WHEN 'shipped'    THEN 'placed confirmed shipped'
                       WHEN 'refused'    THEN 'placed cancelled'
                       WHEN 'cancelled'  THEN CASE WHEN orders.confirmed_at IS NULL THEN 'placed cancelled'
                                                   ELSE 'placed confirmed cancelled' END
                   END AS legal
            FROM orders
            FULL JOIN told ON told.subject = orders.id::text
        )
        SELECT id, format('%s: %s', coalesce(status, 'unknown'), story) FROM stories WHERE story IS DISTINCT FROM legal
    """,
)
PAYMENT_EVENTS_EXPLAIN_STATES = Rule(
    service="payments",
    says="a payment's events do not tell how it came to its state",
    things="payments",
    total="SELECT count(*) FROM payments WHERE user_id IS NOT NULL",
    broken="""
        WITH told AS (
            SELECT subject, string_agg(split_part(type, '.', 2), ' ' ORDER BY position) AS story
            FROM journal
            WHERE type LIKE 'payment.%'
            GROUP BY subject
        ), given AS (
            SELECT payment_id, count(*)::integer AS refunds
            FROM refunds
            WHERE state = 'done'
            GROUP BY payment_id
        ), stories AS (
            SELECT coalesce(told.subject, payments.id::text) AS id,
                   payments.state,
                   coalesce(told.story, '') AS story,
                   CASE payments.state
                       WHEN 'intended'   THEN ARRAY['']
                       WHEN 'authorized' THEN ARRAY['authorized']
                       WHEN 'declined'   THEN ARRAY['declined']
                       WHEN 'voided'     THEN CASE WHEN payments.user_id IS NULL THEN ARRAY['']
                                                   ELSE ARRAY['voided', 'authorized voided'] END
                       WHEN 'captured'   THEN ARRAY['authorized captured' || repeat(' refunded', coalesce(refunds, 0))]
                   END AS legal
            FROM payments
            LEFT JOIN given ON given.payment_id = payments.id
            FULL JOIN told ON told.subject = payments.id::text
        )
        SELECT id, format('%s: %s', coalesce(state, 'unknown'), story)
        FROM stories
        WHERE (story = ANY (legal)) IS NOT TRUE
    """,
)

EVENTS_HAVE_ACTORS = Rule(
    service="audit",
    says="an event has no actor",
    things="recorded events",
    total="SELECT count(*) FROM entries",
    # What was written before actors were kept has one that is unknown.
    broken="SELECT event_id, format('%s of %s', type, source) FROM entries WHERE actor IS NULL",
)

_JOURNAL = """
    SELECT event_id, type, subject, correlation_id, position::text AS sequence, data_md5,
           extract(epoch FROM now() - time)::float8 AS age_s
    FROM journal
    ORDER BY event_id
"""
_AUDIT = """
    SELECT event_id, type, subject, correlation_id, sequence, data_md5,
           extract(epoch FROM now() - recorded_at)::float8 AS age_s,
           source
    FROM entries
    ORDER BY event_id
"""
_COMPARED = ("type", "subject", "correlation_id", "sequence", "data_md5")

_CHAIN = """
    SELECT position, event_id, previous_hash, hash, content_hash, is_event, is_found_by_envelope
    FROM entries
    ORDER BY position
"""
_HEADS = """
    SELECT signed_heads.position, signed_heads.statement, encode(entries.hash, 'hex') AS hash
    FROM signed_heads
    LEFT JOIN entries ON entries.position = signed_heads.position
    ORDER BY signed_heads.id
"""
GENESIS = bytes(32)


class _SignedHead(msgspec.Struct):
    position: int
    hash: str


async def walk(snapshots: Snapshots, findings: Findings) -> None:
    await compare_journals(snapshots, findings)
    (head,) = await snapshots.rows("audit", "SELECT position, hash FROM chain_head")
    await compare_heads(snapshots, findings)
    await follow_chain(snapshots.stream("audit", _CHAIN), (head["position"], head["hash"]), findings)


async def compare_heads(snapshots: Snapshots, findings: Findings) -> None:
    """The chain with each head that was signed: who rewrites the chain cannot sign another one."""
    public = None if not snapshots.head_keys else KeySet.import_key_set(msgspec.json.decode(snapshots.head_keys))
    heads = 0
    async for row in snapshots.stream("audit", _HEADS):
        heads += 1
        try:
            if public is None:
                signed = jws.extract_compact(row["statement"].encode())
            else:
                signed = jws.deserialize_compact(row["statement"], public, algorithms=["ES256"])
            said = msgspec.json.decode(signed.payload, type=_SignedHead)
        except (JoseError, msgspec.MsgspecError, ValueError):
            findings.violated("a signed head is forged", row["position"])
            continue
        if signed.headers().get("typ") != "audit-head":
            findings.violated("a signed head is forged", row["position"])
        elif (said.position, said.hash) != (row["position"], row["hash"]):
            findings.violated("the chain is another than the one that was signed", row["position"])
    findings.checked_so_many("signed heads", heads)


async def compare_journals(snapshots: Snapshots, findings: Findings) -> None:
    """Every row of every journal with audit's entry of the same event."""
    streams = {service: snapshots.stream(service, _JOURNAL) for service in PUBLISHERS}
    events = 0
    async for event_id, found in side_by_side({"audit": snapshots.stream("audit", _AUDIT), **streams}):
        entries = found.pop("audit")
        said = [(service, row) for service, rows in found.items() for row in rows]
        events += 1
        _compare(event_id, said, entries, findings)
    findings.checked_so_many("events", events)


def _compare(event_id: UUID, said: list[tuple[str, Row]], entries: list[Row], findings: Findings) -> None:
    if len(said) > 1:
        findings.violated("an event stands in the journals twice", event_id, said[0][1]["type"])
    if len(entries) > 1:
        findings.violated("an event was recorded twice", event_id, entries[0]["type"])
    if not entries:
        service, row = said[0]
        detail = f"{row['type']} of {row['subject']} in {service}"
        findings.violated("an event was not recorded", event_id, detail, age_s=row["age_s"])
    # What audit says of itself comes from no journal: it has none.
    elif not said and entries[0]["source"] != "/audit":
        detail = f"{entries[0]['type']} of {entries[0]['subject']}, as if of {entries[0]['source']}"
        findings.violated("an event was recorded that nobody has said", event_id, detail, age_s=entries[0]["age_s"])
    elif said:
        service, row = said[0]
        differs = [column for column in _COMPARED if row[column] != entries[0][column]]
        if entries[0]["source"] != f"/{service}":
            differs.append("source")
        if differs:
            findings.violated("an event was recorded otherwise than said", event_id, ", ".join(differs))


async def follow_chain(entries: AsyncIterator[Row], head: tuple[int, bytes], findings: Findings) -> None:
    """Entries in the order of their positions. Only the first break is told: all after it follows from it.

    hash = SHA-256(previous hash || position, 8 bytes big-endian || event id, 16 bytes || envelope, UTF-8); the first
    previous hash is 32 zero bytes. PostgreSQL computes it again in audit's view: the envelopes hold addresses, and are
    not shown to the login that checks.
    """
    position, previous = 0, GENESIS
    async for entry in entries:
        fault = _fault_of(entry, position + 1, previous)
        if fault is not None:
            findings.violated("the hash chain is broken", entry["event_id"], f"at position {position + 1}: {fault}")
            return
        position, previous = entry["position"], entry["hash"]
    findings.checked_so_many("entries of the chain", position)
    if (position, previous) != head:
        findings.violated("the hash chain is broken", position, f"it ends there, and its head is at {head[0]}")


def _fault_of(entry: Row, position: int, previous: bytes) -> str | None:
    if entry["position"] != position:
        return "the entry is missing"
    if entry["previous_hash"] != previous:
        return "it does not follow the entry before it"
    if entry["hash"] != entry["content_hash"]:
        return "its content is not what was written"
    if not entry["is_event"]:
        return "its content is no event"
    if not entry["is_found_by_envelope"]:
        return "what it is found by is not what its envelope says"
    return None


INVARIANT = Invariant(
    8,
    "every change is in the audit journal once, in a legal order, with its actor; its chain holds against signed heads",
    rules=(ORDER_EVENTS_EXPLAIN_STATES, PAYMENT_EVENTS_EXPLAIN_STATES, EVENTS_HAVE_ACTORS),
    walk=walk,
)
