"""The requests and answers of newservice."""

from typing import Annotated
from uuid import UUID

import msgspec


class CreateEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /newservice/entries."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=1_000)]


class CreatedEntry(msgspec.Struct, frozen=True):
    id: UUID
    text: str
