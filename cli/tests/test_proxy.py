"""The proxy between parts, on real sockets: it fails as networks fail, and never loses or changes what it passes on."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from cartwright.testkit.proxy import Proxy

ANSWER_S_MAX = 5.0
SILENCE_S = 0.3

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def echo_port() -> AsyncIterator[int]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
            writer.write(b"bye")
            writer.write_eof()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.fixture
async def proxy(echo_port: int) -> AsyncIterator[Proxy]:
    proxy = Proxy(echo_port)
    yield proxy
    await proxy.stop()


@pytest.fixture
async def connect(proxy: Proxy) -> AsyncIterator[Callable[[], Awaitable[Streams]]]:
    port = await proxy.start()
    opened: list[asyncio.StreamWriter] = []

    async def open_connection() -> Streams:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        opened.append(writer)
        return reader, writer

    yield open_connection
    for writer in opened:
        writer.close()


async def read(reader: asyncio.StreamReader, count: int) -> bytes:
    async with asyncio.timeout(ANSWER_S_MAX):
        return await reader.readexactly(count)


async def read_from_new_connection(connect: Callable[[], Awaitable[Streams]]) -> bytes:
    reader, _ = await connect()
    return await read(reader, 1)


async def is_silent(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(SILENCE_S):
            await reader.read(1)
    except TimeoutError:
        return True
    return False


async def test_it_passes_everything_on_both_ways_and_the_end_too(connect: Callable[[], Awaitable[Streams]]) -> None:
    reader, writer = await connect()
    sent = os.urandom(3_000_000)
    writer.write(sent)
    writer.write_eof()
    async with asyncio.timeout(ANSWER_S_MAX):
        assert await reader.read() == sent + b"bye"


async def test_a_cut_resets_open_connections_and_new_ones(
    proxy: Proxy, connect: Callable[[], Awaitable[Streams]]
) -> None:
    reader, writer = await connect()
    writer.write(b"a")
    assert await read(reader, 1) == b"a"
    proxy.cut()
    with pytest.raises(ConnectionResetError):
        await read(reader, 1)
    with pytest.raises(OSError, match=r"reset|lost|closed"):
        await read_from_new_connection(connect)
    proxy.flow()
    reader, writer = await connect()
    writer.write(b"b")
    assert await read(reader, 1) == b"b"


async def test_a_hanging_way_is_silent_and_loses_nothing(
    proxy: Proxy, connect: Callable[[], Awaitable[Streams]]
) -> None:
    reader, writer = await connect()
    writer.write(b"a")
    assert await read(reader, 1) == b"a"
    proxy.hang()
    writer.write(b"b")
    assert await is_silent(reader)
    proxy.flow()
    assert await read(reader, 1) == b"b"


async def test_a_stranded_connection_is_silent_while_a_new_one_passes(
    proxy: Proxy, connect: Callable[[], Awaitable[Streams]]
) -> None:
    stranded, writer = await connect()
    writer.write(b"a")
    assert await read(stranded, 1) == b"a"
    proxy.strand()
    writer.write(b"b")
    reader, other_writer = await connect()
    other_writer.write(b"c")
    assert await read(reader, 1) == b"c"
    assert await is_silent(stranded)


async def test_who_comes_to_a_hanging_way_is_let_in_and_served_when_it_flows(
    proxy: Proxy, connect: Callable[[], Awaitable[Streams]]
) -> None:
    proxy_reader, _ = await connect()
    proxy.hang()
    reader, writer = await connect()
    writer.write(b"c")
    assert await is_silent(reader)
    assert await is_silent(proxy_reader)
    proxy.flow()
    assert await read(reader, 1) == b"c"


async def test_not_even_the_end_of_a_connection_passes_a_hanging_way(
    proxy: Proxy, connect: Callable[[], Awaitable[Streams]]
) -> None:
    reader, writer = await connect()
    writer.write(b"a")
    assert await read(reader, 1) == b"a"
    proxy.hang()
    writer.write_eof()
    assert await is_silent(reader)
    proxy.flow()
    assert await read(reader, 3) == b"bye"


async def test_a_slow_way_delays_and_keeps_the_order(proxy: Proxy, connect: Callable[[], Awaitable[Streams]]) -> None:
    reader, writer = await connect()
    proxy.slow(0.1)
    began = time.monotonic()
    sent = b"".join(number.to_bytes(2, "big") for number in range(200))
    for start in range(0, len(sent), 2):
        writer.write(sent[start : start + 2])
        await asyncio.sleep(0)
    assert await read(reader, len(sent)) == sent
    assert time.monotonic() - began >= 0.2, "once there and once back"


async def test_what_a_slow_way_held_back_comes_before_what_follows(
    proxy: Proxy, connect: Callable[[], Awaitable[Streams]]
) -> None:
    reader, writer = await connect()
    writer.write(b"a")
    assert await read(reader, 1) == b"a"
    proxy.slow(1.0)
    writer.write(b"b")
    await asyncio.sleep(0.05)
    proxy.flow()
    writer.write(b"c")
    assert await read(reader, 2) == b"bc"


async def test_a_server_that_is_not_there_resets_the_client(unused_tcp_port: int) -> None:
    proxy = Proxy(unused_tcp_port)
    reader, _ = await asyncio.open_connection("127.0.0.1", await proxy.start())
    with pytest.raises(ConnectionResetError):
        await read(reader, 1)
    await proxy.stop()
