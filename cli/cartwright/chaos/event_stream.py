"""The messages that the broker holds, as an operator or an intruder reads and writes them: with raw signatures."""

import random
import uuid
from dataclasses import dataclass

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.client import JetStreamContext
from nats.js.errors import Error as JetStreamError
from nats.js.errors import NotFoundError

from cartwright.launcher import keys
from cartwright.launcher.broker_logins import FAMILIES
from cartwright.launcher.layout import STREAM
from cartwright.launcher.system import System
from chassis.messaging.broker import SIGNATURE_HEADER
from chassis.messaging.signed_broker import Origins

CONNECT_S_MAX = 3.0
CALL_S_MAX = 5.0
BROKER_ERRORS = (NatsError, JetStreamError, OSError)
"""Raised by every call here while the broker is away."""


@dataclass(frozen=True, slots=True)
class StreamMessage:
    """One message: an event or a batch of events. An empty `signature` is no signature."""

    type: str
    body: bytes
    signature: str


class EventStream:
    """A connection by the operator's login, which may read and publish everything. An async context manager."""

    _connection: Client
    _stream: JetStreamContext

    def __init__(self, system: System) -> None:
        self._url = system.operator_events_url
        self._origins = Origins(
            keys.public_keys(system.credentials.service_keys.values()),
            {family: service for service, families in FAMILIES.items() for family in families},
        )

    async def __aenter__(self) -> "EventStream":
        self._connection = await nats.connect(
            self._url, connect_timeout=CONNECT_S_MAX, allow_reconnect=False, error_cb=_ignore
        )
        self._stream = self._connection.jetstream(timeout=CALL_S_MAX)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()

    async def sample(self, publisher: str, draw: random.Random, size_max: int) -> list[StreamMessage]:
        """Up to `size_max` genuine messages of each event family of `publisher`, from a random position on."""
        state = (await self._stream.stream_info(STREAM)).state
        position = draw.randint(state.first_seq, max(state.first_seq, state.last_seq))
        messages = []
        for family in FAMILIES[publisher]:
            found = await self._after(position, family, size_max)
            messages += found or await self._after(state.first_seq, family, size_max)
        return messages

    async def _after(self, position: int, family: str, size_max: int) -> list[StreamMessage]:
        messages: list[StreamMessage] = []
        while len(messages) < size_max:
            try:
                found = await self._stream.get_msg(STREAM, seq=position, subject=f"{STREAM}.{family}.*", next=True)
            except NotFoundError:
                break
            assert found.subject is not None, "a stored message has a subject"
            assert found.seq is not None, "a stored message has a position"
            signature = (found.headers or {}).get(SIGNATURE_HEADER, "")
            message = StreamMessage(found.subject.removeprefix(f"{STREAM}."), found.data or b"", signature)
            # The stream holds earlier forgeries, too.
            if self._origins.refusal(signature, message.body, [message.type]) is None:
                messages.append(message)
            position = found.seq + 1
        return messages

    async def publish(self, message: StreamMessage) -> None:
        """Publishes under a new message id: the broker does not recognise a repetition."""
        headers = {"Nats-Msg-Id": str(uuid.uuid4())}
        if message.signature:
            headers[SIGNATURE_HEADER] = message.signature
        await self._stream.publish(f"{STREAM}.{message.type}", message.body, headers=headers)


async def _ignore(_: Exception) -> None:
    """The calls raise the same errors."""
