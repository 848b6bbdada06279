"""Replicas are taken in turn, and one that failed rests until it says that it is ready."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from chassis import addresses as module
from chassis.addresses import Addresses

Eventually = Callable[[Callable[[], Awaitable[bool]], str], Awaitable[None]]


class Peers:
    """Those of `not_ready` say so when they are asked."""

    def __init__(self) -> None:
        self.not_ready: set[str] = set()
        self.asked: list[str] = []

    async def is_ready(self, url: str) -> bool:
        self.asked.append(url)
        return url not in self.not_ready


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> Peers:
    monkeypatch.setattr(module, "REST_S", 0.01)
    return Peers()


@pytest.fixture
async def addresses(peers: Peers) -> AsyncIterator[Addresses]:
    addresses = Addresses("a,b,c", peers.is_ready)
    yield addresses
    await addresses.stop()


def _taken(addresses: Addresses, times: int) -> list[str]:
    return [addresses.next() for _ in range(times)]


def test_a_setting_gives_them_separated_by_commas(peers: Peers) -> None:
    assert Addresses("http://a:1/, http://b:2", peers.is_ready).all == ("http://a:1", "http://b:2")


async def test_they_are_taken_in_turn(addresses: Addresses) -> None:
    assert _taken(addresses, 5) == ["a", "b", "c", "a", "b"]


async def test_one_that_failed_rests_until_it_is_ready(
    addresses: Addresses, peers: Peers, eventually: Eventually
) -> None:
    peers.not_ready.add("a")
    addresses.failed("a")

    async def was_asked_again() -> bool:
        assert "a" not in _taken(addresses, 3)
        return peers.asked.count("a") > 2

    await eventually(was_asked_again, "it was asked whether it is ready")
    peers.not_ready.clear()

    async def is_taken() -> bool:
        return "a" in _taken(addresses, 3)

    await eventually(is_taken, "it takes its turns again")


async def test_when_all_rest_they_are_taken_in_turn_nevertheless(addresses: Addresses, peers: Peers) -> None:
    for url in addresses.all:
        addresses.failed(url)
    assert _taken(addresses, 4) == ["a", "b", "c", "a"]


async def test_many_calls_that_fail_together_ask_once(addresses: Addresses, peers: Peers) -> None:
    for _ in range(64):
        addresses.failed("a")
    await asyncio.sleep(0.05)
    assert peers.asked == ["a"]


async def test_an_only_one_never_rests(peers: Peers) -> None:
    addresses = Addresses("a", peers.is_ready)
    addresses.failed("a")
    await asyncio.sleep(0.03)
    assert peers.asked == []
