"""The record of a run, as JSON lines: every call with its answer, every fault. What the judge reads afterwards."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from cartwright.chaos.schedule import Fault

NOTHING = msgspec.Raw(b"null")


class Call(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="call", tag_field="line"):
    """One call, and what it was answered. Times in seconds since the traffic began.

    `id` was sent as the request's id, which the system keeps as its correlation id. `status` 0 means that no answer
    came. `meant` are the products and quantities of a purchase, from a cart too where it is certain what was in it.
    """

    id: str
    at_s: float
    took_s: float
    who: str
    what: str
    path: str
    key: str | None = None
    body: msgspec.Raw = NOTHING
    meant: list[tuple[str, int]] | None = None
    subject: str | None = None
    """The order or product that it is about, where that is not in the body."""
    cart: str | None = None
    """Which filling of the cart it buys, where it is certain what was in it."""
    status: int
    answer: msgspec.Raw = NOTHING
    trouble: str = ""

    @property
    def is_unknown(self) -> bool:
        """Whether it may have had its effect or not."""
        return self.status == 0 or self.status >= 500

    @property
    def is_refused(self) -> bool:
        return 400 <= self.status < 500

    def decoded(self) -> dict[str, Any]:
        """The answer, where it is a JSON object; otherwise an empty one."""
        return _object(self.answer)

    def asked(self) -> dict[str, Any]:
        return _object(self.body)

    @property
    def code(self) -> str:
        """What a refusal is called."""
        return str(self.decoded().get("code", "")) if self.status >= 400 else ""


class InjectedFault(msgspec.Struct, frozen=True, kw_only=True, tag="fault", tag_field="line"):
    """A fault that has happened. `note` says what came of it, where that is not what was planned."""

    fault: Fault
    began_s: float
    ended_s: float
    note: str = ""


GatewayClient = Call | InjectedFault


def _object(raw: msgspec.Raw) -> dict[str, Any]:
    decoded = msgspec.json.decode(raw)
    return decoded if isinstance(decoded, dict) else {}


class HistoryWriter:
    """Writes the record, and has `note` look at every call as it comes in. Used as a context manager."""

    def __init__(self, path: Path, note: Callable[[Call], None]) -> None:
        self.path = path
        self._note = note
        self._encoder = msgspec.json.Encoder()

    def __enter__(self) -> Self:
        self._file = self.path.open("wb", buffering=1 << 20)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, line: GatewayClient) -> None:
        self._file.write(self._encoder.encode(line) + b"\n")
        if isinstance(line, Call):
            self._note(line)

    def flush(self) -> None:
        self._file.flush()


def read(path: Path) -> Iterator[GatewayClient]:
    """Line by line, so that a long record needs no memory."""
    decoder = msgspec.json.Decoder(GatewayClient)
    with path.open("rb") as file:
        for line in file:
            yield decoder.decode(line)
