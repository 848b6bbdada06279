"""A caller learns which of three it was: an answer, a definite refusal, or an unknown outcome."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from prometheus_client import REGISTRY

from chassis import context
from chassis.problems import OutcomeUnknown
from chassis.security.tokens import ServiceTokens
from chassis.web import addresses
from chassis.web import client as module
from chassis.web.client import PeerUnavailable, RefusedByPeer, ServiceClient, refusal_from

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Answer(msgspec.Struct):
    ok: bool


class Question(msgspec.Struct):
    amount: int


class Peer:
    """A peer that follows a script, one step a request: bytes to answer, or what to do instead.

    `readiness` is another script, for when it is asked whether it is ready.
    """

    def __init__(self) -> None:
        self.script: list[bytes | str] = []
        self.readiness: list[bytes | str] = []
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.connections = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {
                    name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:]) if name
                }
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.requests.append((head[0], headers, body))
                script = self.readiness if "/ready" in head[0] else self.script
                step = script.pop(0) if script else response(200, b'{"ok":true}')
                if step == "hang":
                    await asyncio.sleep(60)
                elif step == "close":
                    return
                elif isinstance(step, bytes):
                    writer.write(step)
                    if b"content-length: 999" in step:
                        return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def response(status: int, body: bytes, type_: str = "application/json") -> bytes:
    return f"HTTP/1.1 {status} X\r\ncontent-type: {type_}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def problem(status: int, code: str, detail: str = "") -> bytes:
    return response(status, msgspec.json.encode({"status": status, "code": code, "detail": detail, "title": "No."}))


CUT_OFF = b'HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n{"ok":'


@contextlib.asynccontextmanager
async def listening_peer() -> AsyncIterator[Peer]:
    peer = Peer()
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    peer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield peer
    server.close()


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with listening_peer() as peer:
        yield peer


@pytest.fixture
async def other_peer() -> AsyncIterator[Peer]:
    async with listening_peer() as peer:
        yield peer


@pytest.fixture
async def client_of_two(peer: Peer, other_peer: Peer) -> AsyncIterator[ServiceClient]:
    client = ServiceClient("catalog", f"{peer.url},{other_peer.url}", None)
    await client.start()
    yield client
    await client.stop()


@pytest.fixture
async def client(peer: Peer, service_keys: dict[str, str]) -> AsyncIterator[ServiceClient]:
    client = ServiceClient("catalog", peer.url, ServiceTokens("orders", service_keys["orders"]))
    await client.start()
    yield client
    await client.stop()


async def _ask(client: ServiceClient, **options: Any) -> Answer:
    return await client.call("POST", "/reservations", Answer, **{"body": Question(7), "idempotent": True, **options})


async def test_an_answer_is_decoded(client: ServiceClient, peer: Peer) -> None:
    assert await _ask(client) == Answer(ok=True)
    line, headers, body = peer.requests[0]
    assert (line, headers["content-type"], body) == ("POST /reservations HTTP/1.1", "application/json", b'{"amount":7}')


async def test_connections_are_kept(client: ServiceClient, peer: Peer) -> None:
    for _ in range(5):
        await _ask(client)
    assert (len(peer.requests), peer.connections) == (5, 1)


async def test_what_travels_along_is_passed_on(client: ServiceClient, peer: Peer) -> None:
    with context.working_on("purchase-1", TRACE, seconds=0.9):
        await _ask(client)
    headers = peer.requests[0][1]
    assert (headers["x-request-id"], headers["traceparent"]) == ("purchase-1", TRACE)
    assert headers["authorization"].startswith("Bearer ey")
    assert 700 < int(headers["x-deadline-ms"]) <= 900


async def test_a_call_for_a_person_carries_the_persons_token(client: ServiceClient, peer: Peer) -> None:
    await _ask(client, authorization="Bearer of-a-person")
    assert peer.requests[0][1]["authorization"] == "Bearer of-a-person"


async def test_the_deadline_shrinks_from_attempt_to_attempt(client: ServiceClient, peer: Peer) -> None:
    peer.script = [problem(503, "overloaded")] * 2
    await _ask(client, timeout_s=1)
    left = [int(headers["x-deadline-ms"]) for _, headers, _ in peer.requests]
    assert left == sorted(left, reverse=True)
    assert left[2] < left[0]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
async def test_a_refusal_is_definite_and_not_asked_again(client: ServiceClient, peer: Peer, status: int) -> None:
    peer.script = [problem(status, "sold_out", "Two are left.")]
    with pytest.raises(RefusedByPeer) as raised:
        await _ask(client)
    told = raised.value.problem
    assert (told.status, told.code, told.detail) == (status, "sold_out", "Two are left.")
    assert len(peer.requests) == 1


async def test_a_refusal_can_be_passed_on_to_the_client() -> None:
    refusal = refusal_from(module.Problem(status=409, code="sold_out", title="It is sold out.", detail="Two are left."))
    assert (refusal.status, refusal.code, refusal.title, refusal.detail) == (
        409, "sold_out", "It is sold out.", "Two are left."
    )  # fmt: skip


UNKNOWN = {
    "the connection was closed without an answer": "close",
    "the answer was cut off": CUT_OFF,
    "no answer came in time": "hang",
    "500": problem(500, "internal_error"),
    "502 of a proxy": response(502, b"<html>", "text/html"),
    "503 of a proxy, which may have sent the request on": response(503, b"upstream reset", "text/plain"),
    "504": problem(504, "outcome_unknown"),
    "the answer is no JSON": response(200, b"<html>"),
    "the answer is empty": response(200, b""),
    "the answer has another shape": response(200, b'{"ok":"maybe"}'),
    "the answer is no UTF-8": response(200, b'{"ok":"\xff"}'),
    "the answer is no HTTP": b"SSH-2.0-OpenSSH\r\n\r\n",
    "a redirect": response(302, b""),
}


@pytest.mark.parametrize("step", UNKNOWN.values(), ids=UNKNOWN)
async def test_an_unknown_outcome_is_reported_as_such(client: ServiceClient, peer: Peer, step: bytes | str) -> None:
    peer.script = [step]
    with pytest.raises(OutcomeUnknown):
        await _ask(client, idempotent=False, timeout_s=0.3)
    assert len(peer.requests) == 1


@pytest.mark.parametrize("step", [step for step in UNKNOWN.values() if step != "hang"])
async def test_an_idempotent_call_is_asked_again(client: ServiceClient, peer: Peer, step: bytes | str) -> None:
    peer.script = [step]
    assert await _ask(client) == Answer(ok=True)
    assert len(peer.requests) == 2
    assert peer.requests[0][2] == peer.requests[1][2]


async def test_what_was_not_sent_is_asked_again_even_if_not_idempotent(client: ServiceClient, peer: Peer) -> None:
    peer.script = [problem(503, "unavailable")]
    assert await _ask(client, idempotent=False) == Answer(ok=True)


async def test_a_peer_that_is_not_there_is_unavailable(service_keys: dict[str, str]) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        client = ServiceClient("catalog", f"http://127.0.0.1:{port}", None)
        await client.start()
        with pytest.raises(PeerUnavailable):
            await _ask(client)
        await client.stop()


async def test_replicas_are_asked_in_turn(client_of_two: ServiceClient, peer: Peer, other_peer: Peer) -> None:
    for _ in range(6):
        await _ask(client_of_two)
    assert (len(peer.requests), len(other_peer.requests)) == (3, 3)


async def test_a_replica_that_is_not_there_is_passed_over_though_the_call_may_be_made_but_once(
    other_peer: Peer,
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        client = ServiceClient("catalog", f"http://127.0.0.1:{closed.getsockname()[1]},{other_peer.url}", None)
        await client.start()
        for _ in range(5):
            assert await _ask(client, idempotent=False) == Answer(ok=True)
        await client.stop()
    assert len(other_peer.requests) == 5


async def test_what_a_replica_may_have_done_is_asked_of_no_other(
    client_of_two: ServiceClient, peer: Peer, other_peer: Peer
) -> None:
    peer.script = ["close"]
    with pytest.raises(OutcomeUnknown):
        await _ask(client_of_two, idempotent=False)
    assert other_peer.requests == []


async def test_a_frozen_replica_is_left_alone_until_it_is_ready(
    client_of_two: ServiceClient, peer: Peer, other_peer: Peer, monkeypatch: pytest.MonkeyPatch, eventually: Any
) -> None:
    monkeypatch.setattr(module, "READY_S_MAX", 0.1)
    monkeypatch.setattr(addresses, "REST_S", 0.05)
    peer.script = ["hang"]
    peer.readiness = ["hang", problem(503, "not_ready")]
    with pytest.raises(OutcomeUnknown):
        await _ask(client_of_two, timeout_s=0.1)

    async def was_asked_whether_it_is_ready() -> bool:
        assert await _ask(client_of_two) == Answer(ok=True)
        return len(peer.requests) > 3

    await eventually(was_asked_whether_it_is_ready, "it was asked whether it is ready")
    asked = [line for line, _, _ in peer.requests]
    assert asked[:4] == ["POST /reservations HTTP/1.1", *["GET /ready HTTP/1.1"] * 3]


async def test_a_frozen_replica_does_not_use_up_the_time_of_an_idempotent_call(
    client_of_two: ServiceClient, peer: Peer, other_peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ATTEMPT_S_MIN", 0.1)
    peer.script = ["hang"]
    assert await _ask(client_of_two, timeout_s=0.5) == Answer(ok=True)
    assert len(other_peer.requests) == 1


async def test_the_breaker_of_a_replica_holds_back_nothing_from_another(
    client_of_two: ServiceClient, peer: Peer, other_peer: Peer, monkeypatch: pytest.MonkeyPatch, eventually: Any
) -> None:
    monkeypatch.setattr(addresses, "REST_S", 0.0)
    peer.script = ["close"] * module.BREAKER_FAILURES

    async def is_open() -> bool:
        assert await _ask(client_of_two) == Answer(ok=True)
        return _is_open(peer) == 1

    await eventually(is_open, "the breaker of the one that closes is open")
    assert peer.script == []
    assert _is_open(other_peer) == 0


async def test_a_client_that_was_not_started_sends_nothing(peer: Peer) -> None:
    with pytest.raises(PeerUnavailable):
        await _ask(ServiceClient("catalog", peer.url, None), attempts=1)
    assert peer.requests == []


async def test_an_unknown_outcome_stays_unknown_though_the_next_attempt_sends_nothing(
    client: ServiceClient, peer: Peer
) -> None:
    peer.script = ["close", *[problem(503, "unavailable")] * 9]
    with pytest.raises(OutcomeUnknown):
        await _ask(client)
    assert len(peer.requests) == 3


async def test_the_limit_holds_for_all_attempts_together(client: ServiceClient, peer: Peer) -> None:
    peer.script = [problem(500, "internal_error"), "hang", "hang"]
    began_at = time.monotonic()
    with pytest.raises(OutcomeUnknown):
        await _ask(client, timeout_s=0.4)
    assert time.monotonic() - began_at < 0.75


async def test_the_deadline_of_the_work_binds_the_call(client: ServiceClient, peer: Peer) -> None:
    peer.script = ["hang"]
    began_at = time.monotonic()
    with context.working_on("purchase", seconds=0.2), pytest.raises(OutcomeUnknown):
        await _ask(client, idempotent=False)
    assert time.monotonic() - began_at < 0.6


async def test_nothing_is_sent_when_no_time_is_left(client: ServiceClient, peer: Peer) -> None:
    with context.working_on("purchase", seconds=0), pytest.raises(PeerUnavailable):
        await _ask(client)
    assert peer.requests == []


def _is_open(peer: Peer) -> float | None:
    return REGISTRY.get_sample_value("cartwright_breaker_open", {"target": "catalog", "address": peer.url})


async def test_the_breaker_opens_tries_and_closes_and_says_so(
    client: ServiceClient, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client._breakers.default_ttl = 0.2
    peer.script = ["close"] * module.BREAKER_FAILURES
    assert _is_open(peer) == 0
    for _ in range(module.BREAKER_FAILURES):
        with pytest.raises(OutcomeUnknown):
            await _ask(client, attempts=1)
    assert _is_open(peer) == 1
    asked = len(peer.requests)
    with pytest.raises(PeerUnavailable, match="held back"):
        await _ask(client, attempts=1)
    assert len(peer.requests) == asked
    await asyncio.sleep(0.25)
    peer.script = ["close"]
    with pytest.raises(OutcomeUnknown):
        await _ask(client, attempts=1)
    assert _is_open(peer) == 1
    await asyncio.sleep(0.25)
    assert await _ask(client, attempts=1) == Answer(ok=True)
    assert _is_open(peer) == 0


async def test_refusals_and_callers_that_go_away_do_not_open_the_breaker(client: ServiceClient, peer: Peer) -> None:
    peer.script = [problem(409, "sold_out")] * 10
    for _ in range(10):
        with pytest.raises(RefusedByPeer):
            await _ask(client)
    peer.script = ["hang"] * 10
    for _ in range(10):
        asking = asyncio.create_task(_ask(client))
        await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    peer.script = []
    assert await _ask(client) == Answer(ok=True)


@pytest.mark.parametrize(
    ("step", "outcome"),
    [
        (response(200, b'{"ok":true}'), "answered"),
        (problem(409, "sold_out"), "refused"),
        ("close", "unknown"),
    ],
)
async def test_calls_are_counted_by_their_outcome(
    client: ServiceClient, peer: Peer, step: bytes | str, outcome: str
) -> None:
    def count() -> float:
        labels = {"target": "catalog", "path": "/reservations/{id}", "outcome": outcome}
        return REGISTRY.get_sample_value("cartwright_calls_total", labels) or 0

    before = count()
    peer.script = [step]
    with contextlib.suppress(RefusedByPeer, OutcomeUnknown):
        await _ask(client, idempotent=False, route="/reservations/{id}")
    assert count() == before + 1
