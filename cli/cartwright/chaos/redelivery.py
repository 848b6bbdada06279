"""Redelivers events: out of order, twice, and long after their first delivery, under new message ids.

The broker would drop a message with the id of the first delivery. Consumers have to recognise the events themselves.
"""

import random

import msgspec

from cartwright.chaos.event_stream import BROKER_ERRORS, EventStream, StreamMessage
from cartwright.launcher.system import System
from chassis.messaging import envelope
from chassis.messaging.signed_broker import Signer

MESSAGES_MAX = 100
EVENTS_MAX = 200


class _Typed(msgspec.Struct):
    type: str


_decode = msgspec.json.Decoder(_Typed).decode


async def redeliver(system: System, publisher: str, draw: random.Random) -> str:
    """Publishes events that the broker holds of `publisher` again, one a message.

    Returns why not, where that was impossible.
    """
    signer = Signer(publisher, system.credentials.service_keys[publisher])
    try:
        async with EventStream(system) as stream:
            messages = await stream.sample(publisher, draw, MESSAGES_MAX)
            events = [event for message in messages for event in envelope.split(message.body)][:EVENTS_MAX]
            events += draw.sample(events, len(events) // 4)
            draw.shuffle(events)
            for event in events:
                await stream.publish(StreamMessage(_decode(event).type, event, signer.sign(event)))
    except BROKER_ERRORS as error:
        return f"not all events were redelivered: {type(error).__name__}"
    return "" if events else "the broker held no event"
