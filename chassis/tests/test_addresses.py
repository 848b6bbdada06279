"""Replicas are taken in turn, and one that failed rests until it says that it is ready."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest

from chassis.web import addresses as module
from chassis.web.addresses import Addresses

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


class Names:
    """Who stands behind a name at the moment; an exception is raised."""

    def __init__(self) -> None:
        self.behind: list[str] | Exception = []
        self.lookups = 0

    async def look_up(self, name: str, port: int) -> Sequence[str]:
        assert (name, port) == ("orders", 8080)
        self.lookups += 1
        if isinstance(self.behind, Exception):
            raise self.behind
        return self.behind


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    return Names()


@pytest.fixture
async def by_name(peers: Peers, names: Names) -> AsyncIterator[Addresses]:
    addresses = Addresses("http://orders:8080", peers.is_ready, look_up=names.look_up)
    yield addresses
    await addresses.stop()


async def _come_to_be(addresses: Addresses, expected: tuple[str, ...], eventually: Eventually) -> None:
    async def are_they() -> bool:
        return addresses.all == expected

    await eventually(are_they, f"the addresses are {expected}")


async def test_all_replicas_behind_a_name_are_taken_in_turn(
    by_name: Addresses, names: Names, eventually: Eventually
) -> None:
    names.behind = ["10.0.0.3", "10.0.0.2"]
    await by_name.start()
    await _come_to_be(by_name, ("http://10.0.0.2:8080", "http://10.0.0.3:8080"), eventually)

    assert _taken(by_name, 3) == ["http://10.0.0.2:8080", "http://10.0.0.3:8080", "http://10.0.0.2:8080"]


async def test_replicas_that_come_and_go_are_noticed(peers: Peers, names: Names, eventually: Eventually) -> None:
    told: list[tuple[set[str], set[str]]] = []
    names.behind = ["10.0.0.2"]
    addresses = Addresses(
        "http://orders:8080", peers.is_ready, look_up=names.look_up, tell=lambda gone, come: told.append((gone, come))
    )
    await addresses.start()
    await _come_to_be(addresses, ("http://10.0.0.2:8080",), eventually)
    names.behind = ["fd00::3"]
    await _come_to_be(addresses, ("http://[fd00::3]:8080",), eventually)
    await addresses.stop()

    assert told[-1] == ({"http://10.0.0.2:8080"}, {"http://[fd00::3]:8080"})


async def test_a_replica_that_is_gone_is_not_waited_for(
    by_name: Addresses, peers: Peers, names: Names, eventually: Eventually
) -> None:
    names.behind = ["10.0.0.2", "10.0.0.3"]
    await by_name.start()
    await _come_to_be(by_name, ("http://10.0.0.2:8080", "http://10.0.0.3:8080"), eventually)
    peers.not_ready.add("http://10.0.0.3:8080")
    by_name.failed("http://10.0.0.3:8080")
    names.behind = ["10.0.0.2"]
    await _come_to_be(by_name, ("http://10.0.0.2:8080",), eventually)

    async def is_asked_no_more() -> bool:
        before = len(peers.asked)
        await asyncio.sleep(0.05)
        return len(peers.asked) == before

    await eventually(is_asked_no_more, "nobody asks whether it is ready")


@pytest.mark.parametrize("trouble", [socket.gaierror(socket.EAI_AGAIN, "later"), OSError(), TimeoutError()], ids=repr)
async def test_while_names_cannot_be_looked_up_the_last_addresses_serve(
    by_name: Addresses, names: Names, eventually: Eventually, trouble: Exception
) -> None:
    names.behind = ["10.0.0.2"]
    await by_name.start()
    await _come_to_be(by_name, ("http://10.0.0.2:8080",), eventually)
    names.behind, asked = trouble, names.lookups

    async def was_looked_up_again() -> bool:
        return names.lookups > asked + 2

    await eventually(was_looked_up_again, "the name is looked up all the same")
    assert by_name.all == ("http://10.0.0.2:8080",)


async def test_addresses_that_could_not_be_confirmed_for_long_are_not_used_any_more(
    by_name: Addresses, names: Names, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT_S_MAX", 0.1)
    names.behind = ["10.0.0.2"]
    await by_name.start()
    await _come_to_be(by_name, ("http://10.0.0.2:8080",), eventually)
    names.behind = socket.gaierror(socket.EAI_AGAIN, "later")

    await _come_to_be(by_name, ("http://orders:8080",), eventually)


async def test_an_address_whose_name_is_gone_is_not_used_any_more(
    by_name: Addresses, names: Names, eventually: Eventually
) -> None:
    names.behind = ["10.0.0.2"]
    await by_name.start()
    await _come_to_be(by_name, ("http://10.0.0.2:8080",), eventually)
    names.behind = socket.gaierror(socket.EAI_NONAME, "unknown")

    await _come_to_be(by_name, ("http://orders:8080",), eventually)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8093", "http://[::1]:8093", "https://orders"])
async def test_what_is_no_name_or_has_a_certificate_is_left_as_it_is(peers: Peers, names: Names, url: str) -> None:
    addresses = Addresses(url, peers.is_ready, look_up=names.look_up)
    await addresses.start()
    await asyncio.sleep(0.03)
    await addresses.stop()

    assert addresses.all == (url,)
    assert names.lookups == 0


async def test_a_real_name_is_looked_up(peers: Peers, eventually: Eventually) -> None:
    addresses = Addresses("http://localhost:8093", peers.is_ready)
    await addresses.start()
    await _come_to_be(addresses, ("http://127.0.0.1:8093",), eventually)
    await addresses.stop()
