"""Clients that ask, wait for the answer, and ask again: HTTP/1.1 on raw connections, as cheap as Python can do it.

A load generator takes its CPU from the system that it measures, so requests are bytes made beforehand, and of an answer
only its status and its length are read.
"""

import asyncio
from array import array
from collections import Counter
from collections.abc import Callable
from time import perf_counter
from typing import cast

PAUSE_AFTER_ERROR_S = 0.05
CONNECT_S_MAX = 5.0
NO_ANSWER = "0"
LATER = "202"


class Tally:
    """What all clients of a load have in common: when it is measured, and what came of it."""

    def __init__(self, next_request: Callable[[], bytes], success: str) -> None:
        self.next_request = next_request
        self.success = success
        self.answers: Counter[str] = Counter()
        self.durations_s = array("d")
        self.is_measured = False
        self.is_over = False

    @property
    def errors(self) -> int:
        return sum(self.answers.values()) - self.answers[self.success] - self.answers[LATER]


class Client(asyncio.Protocol):
    """One connection with one request in flight. Connects again when the connection is lost."""

    def __init__(self, host: str, port: int, tally: Tally, *, pause_s: float = 0.0) -> None:
        self._host, self._port, self._tally, self._pause_s = host, port, tally, pause_s
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._asked_at: float | None = None

    async def connect(self) -> None:
        async with asyncio.timeout(CONNECT_S_MAX):
            await self._loop.create_connection(lambda: self, self._host, self._port)
        self._ask()

    @property
    def waits(self) -> bool:
        return self._asked_at is not None

    def close(self) -> None:
        """Once the load is over. A request that has no answer by now has none."""
        if self._asked_at is not None:
            self._count(NO_ANSWER)
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not of asyncio's class.
        self._transport = cast("asyncio.Transport", transport)
        self._buffer = b""

    def connection_lost(self, _error: Exception | None) -> None:
        if self._asked_at is not None:
            self._count(NO_ANSWER)
        if not self._tally.is_over:
            self._loop.call_later(PAUSE_AFTER_ERROR_S, lambda: self._loop.create_task(self._connect_again()))

    async def _connect_again(self) -> None:
        try:
            await self.connect()
        except (OSError, TimeoutError):
            self._tally.answers[NO_ANSWER] += 1
            self.connection_lost(None)

    def _ask(self) -> None:
        if self._tally.is_over:
            return
        assert self._transport is not None
        self._asked_at = perf_counter()
        self._transport.write(self._tally.next_request())

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        head_end = data.find(b"\r\n\r\n")
        if head_end < 0 or len(data) < head_end + 4 + _body_length(data, head_end):
            self._buffer = data
            return
        self._buffer = b""
        status = data[9:12].decode()
        self._count(status)
        pause_s = self._pause_s if status in {self._tally.success, LATER} else PAUSE_AFTER_ERROR_S
        if pause_s == 0:
            self._ask()
        else:
            self._loop.call_later(pause_s, self._ask_if_connected)

    def _ask_if_connected(self) -> None:
        if self._transport is not None and not self._transport.is_closing() and self._asked_at is None:
            self._ask()

    def _count(self, status: str) -> None:
        tally = self._tally
        tally.answers[status] += 1
        if tally.is_measured and status == tally.success:
            assert self._asked_at is not None
            tally.durations_s.append(perf_counter() - self._asked_at)
        self._asked_at = None


def _body_length(data: bytes, head_end: int) -> int:
    """Our gateway writes header names in lower case, and says the length of all that this asks for."""
    at = data.find(b"content-length: ", 0, head_end)
    if at < 0:
        return 0
    return int(data[at + 16 : data.index(b"\r\n", at)])
