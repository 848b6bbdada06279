"""A TCP proxy that can fail: cut (each connection is reset), hang (silence, without an end), or be slow.

Or else it strands the connections that it has, and passes new ones.

Bytes are only ever delayed, never dropped or put out of order: that is what TCP does when a network fails.
"""

import asyncio
import contextlib
import socket
import struct
from collections import deque
from typing import Literal, cast

from cartwright.launcher.layout import LOOPBACK

CONNECT_S_MAX = 5.0
# Reset at once, whatever is still to be sent.
_LINGER_NOT = struct.pack("ii", 1, 0)

Mode = Literal["flow", "cut", "hang", "slow"]


class Proxy:
    """Passes connections on to a port. `start` answers the port on which it listens."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._mode: Mode = "flow"
        self._delay_s = 0.0
        self._server: asyncio.Server | None = None
        self._pairs: set[_Pair] = set()

    async def start(self) -> int:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accepted, LOOPBACK, 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for pair in list(self._pairs):
            pair.reset()

    @property
    def delay_s(self) -> float:
        return self._delay_s if self._mode == "slow" else 0.0

    @property
    def is_silent(self) -> bool:
        return self._mode == "hang"

    def flow(self) -> None:
        """Healed: what was held back goes on."""
        self._mode = "flow"
        for pair in list(self._pairs):
            pair.go_on()

    def cut(self) -> None:
        """Every connection is reset, and each new one too."""
        self._mode = "cut"
        for pair in list(self._pairs):
            pair.reset()

    def hang(self) -> None:
        """Nothing passes any more, not even the end of a connection. New connections are silent, too."""
        self._mode = "hang"
        for pair in list(self._pairs):
            pair.hold()

    def strand(self) -> None:
        """What is connected is silent for good, while new connections pass: what forgets its connections does that."""
        self._mode = "flow"
        for pair in list(self._pairs):
            pair.hold()

    def slow(self, delay_s: float) -> None:
        """Everything comes so much later."""
        self._mode, self._delay_s = "slow", delay_s

    def move(self, target_port: int) -> None:
        """New connections go there, and the present ones stay: as an address that moves to another server does."""
        self._target_port = target_port

    def _accepted(self) -> asyncio.Protocol:
        pair = _Pair(self, self._target_port)
        if self._mode != "cut":
            self._pairs.add(pair)
        return pair.client

    def greet(self, pair: "_Pair") -> None:
        if self._mode == "cut":
            pair.reset()
        elif self._mode == "hang":
            pair.hold()
        else:
            pair.go_on()

    def forget(self, pair: "_Pair") -> None:
        self._pairs.discard(pair)


class _Pair:
    """One connection through the proxy: the client's half, and the half towards the server."""

    def __init__(self, proxy: Proxy, target_port: int) -> None:
        self.proxy = proxy
        self._target_port = target_port
        self.client = _Half(self)
        self.server = _Half(self)
        self.client.other, self.server.other = self.server, self.client
        self._connecting: asyncio.Task[None] | None = None

    def connected(self, half: "_Half") -> None:
        if half is self.client:
            # Nothing is read before the server is connected.
            half.pause()
            self.proxy.greet(self)
        elif self.proxy.is_silent:
            self.hold()
        else:
            self.go_on()

    def go_on(self) -> None:
        if self.server.transport is None:
            if self._connecting is None:
                self._connecting = asyncio.create_task(self._connect())
            return
        for half in (self.client, self.server):
            half.go_on()

    def hold(self) -> None:
        for half in (self.client, self.server):
            half.pause()

    def reset(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
        for half in (self.client, self.server):
            half.reset()
        self.proxy.forget(self)

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_S_MAX):
                await asyncio.get_running_loop().create_connection(lambda: self.server, LOOPBACK, self._target_port)
        except OSError:
            self.reset()


class _Half(asyncio.Protocol):
    """Reads from one side and has the other half write it, later when the proxy is slow."""

    other: "_Half"

    def __init__(self, pair: _Pair) -> None:
        self._pair = pair
        self.transport: asyncio.Transport | None = None
        self._late: deque[tuple[float, bytes | None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._is_other_full = False
        self._is_paused = False
        self._has_ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._pair.connected(self)

    def data_received(self, data: bytes) -> None:
        self._pass_on(data)

    def eof_received(self) -> bool:
        self._pass_on(None)
        return True  # The other direction may go on.

    def connection_lost(self, _: Exception | None) -> None:
        self.transport = None
        if self._has_ended and self.other._has_ended:
            self._pair.proxy.forget(self._pair)
        else:
            self._pair.reset()

    def pause_writing(self) -> None:
        """Our peer reads slower than the other one writes."""
        self.other._is_other_full = True
        self.other._settle()

    def resume_writing(self) -> None:
        self.other._is_other_full = False
        self.other._settle()

    def pause(self) -> None:
        self._is_paused = True
        self._settle()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def go_on(self) -> None:
        self._is_paused = False
        self._settle()
        if self._late:
            self._write_late()

    def reset(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self.transport is not None:
            with contextlib.suppress(OSError):
                self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
            self.transport.abort()

    def _settle(self) -> None:
        if self.transport is None or self.transport.is_closing():
            return
        if self._is_paused or self._is_other_full:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def _pass_on(self, data: bytes | None) -> None:
        """None is the end."""
        delay_s = self._pair.proxy.delay_s
        if delay_s or self._late or self._is_paused:
            self._late.append((asyncio.get_running_loop().time() + delay_s, data))
            if self._timer is None and not self._is_paused:
                self._write_late()
        else:
            self._write(data)

    def _write_late(self) -> None:
        """One timer for all that waits, so that nothing overtakes."""
        self._timer = None
        loop = asyncio.get_running_loop()
        is_slow = self._pair.proxy.delay_s > 0
        while self._late and (not is_slow or self._late[0][0] <= loop.time()):
            self._write(self._late.popleft()[1])
        if self._late:
            self._timer = loop.call_at(self._late[0][0], self._write_late)

    def _write(self, data: bytes | None) -> None:
        to = self.other.transport
        if to is None or to.is_closing():
            return
        if data is not None:
            to.write(data)
            return
        self._has_ended = True
        if not self.other._has_ended:
            with contextlib.suppress(OSError):  # The other end may be gone by now, and need not be told.
                to.write_eof()
            return
        for half in (self, self.other):
            if half.transport is not None:
                half.transport.close()
