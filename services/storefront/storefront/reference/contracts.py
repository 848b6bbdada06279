"""Reads what services promise each other by events: the data in contracts/, of which the event reference is made."""

from pathlib import Path
from typing import Any

import msgspec

from chassis.settings import SettingsError


class EventContract(msgspec.Struct, frozen=True):
    """One file of contracts/events, and the type of the event, which is the name of the file."""

    description: str
    producer: str
    consumers: list[str]
    schema: dict[str, Any]
    examples: list[dict[str, Any]]
    type: str = ""


class EnvelopeContract(msgspec.Struct, frozen=True):
    """contracts/envelope.json."""

    description: str
    schema: dict[str, Any]
    examples: list[dict[str, Any]]


class Contracts(msgspec.Struct, frozen=True):
    envelope: EnvelopeContract
    events: list[EventContract]


def read_contracts(folder: Path) -> Contracts:
    """All events in `folder`, by type. Raises `SettingsError` when it does not hold contracts."""
    try:
        return Contracts(
            envelope=msgspec.json.decode((folder / "envelope.json").read_bytes(), type=EnvelopeContract),
            events=[_read_event(path) for path in sorted((folder / "events").glob("*.json"))],
        )
    except (OSError, msgspec.MsgspecError) as error:
        raise SettingsError(f"CONTRACTS_DIR cannot be read: {error}.") from error


def _read_event(path: Path) -> EventContract:
    return msgspec.structs.replace(msgspec.json.decode(path.read_bytes(), type=EventContract), type=path.stem)
