"""The contracts of the events between the services, as the folder `contracts/` holds them."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class EventContract:
    """A file of contracts/events. The type of the event is the name of the file."""

    description: str
    producer: str
    consumers: list[str]
    schema: dict[str, Any]
    examples: list[dict[str, Any]]
    type: str = ""


@dataclass(frozen=True)
class EnvelopeContract:
    """contracts/envelope.json."""

    description: str
    schema: dict[str, Any]
    examples: list[dict[str, Any]]


@dataclass(frozen=True)
class Contracts:
    envelope: EnvelopeContract
    events: list[EventContract]
