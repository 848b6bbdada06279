"""Copies the history into the queue of a group that is new, or that lost its queue.

A queue gets what is published once it is bound. What was published before is in the history, a stream. The reader
writes a mark into it after the queue was bound, and copies all up to the mark: what is neither before the mark nor in
the queue does not exist, and what is both is known by its ids.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias
from uuid import uuid4

from aio_pika.abc import AbstractConnection
from aiormq.abc import DeliveredMessage

from chassis.messaging.broker import is_among
from chassis.messaging.brokers.rabbitmq.connection import limited, signature_in

SILENCE_S_MAX = 10.0
_READ_AT_ONCE = 256

Copy: TypeAlias = tuple[str, str | None, bytes, str]
"""A message's id, type, body and signature."""


async def copy_history(
    connection: AbstractConnection,
    stream: str,
    types: Sequence[str],
    *,
    mark: Callable[[str], Awaitable[None]],
    put: Callable[[Sequence[Copy]], Awaitable[None]],
) -> int:
    """Hand what the stream holds of `types` to `put`; answers how many messages that were.

    `mark` puts a message with the given id into the stream. Raises what these two raise, and `TimeoutError`.
    """
    last = f"mark-{uuid4()}"
    await mark(last)
    channel = await connection.channel(publisher_confirms=False)
    try:
        await channel.set_qos(prefetch_count=2 * _READ_AT_ONCE)
        wire = await channel.get_underlay_channel()
        arrived: asyncio.Queue[DeliveredMessage] = asyncio.Queue()
        async with limited(SILENCE_S_MAX):
            await wire.basic_consume(stream, arrived.put, arguments={"x-stream-offset": "first"})
        copied, is_at_mark = 0, False
        while not is_at_mark:
            batch = await _next_batch(arrived)
            wanted: list[Copy] = []
            for message in batch:
                properties = message.header.properties
                if properties.message_id == last:
                    is_at_mark = True
                    break
                if properties.message_type is not None and is_among(properties.message_type, types):
                    signature = signature_in(properties.headers or {})
                    wanted.append((properties.message_id or "", properties.message_type, message.body, signature))
            await put(wanted)
            copied += len(wanted)
            assert batch[-1].delivery_tag is not None, "the server numbers what it delivers"
            async with limited(SILENCE_S_MAX):
                await wire.basic_ack(batch[-1].delivery_tag, multiple=True)
        return copied
    finally:
        async with limited(SILENCE_S_MAX):
            await channel.close()


async def _next_batch(arrived: asyncio.Queue[DeliveredMessage]) -> list[DeliveredMessage]:
    async with limited(SILENCE_S_MAX):
        batch = [await arrived.get()]
    while len(batch) < _READ_AT_ONCE and not arrived.empty():
        batch.append(arrived.get_nowait())
    return batch
