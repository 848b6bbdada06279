"""The saga runner: carries subjects through steps, together where they wait for the same step. It knows no orders.

Guarantees, which rest on each step being idempotent by the subject's id:
- Recovery is running again from the start, so nothing between the first step and the pivot is stored.
- An outcome that is not known is never taken for a failure: the subject is put off and asked about again.
- Turning round is committed before anything is undone; the pivot is refused from then on, whoever tries it.
- After the pivot nothing is undone.
"""

import asyncio
import collections
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeAlias, TypeVar
from uuid import UUID

import structlog
from prometheus_client import Counter

from chassis import context
from chassis.batching import Batcher

STEPS = Counter("cartwright_saga_steps_total", "Saga steps by outcome.", ["step", "outcome"])
RETRY_DELAY_S_MIN, RETRY_DELAY_S_MAX = 0.25, 5.0
ATTEMPTS_IN_COMPANY = 3
"""A subject that failed so often goes with its like, so that whatever is wrong with it spoils no batch for others."""
BATCH_MAX = 256
FAILURES_IN_A_ROW_MAX = 2

_log = structlog.get_logger()


class Subject(Protocol):
    """What a saga is about."""

    id: UUID
    correlation_id: str
    traceparent: str | None
    attempts: int
    """How often it was taken up again, by whomever: 0 means that all that was asked for it was asked by the first."""


SubjectT = TypeVar("SubjectT", bound=Subject)
ReasonT = TypeVar("ReasonT")
WithT = TypeVar("WithT")


@dataclass(frozen=True, slots=True)
class Done:
    """The step is done, now or before."""


@dataclass(frozen=True, slots=True)
class Refused(Generic[ReasonT]):
    """The step will never be done: definite, with the reason."""

    reason: ReasonT


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may have been done or not: ask again later."""

    why: str


Outcome: TypeAlias = Done | Refused[ReasonT] | Unknown
Act: TypeAlias = Callable[[WithT, Sequence[SubjectT]], Awaitable[Sequence[Outcome[ReasonT]]]]
"""Does or undoes a step for many subjects at once, and answers one for one. What it raises counts as `Unknown`."""


@dataclass(frozen=True, slots=True)
class Step(Generic[WithT, SubjectT, ReasonT]):
    """Something that is done, and how it is undone. Both are idempotent; `undo` holds even before a late `do`."""

    name: str
    do: Act[WithT, SubjectT, ReasonT]
    undo: Act[WithT, SubjectT, ReasonT]


@dataclass(frozen=True, slots=True)
class Pivot(Generic[WithT, SubjectT, ReasonT]):
    """The point of no return. `Refused` means that the subject has turned round or ended meanwhile; or, where it has
    done neither, that it has to turn round now, for the reason given."""

    name: str
    do: Act[WithT, SubjectT, ReasonT]


class Saga(Generic[WithT, SubjectT, ReasonT]):
    """Steps in their order, and the pivot at the end."""

    def __init__(self, *parts: Step[WithT, SubjectT, ReasonT] | Pivot[WithT, SubjectT, ReasonT]) -> None:
        *steps, pivot = parts
        assert isinstance(pivot, Pivot), "a saga ends with its pivot"
        self.steps: tuple[Step[WithT, SubjectT, ReasonT], ...] = tuple(s for s in steps if isinstance(s, Step))
        assert len(self.steps) == len(steps), "a saga has one pivot"
        self.pivot: Pivot[WithT, SubjectT, ReasonT] = pivot


class Record(Protocol[SubjectT, ReasonT]):
    """Where the state of subjects is kept. Each call is one commit, for all of its subjects."""

    async def turn_round(self, turns: Sequence[tuple[SubjectT, ReasonT]]) -> Sequence[SubjectT]:
        """From here on the subject can only be undone. Answers the subjects as they now stand: one that went past
        the pivot or ended before is answered so."""

    async def end_undone(self, ends: Sequence[tuple[SubjectT, ReasonT | None]]) -> Sequence[SubjectT]:
        """All is undone: the subject ends. With a reason, straight from the start, since nothing had been done; unless
        somebody else has taken it up since, and carries on."""

    async def put_off(self, delays: Sequence[tuple[SubjectT, float, str]]) -> None:
        """Try again after so many seconds, for that reason."""

    async def reread(self, subjects: Sequence[SubjectT]) -> Sequence[SubjectT]:
        """The subjects as they now stand."""

    def has_turned(self, subject: SubjectT) -> bool: ...

    def has_ended(self, subject: SubjectT) -> bool: ...

    def reason_to_turn(self, subject: SubjectT) -> ReasonT | None:
        """Why the subject has to turn round by itself, such as its deadline; None when it need not."""


class Runner(Generic[WithT, SubjectT, ReasonT]):
    """Runs subjects through a saga, with one batch in flight per step. `ended` hears of each that came to its end."""

    def __init__(
        self,
        saga: Saga[WithT, SubjectT, ReasonT],
        participants: WithT,
        record: Record[SubjectT, ReasonT],
        ended: Callable[[SubjectT], None],
    ) -> None:
        self._saga = saga
        self._with = participants
        self._record = record
        self._ended = ended
        self._running: dict[UUID, asyncio.Task[None]] = {}
        acts = [(f"do {s.name}", s.do) for s in saga.steps] + [(f"undo {s.name}", s.undo) for s in saga.steps]
        acts.append((f"do {saga.pivot.name}", saga.pivot.do))
        self._acts = dict(acts)
        self._batches: dict[str, Batcher[SubjectT, Outcome[ReasonT]]] = {
            name: Batcher(name, self._together(name), size_max=BATCH_MAX) for name, _ in acts
        }
        self._batches_again: dict[str, Batcher[SubjectT, Outcome[ReasonT]]] = {
            name: Batcher(f"{name} again", self._cautiously(name), size_max=BATCH_MAX) for name, _ in acts
        }
        self._turns: Batcher[tuple[SubjectT, ReasonT], SubjectT] = Batcher("turn round", record.turn_round)
        self._ends: Batcher[tuple[SubjectT, ReasonT | None], SubjectT] = Batcher("end undone", record.end_undone)

    @property
    def running(self) -> int:
        """How many subjects are on their way in this process."""
        return len(self._running)

    def start(self, subject: SubjectT) -> None:
        """Carry `subject` as far as it goes now, in the background. One that is on its way already is left alone."""
        if subject.id in self._running:
            return
        task = asyncio.create_task(self._carry(subject), name=f"saga {subject.id}")
        self._running[subject.id] = task
        task.add_done_callback(lambda _: self._running.pop(subject.id, None))

    async def drain(self, seconds: float) -> None:
        """Wait for those on their way. What is not done in time is taken up by another replica, or the next start."""
        if self._running:
            await asyncio.wait(list(self._running.values()), timeout=seconds)
        for task in list(self._running.values()):
            task.cancel()

    async def _carry(self, subject: SubjectT) -> None:
        with context.working_on(subject.correlation_id, subject.traceparent):
            try:
                subject = await self._run(subject)
            except _PutOff as put_off:
                await self._put_off(subject, put_off.why)
            except Exception as error:
                _log.warning("a saga met an error", subject=str(subject.id), exc_info=error)
                await self._put_off(subject, f"{type(error).__name__}: {error}")
            if self._record.has_ended(subject):
                self._ended(subject)

    async def _run(self, subject: SubjectT) -> SubjectT:
        """The whole way: forward to the pivot, or round and back."""
        if self._record.has_turned(subject):
            return await self._undo(subject, self._saga.steps)
        if (reason := self._record.reason_to_turn(subject)) is not None:
            return await self._turn_and_undo(subject, reason, self._saga.steps)
        for done, step in enumerate(self._saga.steps):
            outcome = await self._act(f"do {step.name}", subject)
            if isinstance(outcome, Refused):
                # At the first asking it is known what was done. After an unknown outcome any step may have been, or a
                # question may still be under way: then all are undone, which holds against a late do.
                done_before = self._saga.steps[:done] if subject.attempts == 0 else self._saga.steps
                return await self._turn_and_undo(subject, outcome.reason, done_before)
        outcome = await self._act(f"do {self._saga.pivot.name}", subject)
        if isinstance(outcome, Refused):
            return await self._after_lost_pivot(subject, outcome.reason)
        return subject

    async def _turn_and_undo(
        self, subject: SubjectT, reason: ReasonT, steps: Sequence[Step[WithT, SubjectT, ReasonT]]
    ) -> SubjectT:
        if not steps:
            subject = await self._ends.submit((subject, reason))
            if self._record.has_turned(subject):
                # By somebody else, who may be gone by now: then all is undone here.
                return await self._undo(subject, self._saga.steps)
            if not self._record.has_ended(subject):
                # By another replica; or by this one, which let it go again since it was on its way here.
                raise _PutOff("it was taken up again meanwhile")
            return subject
        subject = await self._turns.submit((subject, reason))
        if self._record.has_ended(subject):
            return subject
        # Whoever has taken it up before it turned round may have done any step.
        return await self._undo(subject, steps if subject.attempts == 0 else self._saga.steps)

    async def _undo(self, subject: SubjectT, steps: Sequence[Step[WithT, SubjectT, ReasonT]]) -> SubjectT:
        for step in reversed(steps):
            await self._act(f"undo {step.name}", subject)
        return await self._ends.submit((subject, None))

    async def _after_lost_pivot(self, subject: SubjectT, reason: ReasonT) -> SubjectT:
        (subject,) = await self._record.reread([subject])
        if self._record.has_turned(subject):
            return await self._undo(subject, self._saga.steps)
        if self._record.has_ended(subject):
            return subject
        return await self._turn_and_undo(subject, reason, self._saga.steps)

    async def _act(self, name: str, subject: SubjectT) -> Done | Refused[ReasonT]:
        batches = self._batches if subject.attempts < ATTEMPTS_IN_COMPANY else self._batches_again
        outcome = await batches[name].submit(subject)
        if isinstance(outcome, Unknown):
            raise _PutOff(f"{name}: {outcome.why}")
        return outcome

    def _together(self, name: str) -> Callable[[Sequence[SubjectT]], Awaitable[Sequence[Outcome[ReasonT]]]]:
        async def act(subjects: Sequence[SubjectT]) -> Sequence[Outcome[ReasonT]]:
            try:
                outcomes = await self._acts[name](self._with, subjects)
            except Exception as error:
                _log.warning("a step's outcome is not known", step=name, count=len(subjects), error=str(error))
                outcomes = [Unknown(f"{type(error).__name__}: {error}")] * len(subjects)
            for kind, count in collections.Counter(type(outcome).__name__.lower() for outcome in outcomes).items():
                STEPS.labels(name, kind).inc(count)
            return outcomes

        return act

    def _cautiously(self, name: str) -> Callable[[Sequence[SubjectT]], Awaitable[Sequence[Outcome[ReasonT]]]]:
        """For those that failed before. One of them may be what is wrong: a group that fails is halved the next time,
        down to one. Or the peer was away: a group that succeeds is doubled, so that what an outage has left behind is
        soon done, and while it lasts only two groups are tried for all. (As TCP does, and for the same reason: to ask
        hundreds of times at once is what keeps a peer from getting up again.)
        """
        together = self._together(name)
        size = BATCH_MAX

        async def act(subjects: Sequence[SubjectT]) -> Sequence[Outcome[ReasonT]]:
            nonlocal size
            outcomes: dict[UUID, Outcome[ReasonT]] = {}
            # In any order: else whoever stands behind one that always fails would never have a turn.
            rest = random.sample(subjects, len(subjects))
            failures = 0
            while rest and failures < FAILURES_IN_A_ROW_MAX:
                group, rest = rest[:size], rest[size:]
                answers = await together(group)
                outcomes.update(zip((subject.id for subject in group), answers, strict=True))
                if all(isinstance(answer, Unknown) for answer in answers):
                    failures += 1
                    size = max(len(group) // 2, 1)
                else:
                    failures = 0
                    size = min(size * 2, BATCH_MAX)
            return [outcomes.get(subject.id, Unknown("others failed at it just now")) for subject in subjects]

        return act

    async def _put_off(self, subject: SubjectT, why: str) -> None:
        delay_s = min(RETRY_DELAY_S_MIN * 2 ** min(subject.attempts, 10), RETRY_DELAY_S_MAX) * random.uniform(0.8, 1.2)  # noqa: S311
        try:
            await self._record.put_off([(subject, delay_s, why)])
        except Exception as error:
            # Its lease runs out by itself, and it is taken up then.
            _log.warning("a subject could not be put off", subject=str(subject.id), error=str(error))


class _PutOff(Exception):
    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why
