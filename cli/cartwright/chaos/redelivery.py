"""Says events once more that were said before: out of order, twice, and long after, under message ids of their own.

With the ids of the first time the broker would keep them out; it is the listeners who have to know them again.
"""

import random
import uuid
from datetime import UTC
from typing import Any

import asyncpg
import msgspec
import nats
from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError

from cartwright.launcher.layout import STREAM
from cartwright.launcher.system import System
from chassis.messaging.broker import SIGNATURE_HEADER
from chassis.messaging.signed_broker import Signer

EVENTS_MAX = 200
CONNECT_S_MAX = 3.0
PUBLISH_S_MAX = 5.0

_LENGTH = "SELECT coalesce(max(position), 0) FROM journal"
_WINDOW = """
    SELECT position, event_id, type, subject, time, correlation_id, traceparent, actor, data::text
    FROM journal
    WHERE position > $1
    ORDER BY position
    LIMIT $2
"""


async def say_again(system: System, publisher: str, draw: random.Random) -> str:
    """Publishes a stretch of the publisher's journal again. Answers why not, where it could not."""
    try:
        messages = await _messages(system, publisher, draw)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return f"the journal could not be read: {type(error).__name__}"
    try:
        connection = await nats.connect(
            system.operator_events_url, connect_timeout=CONNECT_S_MAX, allow_reconnect=False, error_cb=_ignore
        )
    except (NatsError, OSError) as error:
        return f"the broker was away: {type(error).__name__}"
    try:
        stream = connection.jetstream(timeout=PUBLISH_S_MAX)
        signer = Signer(publisher, system.credentials.service_keys[publisher])
        for type_, body in messages:
            headers = {"Nats-Msg-Id": str(uuid.uuid4()), SIGNATURE_HEADER: signer.sign(body)}
            await stream.publish(f"{STREAM}.{type_}", body, headers=headers)
    except (NatsError, JetStreamError, OSError) as error:
        return f"not all could be said: {type(error).__name__}"
    finally:
        await connection.close()
    return "" if messages else "there was nothing to say yet"


async def _messages(system: System, publisher: str, draw: random.Random) -> list[tuple[str, bytes]]:
    journal = await asyncpg.connect(
        system.database_url(publisher), timeout=CONNECT_S_MAX, command_timeout=PUBLISH_S_MAX
    )
    try:
        first = draw.randrange(max(await journal.fetchval(_LENGTH) - EVENTS_MAX, 1))
        rows = await journal.fetch(_WINDOW, first, EVENTS_MAX)
    finally:
        journal.terminate()
    messages = [(row["type"], _event(publisher, row)) for row in rows]
    messages += draw.sample(messages, len(messages) // 4)
    draw.shuffle(messages)
    return messages


def _event(publisher: str, row: Any) -> bytes:
    """As the publisher itself said it: contracts/envelope.json."""
    event = {
        "id": row["event_id"],
        "source": f"/{publisher}",
        "type": row["type"],
        "subject": row["subject"],
        "time": row["time"].astimezone(UTC),
        "sequence": str(row["position"]),
        "correlationid": row["correlation_id"],
        "data": msgspec.Raw(row["data"].encode()),
        "traceparent": row["traceparent"],
        "actor": row["actor"],
        "specversion": "1.0",
        "datacontenttype": "application/json",
    }
    return msgspec.json.encode(event)


async def _ignore(_: Exception) -> None:
    """Told by the calls themselves."""
