"""Each service dies at each named place on the way of each scenario, and every promise holds.

A scenario is run once to see by which places it leads; then the process dies at each of them while a client goes that
way. `make test` does so at those places where most can go wrong, `make crash-test` at all of them.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from tests.chaos.crash_drill import Drill, Place
from tests.chaos.crash_scenarios import (
    FROM_CONFIRMED,
    SCENARIOS,
    Client,
    Scenario,
    Shop,
    find_lies,
    open_shop,
    purchase,
)

from cartwright.launcher import api
from cartwright.launcher.layout import SERVICES_WITH_DATABASE
from cartwright.launcher.reaper import Reaper
from cartwright.testkit.system import SystemUnderTest, running_system
from cartwright.verifier.quiet import wait_until_quiet
from cartwright.verifier.reads import verify
from cartwright.verifier.snapshots import open_snapshots

POINTS = Path(__file__).parent / "crash_points"
LANES = (("orders", "catalog", "payments"), ("notifications",), ("audit",))
"""A purchase goes straight through the first three, and while one is away it gets to none: they die in turn. The
others work on events, and die meanwhile."""
RELAY_RESTS_S = 3.0
"""So long after the last event a relay takes its lease anew, which is a place to die too."""
PASSED_S_MAX, PROVOCATIONS_MAX = RELAY_RESTS_S, 20
"""The time limit of one run until its crash, and the maximum number of runs."""
ORDER_S_MAX = 5.0
"""How long the next death waits for the order that met the last one: a breaker is open for two seconds."""
ANSWER_S_MAX = 60.0
"""Clients repeat their request as long as services die, and have their answer so soon afterwards."""
QUIET_S_MAX = 90.0
"""An event that was handed to a process that died is handed out again after half a minute."""

BY_THE_CLOCK = "SignedHeads._sign: "
"""Audit signs its head once a minute: a run passes that place or does not."""

WHERE_MOST_CAN_GO_WRONG = (
    Place("orders", "OrderBatcher._insert: after commit"),  # Accepted, and no client has an answer.
    Place("orders", "payments /payments: after call"),  # The money is held, and orders does not know.
    Place("orders", "order.confirmed: after publish"),  # Will be published again.
    Place("catalog", "reserve_stock: after commit"),
    Place("payments", "Sandbox.authorize: after commit"),  # The provider did it, and payments does not know.
    Place("payments", "Sandbox.capture: after commit"),
    Place("notifications", "mail: after call"),  # Will be sent again, as it may.
    Place("audit", "order.confirmed: before acknowledgement"),
)


@dataclass(frozen=True)
class Crashable:
    """A running system, and the folder by which its services are told where to die."""

    system: SystemUnderTest
    folder: Path


@pytest.fixture(scope="module")
def crashable(tmp_path_factory: pytest.TempPathFactory, reaper: Reaper) -> Iterator[Crashable]:
    folder = tmp_path_factory.mktemp("crash")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CRASH_FOLDER", str(folder))
        with running_system(tmp_path_factory.mktemp("system") / "data", reaper) as system:
            yield Crashable(system, folder)


@dataclass
class Course:
    """One scenario on its way through one system."""

    drill: Drill
    shop: Shop
    scenario: Scenario
    runs: list[tuple[str, "asyncio.Task[None]"]] = field(default_factory=list)
    deaths: dict[str, str] = field(default_factory=dict)
    """For which death each order was begun."""
    missed: list[str] = field(default_factory=list)

    @property
    def urls(self) -> dict[str, str]:
        return {service: self.drill.system.reader_url(service) for service in SERVICES_WITH_DATABASE}

    async def quiet(self) -> None:
        async with open_snapshots(self.urls) as snapshots:
            under_way = await wait_until_quiet(snapshots, QUIET_S_MAX)
        assert not under_way, under_way

    async def prepare(self, count: int) -> None:
        if self.scenario in FROM_CONFIRMED:
            await self.shop.confirm_some(count)
        await self.quiet()

    async def places(self) -> list[Place]:
        """The failpoints that the scenario passes when no process dies."""
        await self.prepare(1)
        await self.drill.places_until_nothing_moves(RELAY_RESTS_S)
        await self._run("nowhere")
        await self.quiet()
        passed = await self.drill.places_until_nothing_moves(1.0)
        return [place for place in passed if not place.name.startswith(BY_THE_CLOCK)]

    async def _run(self, place: str) -> None:
        truth = await self.scenario(self.shop)
        self.shop.told[truth.order_id] = truth
        self.deaths[truth.order_id] = place

    async def crash_at(self, places: Sequence[Place]) -> None:
        """Die at each place. Places of events first, since an event that died comes again only after half a minute."""
        await self.prepare(len(places) + 20)
        in_turn = sorted(places, key=lambda place: not place.is_of_event)
        await asyncio.gather(*(self._crash_in_turn([p for p in in_turn if p.service in lane]) for lane in LANES))
        await asyncio.wait([run for _, run in self.runs], timeout=ANSWER_S_MAX)

    async def _crash_in_turn(self, places: Sequence[Place]) -> None:
        for place in places:
            dies = await self.drill.arm(place)
            run = await self._provoke(place)
            if self.drill.disarm(place):
                self.missed.append(f"no process passed {place}")
                continue
            await self.drill.wait_until_back(place.service, dies)
            # A process that dies again at once lets no order through, and no other process reaches the failpoint.
            await asyncio.wait([run], timeout=ORDER_S_MAX)

    async def _provoke(self, place: Place) -> "asyncio.Task[None]":
        for _ in range(PROVOCATIONS_MAX):
            run = asyncio.create_task(self._run(str(place)))
            self.runs.append((str(place), run))
            deadline = time.monotonic() + PASSED_S_MAX
            while time.monotonic() < deadline:
                if not self.drill.is_armed(place):
                    return run
                await asyncio.sleep(0.05)
        return run

    async def complaints(self) -> list[str]:
        """Failpoints without a crash; missing and wrong answers; broken promises."""
        unanswered = [f"{place}: {told}" for place, run in self.runs if (told := _trouble(run)) is not None]
        report = await verify(self.urls, wait_s=QUIET_S_MAX)
        under_way = [f"{count} {what} after {QUIET_S_MAX:.0f} s" for what, count in report.in_flight.items()]
        broken = [
            f"promise {verdict.promise}: {violation.rule}: {violation.id} {violation.detail}"
            for verdict in report.verdicts
            for violation in verdict.violations
        ]
        found = self.missed + unanswered + under_way + broken + await find_lies(self.shop)
        return [f"{one} (died at {self._death_in(one)})" for one in found]

    def _death_in(self, complaint: str) -> str:
        return next((place for order, place in self.deaths.items() if order in complaint), "?")


def _trouble(run: "asyncio.Task[None]") -> str | None:
    if not run.done():
        run.cancel()
        return "the client has no definite answer"
    return None if run.exception() is None else repr(run.exception())


@asynccontextmanager
async def course(crashable: Crashable, scenario: Scenario) -> AsyncIterator[Course]:
    system = crashable.system.opened()
    gateway = f"{crashable.system.gateway}/api"
    buyer = await asyncio.to_thread(crashable.system.token, f"ada-{secrets.token_hex(6)}@example.com")
    administrator = (await asyncio.to_thread(api.administrator, system)).access_token
    assert administrator is not None, "it has signed in"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        shop = await open_shop(Client(gateway, http, buyer), Client(gateway, http, administrator))
        drill = Drill(system, crashable.folder, http)
        yield Course(drill, shop, scenario)


def assert_known(scenario: str, places: Sequence[Place], tmp_path: Path) -> None:
    """A place that goes unnoticed would not be crashed at any more; one that comes is to be looked at."""
    known = POINTS / f"{scenario}.txt"
    found = tmp_path / known.name
    found.write_text("".join(f"{place}\n" for place in places))
    expected = set(known.read_text().splitlines()) if known.exists() else set()
    here = {str(place) for place in places}
    if here != expected:
        pytest.fail(
            f"{scenario} leads by other places than {known.name} says.\n"
            f"  gone: {sorted(expected - here)}\n  new: {sorted(here - expected)}\n"
            f"If that is meant: cp {found} {known}",
            pytrace=False,
        )


@pytest.mark.timeout(180)
async def test_a_purchase_survives_a_crash_where_most_can_go_wrong(crashable: Crashable, tmp_path: Path) -> None:
    async with course(crashable, purchase) as running:
        assert_known("purchase", await running.places(), tmp_path)
        await running.crash_at(WHERE_MOST_CAN_GO_WRONG)
        complaints = await running.complaints()
        assert not complaints, "\n".join(complaints)


@pytest.mark.matrix
@pytest.mark.timeout(900)
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_a_crash_at_any_place_breaks_no_promise(scenario: str, crashable: Crashable, tmp_path: Path) -> None:
    async with course(crashable, SCENARIOS[scenario]) as running:
        places = await running.places()
        assert_known(scenario, places, tmp_path)
        await running.crash_at(places)
        complaints = await running.complaints()
        assert not complaints, "\n".join(complaints)
