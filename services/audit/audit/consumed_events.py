"""The index fields of an event. Audit consumes every type, and reads the order id where an event has one."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import msgspec

from audit.domain.chain import IndexFields
from chassis.actor import UNKNOWN
from chassis.messaging import envelope
from chassis.messaging.envelope import Envelope

TYPES = ["*"]


class _OrderReference(msgspec.Struct):
    order_id: Any = None


def index_fields(event: Envelope) -> IndexFields:
    return IndexFields(
        event_id=event.id,
        type=event.type,
        source=event.source,
        subject=event.subject,
        order_id=_order_id(event),
        correlation_id=event.correlationid,
        event_time=event.time,
        actor=event.actor,
    )


def are_index_fields_of(index: IndexFields, text: str) -> bool:
    """Whether `index` is what the envelope `text` says."""
    try:
        expected = index_fields(envelope.decode(text.encode()))
    except msgspec.MsgspecError:
        return False
    # A replica of the previous version does not set the column `actor`, so the column has its default.
    return index in (expected, replace(expected, actor=UNKNOWN))


def _order_id(event: Envelope) -> UUID | None:
    """The subject of an event about an order, else `order_id` in the data. None for data of another shape."""
    reference: Any = event.subject
    if not event.type.startswith("order."):
        try:
            reference = envelope.read(event, _OrderReference).order_id
        except msgspec.MsgspecError:
            return None
    try:
        return UUID(reference) if isinstance(reference, str) else None
    except ValueError:
        return None
