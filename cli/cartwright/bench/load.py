"""Loads the gateway from a process of its own, whose CPU is counted apart from the system's.

Run as a module it reads a `Load` from its standard input and writes a `LoadOutcome` to its output.
"""

import asyncio
import resource
import subprocess
import sys
from time import perf_counter

import msgspec
import uvloop

from cartwright.bench.clients import Client, Tally
from cartwright.bench.figures import Latency, OthersLatency, Outcome, latency_of
from cartwright.bench.requests import READS, SIGN_INS, Shop, requests_of

LAST_ANSWERS_S_MAX = 15.0
OVERHEAD_S_MAX = 60.0
POLL_S = 0.01
OTHER_PAUSE_S = 0.02
"""Of the other client between two reads: it measures, and is no load."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What to ask for, by how many clients at once, for how long. LoadResult is only what follows `warm_up_s`."""

    kind: str
    host: str
    port: int
    shop: Shop
    clients: int
    seconds: float
    warm_up_s: float = 1.0


class LoadOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """`cpu_ms_per_request` is what asking itself took, of the CPU that the whole system shares."""

    outcome: Outcome
    cpu_ms_per_request: float
    others: OthersLatency | None = None
    """Of a load that others must hardly notice: sign-ins."""


def run(load: Load) -> LoadOutcome:
    """Runs the load in another process. Raises subprocess' errors when that fails."""
    completed = subprocess.run(
        [sys.executable, "-P", "-m", __name__],
        input=msgspec.json.encode(load),
        stdout=subprocess.PIPE,
        timeout=load.warm_up_s + load.seconds + LAST_ANSWERS_S_MAX + OVERHEAD_S_MAX,
        check=True,
    )
    return msgspec.json.decode(completed.stdout, type=LoadOutcome)


async def generate(load: Load) -> LoadOutcome:
    other = await _Other.connect(load) if load.kind == SIGN_INS else None
    quiet = await other.latency(load.seconds) if other is not None else None
    next_request, success = requests_of(load.kind, load.shop)
    tally = Tally(next_request, success)
    clients = [Client(load.host, load.port, tally) for _ in range(load.clients)]
    await asyncio.gather(*(client.connect() for client in clients))
    await asyncio.sleep(load.warm_up_s)

    tally.is_measured = True
    began_at, cpu_before, answers_before = perf_counter(), _cpu_s(), sum(tally.answers.values())
    if other is None:
        await asyncio.sleep(load.seconds)
        others = None
    else:
        assert quiet is not None
        others = OthersLatency(quiet=quiet, loaded=await other.latency(load.seconds))
        other.close()
    seconds, cpu_s = perf_counter() - began_at, _cpu_s() - cpu_before
    answers = sum(tally.answers.values()) - answers_before
    tally.is_measured, tally.is_over = False, True

    await _wait_for_last_answers(clients)
    return LoadOutcome(
        outcome=Outcome(
            clients=load.clients,
            seconds=round(seconds, 3),
            per_second=round(len(tally.durations_s) / seconds, 1),
            latency=latency_of(tally.durations_s),
            errors=tally.errors,
            answers=dict(tally.answers),
        ),
        cpu_ms_per_request=round(cpu_s * 1000 / max(answers, 1), 4),
        others=others,
    )


class _Other:
    """One client that reads products, with a pause between two reads."""

    def __init__(self, load: Load) -> None:
        self._tally = Tally(*requests_of(READS, load.shop))
        self._client = Client(load.host, load.port, self._tally, pause_s=OTHER_PAUSE_S)

    @classmethod
    async def connect(cls, load: Load) -> "_Other":
        other = cls(load)
        await other._client.connect()
        return other

    async def latency(self, seconds: float) -> Latency:
        """Of the reads of so many seconds from now on."""
        first = len(self._tally.durations_s)
        self._tally.is_measured = True
        await asyncio.sleep(seconds)
        self._tally.is_measured = False
        return latency_of(self._tally.durations_s[first:])

    def close(self) -> None:
        self._tally.is_over = True
        self._client.close()


async def _wait_for_last_answers(clients: list[Client]) -> None:
    """What was asked is answered, so that the system is left with nothing half done."""
    deadline = perf_counter() + LAST_ANSWERS_S_MAX
    while any(client.waits for client in clients) and perf_counter() < deadline:  # noqa: ASYNC110 - at its end alone.
        await asyncio.sleep(POLL_S)
    for client in clients:
        client.close()


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(generate(msgspec.json.decode(sys.stdin.buffer.read(), type=Load)))
    sys.stdout.buffer.write(msgspec.json.encode(result))
