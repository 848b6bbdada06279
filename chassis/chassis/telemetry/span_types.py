"""Types that `tracing` and `spans` share: `tracing` imports `spans` only where traces are exported."""

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["server", "client", "producer", "consumer", "internal"]
Attributes: TypeAlias = Mapping[str, str | int]
TellAnswer: TypeAlias = Callable[[str | None, int], None]
"""Told the template of a request's path, None where there is none, and the status of its answer."""
