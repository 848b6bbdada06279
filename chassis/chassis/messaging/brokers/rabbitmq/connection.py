"""A connection to RabbitMQ that comes back: after the server was away, restarted, or hung without a word.

aio-pika's own robust connection restores channels and consumers behind one's back. Here who uses a connection is told
that it is gone, and makes anew what was on it, so that nothing is ever half restored.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS

from chassis.lifecycle import is_cancelled
from chassis.messaging.broker import SIGNATURE_HEADER, BrokerUnavailable

HEARTBEAT_S = 6
"""The server takes a client for dead after twice that, the client a server after thrice."""
CALL_S_MAX = 5.0
FAULTS: tuple[type[Exception], ...] = (*CONNECTION_EXCEPTIONS, TimeoutError, asyncio.InvalidStateError)
CLOSE_S_MAX = 1.5
_PAUSE_S_MIN, _PAUSE_S_MAX = 0.05, 2.0
_log = structlog.get_logger()


class Link:
    """Keeps one connection. `prepare` is awaited on each new one, before anybody else gets it."""

    def __init__(self, url: str, name: str, prepare: Callable[[AbstractConnection], Awaitable[None]]) -> None:
        self._url = url
        self._name = name
        self._prepare = prepare
        self._connection: AbstractConnection | None = None
        self._gone = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._is_stopping = False

    async def start(self) -> None:
        self._keeping = asyncio.create_task(self._keep(), name=f"connect to the broker: {self._name}")

    async def stop(self) -> None:
        # A task that is cancelled within the client may go on as if nothing were, so that it is told otherwise too.
        self._is_stopping = True
        self._gone.set()
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping], timeout=CLOSE_S_MAX)
        self._let_go()
        if self._closing:
            await asyncio.wait(self._closing, timeout=CLOSE_S_MAX)

    @property
    def is_up(self) -> bool:
        return self._connection is not None

    @property
    def connection(self) -> AbstractConnection:
        """Raises `BrokerUnavailable` while there is none."""
        if self._connection is None:
            raise BrokerUnavailable("not connected to the broker")
        return self._connection

    def drop(self, reason: str) -> None:
        """Have done with the present connection, whatever state it is in, and make another.

        Nothing while that other one is being made: what ends then, such as a channel, belonged to the one before.
        """
        if self._connection is not None:
            _log.info("the connection to the broker is given up", connection=self._name, reason=reason)
            self._let_go()

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        self._gone.set()
        if connection is not None:
            self._close(connection)

    def _close(self, connection: AbstractConnection) -> None:
        """In the background: a server that hangs is not waited for."""
        closing = asyncio.create_task(_close_quietly(connection))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _keep(self) -> None:
        told, pause_s = "", _PAUSE_S_MIN
        while not self._is_stopping:
            self._gone.clear()
            try:
                await self._connect()
            except FAULTS as error:
                fault = f"{type(error).__name__}: {error}"
                if fault != told:  # An outage is told once, and not with each attempt.
                    _log.info("waiting", waits_for="broker", connection=self._name, error=fault)
                told = fault
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _PAUSE_S_MAX)
            else:
                _log.info("connected to the broker", connection=self._name)
                told, pause_s = "", _PAUSE_S_MIN
                if not self._is_stopping:
                    await self._gone.wait()

    async def _connect(self) -> None:
        async with limited(CALL_S_MAX):
            connection = await aio_pika.connect(self._url, client_properties={"connection_name": self._name})
        try:
            async with limited(CALL_S_MAX):
                await self._prepare(connection)
        except BaseException:
            self._close(connection)
            raise

        def tell(_: object, error: BaseException | None = None) -> None:
            if self._connection is connection:
                self.drop(f"it was closed: {error}")

        connection.close_callbacks.add(tell)
        self._connection = connection
        if connection.is_closed:
            self.drop("it was closed at once")


async def _close_quietly(connection: AbstractConnection) -> None:
    with contextlib.suppress(*FAULTS):
        await connection.close()


@contextlib.asynccontextmanager
async def limited(seconds_max: float) -> AsyncIterator[None]:
    """For what is asked of the server: all that fails within is one of `FAULTS`, and so is what takes longer.

    aiormq ends a connection that fell silent by cancelling its own reader, and each task that waits for an answer gets
    that cancellation. Those tasks are not to end: a loop that took it for its own end would be gone for good.
    Who waits while a connection is closed in order gets an `Exception` that is nothing but that.
    """
    try:
        async with asyncio.timeout(seconds_max):
            yield
    except asyncio.CancelledError as error:
        if is_cancelled():
            raise
        raise ConnectionAbortedError("the server fell silent") from error
    except Exception as error:
        if type(error) is not Exception:
            raise
        raise ConnectionAbortedError("the connection was closed") from error


@contextlib.asynccontextmanager
async def brief_channel(connection: AbstractConnection) -> AsyncIterator[AbstractChannel]:
    """A channel for a few questions. What the server refuses closes a channel, so that each takes one of its own."""
    async with limited(CALL_S_MAX):
        channel = await connection.channel()
        yield channel
        # Not after an error: the server has closed it then, or does not answer at all.
        await channel.close()


def signature_in(headers: Mapping[str, Any]) -> str:
    value = headers.get(SIGNATURE_HEADER, "")
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def exchange_and_address(events_url: str) -> tuple[str, str]:
    """The name of the exchange, which is the path of `events_url`, and the address of the server in AMQP's own form.

    There the path is the virtual host: `vhost` of the query, or else the server's own, `/`.
    """
    parts = urlsplit(events_url)
    query = dict(parse_qsl(parts.query))
    vhost = query.pop("vhost", "/")
    query.setdefault("heartbeat", str(HEARTBEAT_S))
    address = urlunsplit(parts._replace(path=f"/{quote(vhost, safe='')}", query=urlencode(query)))
    return parts.path.strip("/") or "cartwright", address
