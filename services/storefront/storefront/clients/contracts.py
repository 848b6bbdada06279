"""Reads the event contracts from the folder of CONTRACTS_DIR."""

from dataclasses import replace
from pathlib import Path

import msgspec

from chassis.settings import SettingsError
from storefront.domain.contracts import Contracts, EnvelopeContract, EventContract


def read_contracts(folder: Path) -> Contracts:
    """All events in `folder`, by type. Raises `SettingsError` when the folder contains no contracts."""
    try:
        return Contracts(
            envelope=msgspec.json.decode((folder / "envelope.json").read_bytes(), type=EnvelopeContract),
            events=[_read_event(path) for path in sorted((folder / "events").glob("*.json"))],
        )
    except (OSError, msgspec.MsgspecError) as error:
        raise SettingsError(f"CONTRACTS_DIR cannot be read: {error}.") from error


def _read_event(path: Path) -> EventContract:
    return replace(msgspec.json.decode(path.read_bytes(), type=EventContract), type=path.stem)
