"""The saga runner without any I/O: each step fails in each way. The simulation of the checkout tests it in full."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest

from chassis.saga import Done, Outcome, Pivot, Refused, Runner, Saga, Step, Unknown

STEPS = ("reserve", "authorize")


@dataclass
class Thing:
    """A subject, which also plays its own row in the database."""

    id: UUID = field(default_factory=uuid4)
    correlation_id: str = "c"
    traceparent: str | None = None
    attempts: int = 0
    status: str = "pending"
    deferred: bool = False


class World:
    """Peers that keep what was done, and tombstones of what was undone; and the store. Faults are scripted by name:
    `lost before` the work, `lost after` it, or `refused`."""

    def __init__(self, script: dict[str, list[str]] | None = None, *, past_deadline: bool = False) -> None:
        self.script = {name: list(faults) for name, faults in (script or {}).items()}
        self.past_deadline = past_deadline
        self.held: dict[str, set[UUID]] = {step: set() for step in STEPS}
        self.tombstones: dict[str, set[UUID]] = {step: set() for step in STEPS}
        self.log: list[str] = []
        self.ended: list[Thing] = []
        self.batches: list[int] = []

    def _act(self, name: str, effect: Callable[[Thing], Outcome[Thing, str]]) -> Callable[..., object]:
        async def act(_world: object, things: Sequence[Thing]) -> Sequence[Outcome[Thing, str]]:
            self.batches.append(len(things))
            return [self._one(name, thing, effect) for thing in things]

        return act

    def _one(self, name: str, thing: Thing, effect: Callable[[Thing], Outcome[Thing, str]]) -> Outcome[Thing, str]:
        faults = self.script.get(name, [])
        fault = faults.pop(0) if faults else "none"
        self.log.append(f"{name} ({fault})")
        if fault == "lost before":
            return Unknown("the request was lost")
        if fault == "refused":
            return Refused(f"{name} refused")
        outcome = effect(thing)
        return Unknown("the answer was lost") if fault == "lost after" else outcome

    def saga(self) -> "Saga[World, Thing, str]":
        def do(step: str) -> Callable[[Thing], Outcome[Thing, str]]:
            def effect(thing: Thing) -> Outcome[Thing, str]:
                if thing.id in self.tombstones[step]:
                    return Refused("undone before")
                self.held[step].add(thing.id)
                return Done(thing)

            return effect

        def undo(step: str) -> Callable[[Thing], Outcome[Thing, str]]:
            def effect(thing: Thing) -> Outcome[Thing, str]:
                self.held[step].discard(thing.id)
                self.tombstones[step].add(thing.id)
                return Done(thing)

            return effect

        def confirm(thing: Thing) -> Outcome[Thing, str]:
            if thing.status != "pending":
                return Refused("overtaken")
            thing.status = "confirmed"
            return Done(thing)

        steps = [Step(s, do=self._act(f"do {s}", do(s)), undo=self._act(f"undo {s}", undo(s))) for s in STEPS]  # type: ignore[arg-type]
        return Saga(*steps, Pivot("confirm", do=self._act("do confirm", confirm)))  # type: ignore[arg-type]

    # The store

    async def begin_compensation(self, requests: Sequence[tuple[Thing, str]]) -> Sequence[Thing]:
        for thing, _ in requests:
            if thing.status == "pending":
                self.log.append("compensation begun")
                thing.status = "cancelling"
        return [thing for thing, _ in requests]

    async def finish_compensation(self, requests: Sequence[tuple[Thing, str | None]]) -> Sequence[Thing]:
        for thing, reason in requests:
            if thing.status == "cancelling" if reason is None else thing.status == "pending" and not thing.attempts:
                thing.status = "ended"
        return [thing for thing, _ in requests]

    async def defer(self, requests: Sequence[tuple[Thing, float, str]]) -> None:
        for thing, delay_s, _ in requests:
            assert 0 < delay_s <= 6
            thing.deferred = True

    async def reread(self, subjects: Sequence[Thing]) -> Sequence[Thing]:
        return subjects

    def is_compensating(self, subject: Thing) -> bool:
        return subject.status == "cancelling"

    def has_ended(self, subject: Thing) -> bool:
        return subject.status in {"confirmed", "ended"}

    def reason_to_compensate(self, subject: Thing) -> str | None:
        return "late" if self.past_deadline else None

    def runner(self) -> "Runner[World, Thing, str]":
        return Runner(self.saga(), self, self, self.ended.append)

    def assert_sound(self, thing: Thing) -> None:
        if thing.status == "confirmed":
            assert all(thing.id in held for held in self.held.values()), self.log
        if thing.status == "ended":
            assert not any(thing.id in held for held in self.held.values()), self.log
        assert self.ended.count(thing) <= 1


async def carry(world: World, thing: Thing, *, times: int = 1) -> None:
    """Run the saga, and again for each time that it was deferred, up to `times`."""
    runner = world.runner()
    for again in range(times):
        thing.attempts += bool(again)
        runner.start(thing)
        async with asyncio.timeout(5):
            while runner.running:
                await asyncio.sleep(0)
        if world.has_ended(thing):
            return


async def test_a_subject_goes_through_all_steps_to_the_pivot() -> None:
    world, thing = World(), Thing()

    await carry(world, thing)

    assert world.log == ["do reserve (none)", "do authorize (none)", "do confirm (none)"]
    assert world.ended == [thing]


async def test_a_refusal_is_undone_in_reverse_after_the_compensation_is_stored() -> None:
    world, thing = World({"do authorize": ["refused"]}), Thing()

    await carry(world, thing)

    assert world.log == ["do reserve (none)", "do authorize (refused)", "compensation begun", "undo reserve (none)"]
    assert thing.status == "ended"


async def test_a_refusal_of_the_first_step_ends_at_once() -> None:
    world, thing = World({"do reserve": ["refused"]}), Thing()

    await carry(world, thing)

    assert world.log == ["do reserve (refused)"]
    assert thing.status == "ended"


async def test_a_deadline_undoes_all_steps_since_any_may_have_happened() -> None:
    world, thing = World(past_deadline=True), Thing()

    await carry(world, thing)

    assert world.log == ["compensation begun", "undo authorize (none)", "undo reserve (none)"]
    assert thing.status == "ended"


@pytest.mark.parametrize("fault", ["lost before", "lost after"])
@pytest.mark.parametrize("name", ["do reserve", "do authorize", "do confirm"])
async def test_an_unknown_outcome_is_deferred_and_never_undone(name: str, fault: str) -> None:
    world, thing = World({name: [fault]}), Thing()

    await carry(world, thing, times=2)

    assert thing.deferred
    assert thing.status == "confirmed"
    assert not any("undo" in entry for entry in world.log)
    world.assert_sound(thing)


@pytest.mark.parametrize("fault", ["lost before", "lost after"])
@pytest.mark.parametrize("name", ["undo reserve", "undo authorize"])
async def test_an_undo_is_repeated_until_it_is_known(name: str, fault: str) -> None:
    world, thing = World({name: [fault, fault]}, past_deadline=True), Thing()

    await carry(world, thing, times=3)

    assert thing.status == "ended"
    world.assert_sound(thing)


async def test_what_fails_for_days_is_still_deferred() -> None:
    world, thing = World({"do reserve": ["lost before"]}), Thing(attempts=100_000)

    await carry(world, thing)

    assert thing.deferred


async def test_a_subject_that_is_cancelled_meanwhile_is_undone_and_not_confirmed() -> None:
    world, thing = World(), Thing()
    saga = world.saga()
    authorize = saga.steps[1]

    async def authorize_during_a_cancellation(_world: World, things: Sequence[Thing]) -> Sequence[Outcome[Thing, str]]:
        outcomes = await authorize.do(world, things)
        await world.begin_compensation([(thing, "cancelled")])
        return outcomes

    slow = Saga(saga.steps[0], Step("authorize", do=authorize_during_a_cancellation, undo=authorize.undo), saga.pivot)
    runner = Runner(slow, world, world, world.ended.append)
    runner.start(thing)
    while runner.running:
        await asyncio.sleep(0)

    assert thing.status == "ended"
    world.assert_sound(thing)


@pytest.mark.parametrize("refused", ["do reserve", "do authorize"])
async def test_a_subject_that_another_attempt_took_up_has_all_steps_undone(
    refused: str,
) -> None:
    """The first attempt froze after its refusal. The second one, which came later, had all steps done."""
    world, thing = World({refused: ["refused"]}), Thing()

    def take_up_before(write: Callable[..., Awaitable[Sequence[Thing]]]) -> Callable[..., Awaitable[Sequence[Thing]]]:
        async def take_up_and_write(changes: object) -> Sequence[Thing]:
            if not thing.attempts:
                thing.attempts = 1
                for held in world.held.values():
                    held.add(thing.id)
            return await write(changes)

        return take_up_and_write

    world.begin_compensation = take_up_before(world.begin_compensation)  # type: ignore[method-assign]
    world.finish_compensation = take_up_before(world.finish_compensation)  # type: ignore[method-assign]

    await carry(world, thing)

    assert thing.status == ("pending" if refused == "do reserve" else "ended")
    assert thing.deferred == (refused == "do reserve"), "a retry follows soon, in case this process took it up"
    world.assert_sound(thing)


async def test_a_step_that_raises_is_unknown_for_its_whole_batch_and_a_poison_subject_ends_up_alone() -> None:
    world = World()
    poison = Thing()
    things = [Thing() for _ in range(9)] + [poison]
    saga = world.saga()

    async def reserve(_world: World, batch: Sequence[Thing]) -> Sequence[Outcome[Thing, str]]:
        world.batches.append(len(batch))
        if poison in batch:
            raise RuntimeError("a bug in one of them")
        return await saga.steps[0].do(world, batch)

    poisoned = Saga(Step("reserve", do=reserve, undo=saga.steps[0].undo), saga.steps[1], saga.pivot)
    runner = Runner(poisoned, world, world, world.ended.append)
    for _ in range(30):
        await run_once(runner, world, things)

    assert poison.status == "pending"
    assert all(thing.status == "confirmed" for thing in things[:-1])


async def run_once(runner: Runner[World, Thing, str], world: World, things: Sequence[Thing]) -> None:
    """One more attempt for each of `things` that has not ended, all at the same time."""
    for thing in things:
        if not world.has_ended(thing):
            thing.attempts += thing.deferred
            runner.start(thing)
    while runner.running:
        await asyncio.sleep(0)


async def test_the_backlog_of_an_outage_does_not_prolong_it() -> None:
    world = World()
    things = [Thing() for _ in range(500)]
    saga = world.saga()
    is_away = True

    async def reserve(_world: World, batch: Sequence[Thing]) -> Sequence[Outcome[Thing, str]]:
        if is_away:
            world.batches.append(len(batch))
            raise TimeoutError
        return await saga.steps[0].do(world, batch)

    runner = Runner(
        Saga(Step("reserve", do=reserve, undo=saga.steps[0].undo), saga.steps[1], saga.pivot),
        world,
        world,
        world.ended.append,
    )
    for _ in range(12):
        world.batches.clear()
        await run_once(runner, world, things)
        assert len(world.batches) <= 4, "during the outage there are few calls"

    is_away = False
    world.batches.clear()
    await run_once(runner, world, things)
    assert all(thing.status == "confirmed" for thing in things)
    assert len(world.batches) <= 40, "after the outage the backlog is soon done"


async def test_subjects_that_wait_for_the_same_step_go_together() -> None:
    world = World()
    runner = world.runner()
    for _ in range(100):
        runner.start(Thing())
    while runner.running:
        await asyncio.sleep(0)

    assert len(world.ended) == 100
    assert len(world.batches) < 20


async def test_starting_a_subject_twice_runs_it_once() -> None:
    world, thing = World(), Thing()
    runner = world.runner()
    runner.start(thing)
    runner.start(thing)
    while runner.running:
        await asyncio.sleep(0)

    assert world.log.count("do reserve (none)") == 1
    assert world.ended == [thing]
