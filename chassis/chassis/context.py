"""What travels along with a piece of work, through tasks and over the network: who began it, how long it may take.

The correlation id is the `x-request-id` of the request that began it all; `traceparent` is W3C Trace Context; the
deadline is kept on this process's own monotonic clock and is told to others as the milliseconds left, since the
clocks of two machines differ. The actor (`chassis.actor`) stays within the process: each service takes it from the
credentials that it has checked itself.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from uuid_utils.compat import uuid7

_ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

_correlation_id: ContextVar[str | None] = ContextVar("correlation_id", default=None)
_traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)
_actor: ContextVar[str | None] = ContextVar("actor", default=None)
_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


def correlation_id() -> str:
    """The correlation id of the present work. Work without a request (a sweep, a start) gets an id of its own."""
    current = _correlation_id.get()
    if current is None:
        current = str(uuid7())
        _correlation_id.set(current)
    return current


def traceparent() -> str | None:
    """The W3C trace context to hand on, or None when the present work is not traced."""
    return _traceparent.get()


def actor() -> str | None:
    """The actor of the current work, in the form of `chassis.actor`; None where no guard and no service has set one."""
    return _actor.get()


def act_as(actor: str) -> None:
    """Make `actor` the actor of the current task from here on."""
    _actor.set(actor)


@contextmanager
def acting_as(actor: str | None) -> Iterator[None]:
    """Make `actor` the actor of the enclosed work; with None, the work has to name the actor of each event itself."""
    token = _actor.set(actor)
    try:
        yield
    finally:
        _actor.reset(token)


def seconds_left() -> float | None:
    """The seconds until the deadline of the current work, never below zero; None when there is none."""
    deadline = _deadline.get()
    return None if deadline is None else max(0.0, deadline - time.monotonic())


@contextmanager
def working_on(correlation: str | None, trace: str | None = None, *, seconds: float | None = None) -> Iterator[None]:
    """Set what the enclosed work belongs to. Ids of an unacceptable form are replaced, not passed on."""
    tokens = (
        _correlation_id.set(acceptable_id(correlation)),
        _traceparent.set(trace if trace and _TRACEPARENT.fullmatch(trace) else None),
        _deadline.set(None if seconds is None else time.monotonic() + seconds),
    )
    try:
        yield
    finally:
        _correlation_id.reset(tokens[0])
        _traceparent.reset(tokens[1])
        _deadline.reset(tokens[2])


def acceptable_id(given: str | None) -> str:
    """`given` when it is 1-128 characters of letters, digits, `.`, `_` and `-`; else a new id."""
    return given if given and _ACCEPTABLE_ID.fullmatch(given) else str(uuid7())


@contextmanager
def traced_as(trace: str | None) -> Iterator[None]:
    """Hand on `trace` from the enclosed work, and leave the rest as it is."""
    token = _traceparent.set(trace)
    try:
        yield
    finally:
        _traceparent.reset(token)
