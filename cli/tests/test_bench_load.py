"""The load generator of `cartwright bench`, against a small server on a real socket."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from cartwright.bench import load
from cartwright.bench.load import Load, LoadOutcome, generate
from cartwright.bench.requests import Shop

SHOP = Shop(tokens=["a-token"], products=["product-1", "product-2"], hot_product="product-3")


class Server:
    """Answers each request as told; counts them, and keeps the latest."""

    def __init__(self, answer: Callable[[int], bytes | None]) -> None:
        self._answer = answer
        self.requests: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
                self.requests.append(head + await reader.readexactly(length))
                answer = self._answer(len(self.requests))
                if answer is None:
                    break
                for part in (answer[:20], answer[20:]):
                    writer.write(part)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(answer: Callable[[int], bytes | None]) -> AsyncIterator[tuple[Server, int]]:
    server = Server(answer)
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        yield server, listening.sockets[0].getsockname()[1]


def answered(status: str, body: bytes = b'{"status": "confirmed"}') -> bytes:
    return f"HTTP/1.1 {status}\r\nserver: test\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


async def load_of(port: int, kind: str = "purchases", clients: int = 4, seconds: float = 0.3) -> LoadOutcome:
    return await generate(
        Load(kind=kind, host="127.0.0.1", port=port, shop=SHOP, clients=clients, seconds=seconds, warm_up_s=0.05)
    )


async def test_every_answer_is_counted_and_none_is_left_on_its_way() -> None:
    async with serving(lambda _: answered("201 Created")) as (server, port):
        result = await load_of(port)
    outcome = result.outcome
    assert outcome.answers == {"201": len(server.requests)}
    assert outcome.errors == 0
    assert 0 < outcome.per_second * outcome.seconds <= len(server.requests)
    assert 0 < outcome.latency.p50 <= outcome.latency.p99 <= outcome.latency.p999
    assert result.cpu_ms_per_request > 0


async def test_each_purchase_has_a_key_of_its_own_and_the_length_that_it_says() -> None:
    async with serving(lambda _: answered("201 Created")) as (server, port):
        await load_of(port)
    keys = [request.partition(b"idempotency-key: ")[2].partition(b"\r\n")[0] for request in server.requests]
    assert len(set(keys)) == len(keys) > 4
    bodies = {request.partition(b"\r\n\r\n")[2] for request in server.requests}
    assert bodies == {
        b'{"items":[{"product_id":"product-1","quantity":1}]}',
        b'{"items":[{"product_id":"product-2","quantity":1}]}',
    }


async def test_hot_purchases_are_all_of_one_product() -> None:
    async with serving(lambda _: answered("201 Created")) as (server, port):
        await load_of(port, kind="hot-purchases")
    assert {request.partition(b"\r\n\r\n")[2] for request in server.requests} == {
        b'{"items":[{"product_id":"product-3","quantity":1}]}'
    }


async def test_a_refusal_is_an_error_and_does_not_become_a_flood() -> None:
    async with serving(lambda _: answered("503 Service Unavailable")) as (_, port):
        outcome = (await load_of(port, clients=2)).outcome
    assert outcome.per_second == 0
    assert outcome.errors == outcome.answers["503"]
    assert outcome.errors <= 2 * (outcome.seconds + 0.1) / 0.05 + 2


async def test_an_answer_that_comes_later_is_neither_an_error_nor_a_success() -> None:
    async with serving(lambda number: answered("202 Accepted" if number % 2 else "201 Created")) as (_, port):
        outcome = (await load_of(port)).outcome
    assert outcome.errors == 0
    assert outcome.answers["202"] > 0
    assert outcome.accepted == outcome.answers["201"] + outcome.answers["202"]
    assert outcome.per_second * outcome.seconds <= outcome.answers["201"] + 1


async def test_a_lost_connection_is_an_error_and_is_made_again() -> None:
    async with serving(lambda number: None if number == 3 else answered("201 Created")) as (_, port):
        outcome = (await load_of(port)).outcome
    assert outcome.answers["0"] == outcome.errors == 1
    assert outcome.answers["201"] > 3


async def test_what_is_not_answered_in_the_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "LAST_ANSWERS_S_MAX", 0.1)
    async with serving(lambda number: b"" if number > 20 else answered("201 Created")) as (_, port):
        outcome = (await load_of(port, clients=3)).outcome
    assert outcome.answers == {"201": 20, "0": 3}
    assert outcome.errors == 3


async def test_the_load_runs_in_a_process_of_its_own() -> None:
    async with serving(lambda _: answered("201 Created")) as (server, port):
        result = await asyncio.to_thread(
            load.run,
            Load(kind="purchases", host="127.0.0.1", port=port, shop=SHOP, clients=2, seconds=0.2, warm_up_s=0.0),
        )
    assert result.outcome.answers == {"201": len(server.requests)}


async def test_sign_ins_are_measured_beside_another_client_that_reads() -> None:
    shop = Shop(tokens=[], products=["product-1"], hot_product="product-2", buyers=[("ada@example.com", "secret")])
    async with serving(lambda _: answered("200 OK")) as (server, port):
        result = await generate(
            Load(kind="sign-ins", host="127.0.0.1", port=port, shop=shop, clients=2, seconds=0.3, warm_up_s=0.05)
        )
    reads = [request for request in server.requests if request.startswith(b"GET ")]
    assert result.others is not None
    assert 0 < result.others.quiet.p50 <= result.others.quiet.p99
    assert 0 < result.others.loaded.p50 <= result.others.loaded.p99
    assert 4 < len(reads) < 40, "it pauses between two of them"
    assert result.outcome.answers == {"200": len(server.requests) - len(reads)}


async def test_other_loads_are_measured_alone() -> None:
    async with serving(lambda _: answered("201 Created")) as (_, port):
        assert (await load_of(port)).others is None
