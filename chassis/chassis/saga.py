"""The saga runner: carries subjects through steps, in batches where they wait for the same step.

Guarantees, provided that each step is idempotent by the subject's id:
- Recovery is a new run from the start, so nothing between the first step and the pivot is stored.
- An unknown outcome is never treated as a failure: the subject is deferred and the step is repeated.
- The start of a compensation is committed before any step is undone; the pivot is refused from then on.
- Nothing is undone after the pivot.
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
SHARED_BATCH_ATTEMPTS_MAX = 3
"""A subject with so many attempts shares batches only with others like it, so that it cannot fail other batches."""
BATCH_SIZE_MAX = 256
FAILED_BATCHES_MAX = 2
"""After so many failed batches in a row, the rest of an adaptive batch is not tried."""

_log = structlog.get_logger()


class Subject(Protocol):
    """The object that a saga carries through its steps, such as an order. It is immutable: steps return a new one."""

    @property
    def id(self) -> UUID: ...

    @property
    def correlation_id(self) -> str: ...

    @property
    def traceparent(self) -> str | None: ...

    @property
    def attempts(self) -> int:
        """The number of retries, in all processes. 0: only this run has called steps for it."""


SubjectT = TypeVar("SubjectT", bound=Subject)
ReasonT = TypeVar("ReasonT")
ParticipantsT = TypeVar("ParticipantsT")


@dataclass(frozen=True, slots=True)
class Done(Generic[SubjectT]):
    """The step is done, by this call or an earlier one. `subject` is the subject after it."""

    subject: SubjectT


@dataclass(frozen=True, slots=True)
class Refused(Generic[ReasonT]):
    """The step is not done and never will be."""

    reason: ReasonT


@dataclass(frozen=True, slots=True)
class Unknown:
    """The step may be done or not: repeat it later."""

    detail: str


Outcome: TypeAlias = Done[SubjectT] | Refused[ReasonT] | Unknown
Action: TypeAlias = Callable[[ParticipantsT, Sequence[SubjectT]], Awaitable[Sequence[Outcome[SubjectT, ReasonT]]]]
"""Does or undoes a step for many subjects, with one outcome each, in order. An exception means `Unknown` for all."""


@dataclass(frozen=True, slots=True)
class Step(Generic[ParticipantsT, SubjectT, ReasonT]):
    """An action and its compensation, both idempotent. `undo` also holds against a `do` that arrives later."""

    name: str
    do: Action[ParticipantsT, SubjectT, ReasonT]
    undo: Action[ParticipantsT, SubjectT, ReasonT]


@dataclass(frozen=True, slots=True)
class Pivot(Generic[ParticipantsT, SubjectT, ReasonT]):
    """The point of no return.

    `Refused` means that the subject is in compensation or has ended. If it is neither, its compensation begins, for
    the reason given.
    """

    name: str
    do: Action[ParticipantsT, SubjectT, ReasonT]


class Saga(Generic[ParticipantsT, SubjectT, ReasonT]):
    """Steps in their order, with the pivot at the end."""

    def __init__(
        self, *parts: Step[ParticipantsT, SubjectT, ReasonT] | Pivot[ParticipantsT, SubjectT, ReasonT]
    ) -> None:
        *steps, pivot = parts
        assert isinstance(pivot, Pivot), "a saga ends with its pivot"
        self.steps: tuple[Step[ParticipantsT, SubjectT, ReasonT], ...] = tuple(s for s in steps if isinstance(s, Step))
        assert len(self.steps) == len(steps), "a saga has one pivot"
        self.pivot: Pivot[ParticipantsT, SubjectT, ReasonT] = pivot


class SagaStore(Protocol[SubjectT, ReasonT]):
    """Keeps the state of subjects. Each call that changes them is one transaction for all of its subjects."""

    async def begin_compensation(self, requests: Sequence[tuple[SubjectT, ReasonT]]) -> Sequence[SubjectT]:
        """From the commit on, the subjects can only be undone. Returns their current state: a subject that is past the
        pivot or has ended stays as it is."""

    async def finish_compensation(self, requests: Sequence[tuple[SubjectT, ReasonT | None]]) -> Sequence[SubjectT]:
        """End subjects of which nothing is left to undo, and return their current state.

        With a reason, a subject ends from its first state, since no step was done; but not when another attempt has
        taken it up, and continues it.
        """

    async def defer(self, requests: Sequence[tuple[SubjectT, float, str]]) -> None:
        """Retry each subject after so many seconds, for that reason."""

    async def reread(self, subjects: Sequence[SubjectT]) -> Sequence[SubjectT]:
        """The current state of the subjects, in the same order."""

    def is_compensating(self, subject: SubjectT) -> bool: ...

    def has_ended(self, subject: SubjectT) -> bool: ...

    def reason_to_compensate(self, subject: SubjectT) -> ReasonT | None:
        """Why the subject has to be compensated without a refusal, for example its deadline; else None."""


class Runner(Generic[ParticipantsT, SubjectT, ReasonT]):
    """Runs subjects through a saga, with one batch in flight per step. Calls `on_ended` with each ended subject."""

    def __init__(
        self,
        saga: Saga[ParticipantsT, SubjectT, ReasonT],
        participants: ParticipantsT,
        store: SagaStore[SubjectT, ReasonT],
        on_ended: Callable[[SubjectT], None],
    ) -> None:
        self._saga = saga
        self._participants = participants
        self._store = store
        self._on_ended = on_ended
        self._running: dict[UUID, asyncio.Task[None]] = {}
        actions = [(f"do {s.name}", s.do) for s in saga.steps] + [(f"undo {s.name}", s.undo) for s in saga.steps]
        actions.append((f"do {saga.pivot.name}", saga.pivot.do))
        self._actions = dict(actions)
        self._batches: dict[str, Batcher[SubjectT, Outcome[SubjectT, ReasonT]]] = {
            name: Batcher(name, self._shared_batch(name), size_max=BATCH_SIZE_MAX) for name, _ in actions
        }
        self._adaptive_batches: dict[str, Batcher[SubjectT, Outcome[SubjectT, ReasonT]]] = {
            name: Batcher(f"{name} again", self._adaptive_batch(name), size_max=BATCH_SIZE_MAX) for name, _ in actions
        }
        self._begins: Batcher[tuple[SubjectT, ReasonT], SubjectT] = Batcher(
            "begin compensation", store.begin_compensation
        )
        self._finishes: Batcher[tuple[SubjectT, ReasonT | None], SubjectT] = Batcher(
            "finish compensation", store.finish_compensation
        )

    @property
    def running(self) -> int:
        """The number of subjects that run in this process."""
        return len(self._running)

    def start(self, subject: SubjectT) -> None:
        """Run `subject` in the background, as far as it goes now. Does nothing while it runs already."""
        if subject.id in self._running:
            return
        task = asyncio.create_task(self._run(subject), name=f"saga {subject.id}")
        self._running[subject.id] = task
        task.add_done_callback(lambda _: self._running.pop(subject.id, None))

    async def drain(self, timeout_s: float) -> None:
        """Wait for the running subjects. Another replica, or the next start, continues those that are not done."""
        if self._running:
            await asyncio.wait(list(self._running.values()), timeout=timeout_s)
        for task in list(self._running.values()):
            task.cancel()

    async def _run(self, subject: SubjectT) -> None:
        with context.working_on(subject.correlation_id, subject.traceparent):
            try:
                subject = await self._run_steps(subject)
            except _Deferred as deferred:
                await self._defer(subject, deferred.detail)
            except Exception as error:
                _log.warning("saga failed", subject=str(subject.id), exc_info=error)
                await self._defer(subject, f"{type(error).__name__}: {error}")
            if self._store.has_ended(subject):
                self._on_ended(subject)

    async def _run_steps(self, subject: SubjectT) -> SubjectT:
        """Forward to the pivot, or back through the compensations."""
        if self._store.is_compensating(subject):
            return await self._undo(subject, self._saga.steps)
        if (reason := self._store.reason_to_compensate(subject)) is not None:
            return await self._compensate(subject, reason, self._saga.steps)
        for done, step in enumerate(self._saga.steps):
            outcome = await self._act(f"do {step.name}", subject)
            if isinstance(outcome, Refused):
                # In the first attempt it is known which steps were done. After an unknown outcome any step may be done,
                # or a call may still be on its way: then all are undone, which also holds against a late call.
                done_before = self._saga.steps[:done] if subject.attempts == 0 else self._saga.steps
                return await self._compensate(subject, outcome.reason, done_before)
            subject = outcome.subject
        outcome = await self._act(f"do {self._saga.pivot.name}", subject)
        if isinstance(outcome, Refused):
            return await self._handle_refused_pivot(subject, outcome.reason)
        return outcome.subject

    async def _compensate(
        self, subject: SubjectT, reason: ReasonT, steps: Sequence[Step[ParticipantsT, SubjectT, ReasonT]]
    ) -> SubjectT:
        if not steps:
            subject = await self._finishes.submit((subject, reason))
            if self._store.is_compensating(subject):
                # Another request began it, and its process may have died: all steps are undone here.
                return await self._undo(subject, self._saga.steps)
            if not self._store.has_ended(subject):
                # A sweeper took it up: one of another replica, or of this one, which let it go since it ran here.
                raise _Deferred("another attempt has taken it up")
            return subject
        subject = await self._begins.submit((subject, reason))
        if self._store.has_ended(subject):
            return subject
        # An attempt that took it up before the compensation began may have done any step.
        return await self._undo(subject, steps if subject.attempts == 0 else self._saga.steps)

    async def _undo(self, subject: SubjectT, steps: Sequence[Step[ParticipantsT, SubjectT, ReasonT]]) -> SubjectT:
        for step in reversed(steps):
            await self._act(f"undo {step.name}", subject)
        return await self._finishes.submit((subject, None))

    async def _handle_refused_pivot(self, subject: SubjectT, reason: ReasonT) -> SubjectT:
        (subject,) = await self._store.reread([subject])
        if self._store.is_compensating(subject):
            return await self._undo(subject, self._saga.steps)
        if self._store.has_ended(subject):
            return subject
        return await self._compensate(subject, reason, self._saga.steps)

    async def _act(self, name: str, subject: SubjectT) -> Done[SubjectT] | Refused[ReasonT]:
        batches = self._batches if subject.attempts < SHARED_BATCH_ATTEMPTS_MAX else self._adaptive_batches
        outcome = await batches[name].submit(subject)
        if isinstance(outcome, Unknown):
            raise _Deferred(f"{name}: {outcome.detail}")
        return outcome

    def _shared_batch(
        self, name: str
    ) -> Callable[[Sequence[SubjectT]], Awaitable[Sequence[Outcome[SubjectT, ReasonT]]]]:
        async def act(subjects: Sequence[SubjectT]) -> Sequence[Outcome[SubjectT, ReasonT]]:
            outcomes: Sequence[Outcome[SubjectT, ReasonT]]
            try:
                outcomes = await self._actions[name](self._participants, subjects)
            except Exception as error:
                _log.warning("outcome of a saga step unknown", step=name, count=len(subjects), error=str(error))
                outcomes = [Unknown(f"{type(error).__name__}: {error}")] * len(subjects)
            for kind, count in collections.Counter(type(outcome).__name__.lower() for outcome in outcomes).items():
                STEPS.labels(name, kind).inc(count)
            return outcomes

        return act

    def _adaptive_batch(
        self, name: str
    ) -> Callable[[Sequence[SubjectT]], Awaitable[Sequence[Outcome[SubjectT, ReasonT]]]]:
        """For subjects that failed before: the size halves with each failed batch, and doubles with each other one.

        A subject that fails every batch ends up alone. After an outage the size grows back quickly, and during it only
        two batches are tried: hundreds of calls at once would keep the peer down.
        """
        act_on_batch = self._shared_batch(name)
        size = BATCH_SIZE_MAX

        async def act(subjects: Sequence[SubjectT]) -> Sequence[Outcome[SubjectT, ReasonT]]:
            nonlocal size
            outcomes: dict[UUID, Outcome[SubjectT, ReasonT]] = {}
            # Shuffled: otherwise a subject behind one that always fails would never be tried.
            rest = random.sample(subjects, len(subjects))
            failures = 0
            while rest and failures < FAILED_BATCHES_MAX:
                batch, rest = rest[:size], rest[size:]
                answers = await act_on_batch(batch)
                outcomes.update(zip((subject.id for subject in batch), answers, strict=True))
                if all(isinstance(answer, Unknown) for answer in answers):
                    failures += 1
                    size = max(len(batch) // 2, 1)
                else:
                    failures = 0
                    size = min(size * 2, BATCH_SIZE_MAX)
            return [outcomes.get(subject.id, Unknown("not tried, since others failed")) for subject in subjects]

        return act

    async def _defer(self, subject: SubjectT, detail: str) -> None:
        delay_s = min(RETRY_DELAY_S_MIN * 2 ** min(subject.attempts, 10), RETRY_DELAY_S_MAX) * random.uniform(0.8, 1.2)  # noqa: S311
        try:
            await self._store.defer([(subject, delay_s, detail)])
        except Exception as error:
            # A sweeper takes the subject up when its lease runs out.
            _log.warning("saga could not be deferred", subject=str(subject.id), error=str(error))


class _Deferred(Exception):
    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail
