"""How far the events are behind, and how long until every one is consumed and nothing is under way."""

from time import perf_counter

import aiohttp
import msgspec

from cartwright.launcher.layout import LOOPBACK, PUBLISHERS
from cartwright.launcher.system import System
from cartwright.verifier.quiet import UNPUBLISHED, wait_until_quiet
from cartwright.verifier.snapshots import Snapshots

QUIET_S_MAX = 300.0
CALL_S_MAX = 10.0


class Lag(msgspec.Struct, frozen=True, kw_only=True):
    """Right after the last answer: events that the broker does not have yet, and deliveries that are not acknowledged.

    An event has a delivery for each service that listens to it.
    """

    unpublished_events: int
    undelivered: dict[str, int]
    seconds_until_consumed: float
    still_under_way: dict[str, int]


async def wait_out(system: System, snapshots: Snapshots) -> Lag:
    began_at = perf_counter()
    unpublished = sum([await snapshots.number(service, UNPUBLISHED) for service in PUBLISHERS])
    undelivered = await _undelivered(system)
    under_way = await wait_until_quiet(snapshots, QUIET_S_MAX)
    return Lag(
        unpublished_events=unpublished,
        undelivered=undelivered,
        seconds_until_consumed=round(perf_counter() - began_at, 2),
        still_under_way=under_way,
    )


async def _undelivered(system: System) -> dict[str, int]:
    """By the broker's monitor, of each durable consumer."""
    url = f"http://{LOOPBACK}:{system.ports.nats_monitor}/jsz?consumers=true&accounts=true"
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CALL_S_MAX)) as http,
        http.get(url) as answer,
    ):
        answer.raise_for_status()
        state = msgspec.json.decode(await answer.read(), type=_State)
    return {
        consumer.name: consumer.num_pending + consumer.num_ack_pending
        for account in state.account_details
        for stream in account.stream_detail
        for consumer in stream.consumer_detail
    }


class _Consumer(msgspec.Struct):
    name: str
    num_pending: int
    num_ack_pending: int


class _Stream(msgspec.Struct):
    consumer_detail: list[_Consumer] = []


class _Account(msgspec.Struct):
    stream_detail: list[_Stream] = []


class _State(msgspec.Struct):
    account_details: list[_Account] = []
