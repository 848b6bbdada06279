"""Crashes the services of a running system at their failpoints (`chassis.failpoint`), and waits until they are back."""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import aiohttp
import asyncpg

from cartwright.launcher import supervisor
from cartwright.launcher.system import System

BACK_S_MAX = 60.0
POLL_S = 0.05

# Another replica takes the work of a dead process when its lease has expired. This wait is not tested here and would be
# most of the time, so the leases of a dead process expire at once.
_RELAY_LEASE = "UPDATE journal_relay SET leased_until = now()"
_LEASES: Mapping[str, Sequence[str]] = {
    "catalog": (_RELAY_LEASE,),
    "orders": (
        _RELAY_LEASE,
        "UPDATE orders SET next_attempt_at = now() WHERE status IN ('pending', 'cancelling')",
    ),
    "payments": (
        _RELAY_LEASE,
        "UPDATE payments SET next_attempt_at = now() WHERE wanted IS NOT NULL",
        "UPDATE refunds SET next_attempt_at = now() WHERE state = 'pending'",
    ),
    "notifications": (
        _RELAY_LEASE,
        "UPDATE notifications SET next_attempt_at = now() WHERE state = 'pending'",
    ),
    "audit": (),
}
SERVICES = tuple(_LEASES)
"""Those that take part in a purchase, a cancellation or a refund and have something to lose."""


_NOT_COUNTED = frozenset(
    {
        "Consumer._give_effect",  # The same places are passed under the name of each event.
        "users /.well-known/jwks.json",  # Asked for when the keys have grown old, whatever is done then.
    }
)


class Place(NamedTuple):
    """A named place in the code of a service."""

    service: str
    name: str

    def __str__(self) -> str:
        return f"{self.service}: {self.name}"

    @property
    def is_of_event(self) -> bool:
        """Whether it is on the way of an event, such as `order.placed: before publish`."""
        thing = self.name.partition(": ")[0]
        return "." in thing and thing.islower()


@dataclass
class Drill:
    """A system that was started with `CRASH_FOLDER` set to `folder`."""

    system: System
    folder: Path
    http: aiohttp.ClientSession
    _read_up_to: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def places_passed(self) -> list[Place]:
        """Those passed since the last time this was asked: each once, in the order of the first passing."""
        places: dict[Place, None] = {}
        for service in SERVICES:
            path = self.folder / f"{service}.passed"
            if not path.exists():
                continue
            with path.open() as file:
                file.seek(self._read_up_to[service])
                passed = (Place(service, line.rstrip("\n")) for line in file.readlines())
                places |= dict.fromkeys(place for place in passed if place.name.partition(":")[0] not in _NOT_COUNTED)
                self._read_up_to[service] = file.tell()
        return list(places)

    async def places_until_nothing_moves(self, seconds: float) -> list[Place]:
        """The places passed until none was for so long."""
        places = dict.fromkeys(self.places_passed())
        quiet_since = time.monotonic()
        while time.monotonic() < quiet_since + seconds:
            await asyncio.sleep(POLL_S)
            if more := self.places_passed():
                places |= dict.fromkeys(more)
                quiet_since = time.monotonic()
        return list(places)

    async def arm(self, place: Place) -> int:
        """Have the service die when it passes there next. Answers the id of the process that will."""
        dies = (await self._state(place.service)).pid  # Asked before: it may be dead before there is an answer.
        waiting = self._armed(place).with_suffix(".next")
        waiting.write_text(place.name)
        waiting.rename(self._armed(place))  # At once: a file half written would name another place.
        return dies

    def is_armed(self, place: Place) -> bool:
        """Whether no process has died there yet."""
        return self._armed(place).exists()

    def disarm(self, place: Place) -> bool:
        """Whether no process has died there, and none will any more."""
        try:
            self._armed(place).unlink()
        except FileNotFoundError:
            return False
        return True

    async def wait_until_back(self, service: str, dead: int) -> None:
        """Return once the successor of the process `dead` is ready, and may die without supervisor taking offence."""
        await self._let_leases_run_out(service)
        async with asyncio.timeout(BACK_S_MAX):
            while (state := await self._state(service)).state != "RUNNING" or state.pid == dead:
                await asyncio.sleep(POLL_S)
            while not await self._is_ready(service):
                await asyncio.sleep(POLL_S)

    def _armed(self, place: Place) -> Path:
        return self.folder / f"{place.service}.at"

    async def _state(self, service: str) -> supervisor.PartState:
        async with asyncio.timeout(BACK_S_MAX):
            while True:
                with contextlib.suppress(OSError):  # It is busy with starting what has died.
                    return (await asyncio.to_thread(supervisor.part_states, self.system))[service]

    async def _is_ready(self, service: str) -> bool:
        try:
            async with self.http.get(f"{self.system.service_url(service)}/ready") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    async def _let_leases_run_out(self, service: str) -> None:
        connection = await asyncpg.connect(self.system.database_url(service), timeout=10)
        try:
            for statement in _LEASES[service]:
                await connection.execute(statement)
        finally:
            await connection.close()
