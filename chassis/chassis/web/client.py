"""The one way in which services call each other: kept-alive connections, a deadline, retries, a circuit breaker.

A peer may have several replicas: each call goes to the next one that is well, and a repeat to another one.

The caller learns which of three things happened: an answer; a refusal, which is definite; or `OutcomeUnknown`, when
the peer may have acted or not. `Unavailable` is the definite case that nothing was sent. Only idempotent calls are
asked again.
"""

import asyncio
import time
from contextlib import nullcontext
from typing import Any, ClassVar, TypeVar

import aiohttp
import msgspec
import structlog
from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.model import OpenedState

from chassis import context, failpoint
from chassis.problems import OutcomeUnknown, Refusal, Unavailable
from chassis.retry import retried
from chassis.security.tokens import ServiceTokens
from chassis.telemetry import metrics, tracing
from chassis.web.addresses import Addresses

ResultT = TypeVar("ResultT")
CALL_S_MAX = 2.0
CONNECT_S_MAX = 1.0
ATTEMPT_S_MIN = 1.0
"""Or half of what is left: where there is another replica to ask, a frozen one does not get all the time there is."""
READY_S_MAX = 1.0
BREAKER_FAILURES = 5
BREAKER_OPEN_S = 2.0
CONNECTIONS_MAX = 64
_log = structlog.get_logger()


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A peer's RFC 9457 answer, as far as it is of use."""

    status: int = 500
    code: str = "unknown"
    title: str = ""
    detail: str = ""


class RefusedByPeer(Exception):
    """The peer answered 4xx: definite, and asking the same again will not help."""

    def __init__(self, target: str, problem: Problem) -> None:
        super().__init__(f"{target} refused with {problem.status} {problem.code}: {problem.detail}")
        self.problem = problem


class PeerUnavailable(Unavailable):
    """Nothing was sent: the connection could not be made, or the breaker holds calls back."""

    code: ClassVar[str] = "peer_unavailable"


_OUTCOMES: dict[type[Exception], str] = {
    RefusedByPeer: "refused",
    PeerUnavailable: "unavailable",
    OutcomeUnknown: "unknown",
}


class _Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked, the same in each attempt."""

    method: str
    path: str
    payload: bytes | None
    query: dict[str, str] | None
    authorization: str | None
    deadline: float
    """On this process's monotonic clock."""
    may_ask_another: bool
    """When no answer comes in time."""
    by_breaker: bool
    """Whether the breaker may hold it back, and counts its failures."""

    def seconds_left(self) -> float:
        return self.deadline - time.monotonic()

    def attempt_s_max(self) -> float:
        left = self.seconds_left()
        return min(left, max(left / 2, ATTEMPT_S_MIN)) if self.may_ask_another else left


class ServiceClient:
    """A `Part`: calls one peer, at the address of each of its replicas, separated by commas, or by a name for all.

    Each replica has a breaker, which opens after five failures in a row and tries again after two seconds.
    """

    def __init__(self, target: str, base_urls: str, tokens: ServiceTokens | None) -> None:
        self._target = target
        self._addresses = Addresses(base_urls, self._is_ready, tell=self._note_replicas)
        self._tokens = tokens
        self._session: aiohttp.ClientSession | None = None
        self._breakers = AsyncCircuitBreakerFactory(
            default_threshold=BREAKER_FAILURES,
            default_ttl=BREAKER_OPEN_S,
            # A refusal is an answer, and a caller that went away says nothing about the peer.
            exclude=[RefusedByPeer, asyncio.CancelledError],
        )
        self._breakers.add_listener(self._note_breaker)
        self._note_replicas(set(), set(self._addresses.all))

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX, keepalive_timeout=30),
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S_MAX),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        await self._addresses.start()

    async def stop(self) -> None:
        await self._addresses.stop()
        if self._session is not None:
            await self._session.close()

    async def call(
        self,
        method: str,
        path: str,
        result: type[ResultT],
        *,
        body: msgspec.Struct | None = None,
        query: dict[str, str] | None = None,
        idempotent: bool,
        timeout_s: float = CALL_S_MAX,
        attempts: int = 3,
        authorization: str | None = None,
        route: str | None = None,
        by_breaker: bool = True,
    ) -> ResultT:
        """Call the peer and decode its answer as `result`.

        `timeout_s` bounds all attempts together, and so does the deadline of the current work. `authorization` speaks
        for a person instead of for this service. `route` is the path's template, for metrics, where the path has ids.
        A poll that has pauses of its own goes without the breaker (`by_breaker=False`).
        Raises `RefusedByPeer`, `PeerUnavailable` or `OutcomeUnknown`.
        """
        left = context.seconds_left()
        limit_s = timeout_s if left is None else min(timeout_s, left)
        request = _Request(
            method=method,
            path=path,
            payload=None if body is None else msgspec.json.encode(body),
            query=query,
            authorization=authorization,
            deadline=time.monotonic() + limit_s,
            may_ask_another=idempotent and len(self._addresses.all) > 1,
            by_breaker=by_breaker,
        )
        label = (self._target, route or path)
        changes = method != "GET"
        if changes:
            failpoint.hit(label, "before call")
        span = tracing.span(f"{method} {route or path}", "client", {"peer.service": self._target})
        with span, metrics.CALL_SECONDS.labels(*label).time():
            try:
                answer = await self._repeated(request, result, idempotent=idempotent, attempts=attempts)
            except (PeerUnavailable, OutcomeUnknown, RefusedByPeer) as error:
                metrics.CALLS.labels(*label, _OUTCOMES[type(error)]).inc()
                raise
        if changes:
            failpoint.hit(label, "after call")
        metrics.CALLS.labels(*label, "answered").inc()
        return answer

    async def _repeated(self, request: _Request, result: type[ResultT], *, idempotent: bool, attempts: int) -> ResultT:
        again_on = (PeerUnavailable, OutcomeUnknown) if idempotent else (PeerUnavailable,)
        lost: OutcomeUnknown | None = None

        async def attempt() -> ResultT:
            nonlocal lost
            try:
                return await self._guarded(request, result)
            except OutcomeUnknown as error:
                lost = error
                raise
            except PeerUnavailable:
                if lost is not None:
                    # This attempt sent nothing, but one before it did, and may have been acted upon.
                    raise lost from None
                raise

        return await retried(
            attempt,
            on=lambda error: isinstance(error, again_on) and request.seconds_left() > 0,
            attempts=attempts,
            timeout_s=request.seconds_left(),
            pause_s=0.03,
            pause_s_max=0.5,
        )

    async def _guarded(self, request: _Request, result: type[ResultT]) -> ResultT:
        if request.seconds_left() <= 0:
            raise PeerUnavailable(f"No time was left to call {self._target}.")
        address = self._addresses.next()
        breaker = await self._breakers.get_breaker(address) if request.by_breaker else nullcontext()
        try:
            async with breaker:
                return self._decoded(await self._once(request, address), result)
        except OpenedState:
            self._addresses.failed(address)
            raise PeerUnavailable(f"Calls to {self._target} are held back after failures.") from None
        except (PeerUnavailable, OutcomeUnknown):
            self._addresses.failed(address)
            raise

    async def _is_ready(self, address: str) -> bool:
        assert self._session is not None, "nothing fails before the start"
        try:
            limit = aiohttp.ClientTimeout(total=READY_S_MAX)
            async with self._session.get(f"{address}/ready", timeout=limit) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    def _decoded(self, answer: bytes, result: type[ResultT]) -> ResultT:
        try:
            return msgspec.json.decode(answer, type=result)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            # The peer accepted the call, but its answer does not tell what it did.
            raise OutcomeUnknown(f"{self._target} answered what cannot be read: {error}.") from error

    async def _once(self, request: _Request, address: str) -> bytes:
        limit_s = max(request.attempt_s_max(), 0.001)  # Zero would mean no limit.
        if self._session is None:
            raise PeerUnavailable(f"The client of {self._target} has not been started.")
        try:
            async with self._session.request(
                request.method,
                f"{address}{request.path}",
                data=request.payload,
                params=request.query,
                headers=self._headers(request, limit_s),
                timeout=aiohttp.ClientTimeout(total=limit_s, connect=CONNECT_S_MAX),
                allow_redirects=False,
            ) as response:
                answer = await response.read()
                status = response.status
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise PeerUnavailable(f"{self._target} cannot be reached.") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise OutcomeUnknown(f"{self._target} was asked, and no answer came: {type(error).__name__}.") from error
        if status < 400:
            return answer
        return self._raise_problem(status, answer)

    def _raise_problem(self, status: int, answer: bytes) -> bytes:
        try:
            problem = msgspec.json.decode(answer, type=Problem)
        except msgspec.MsgspecError:
            problem = Problem(status=status)
        if status == 503 and problem.code != "unknown":
            # Said by the service itself, before it did anything.
            raise PeerUnavailable(f"{self._target} is not available: {problem.code}.")
        if status >= 500 or status in {408, 429}:
            raise OutcomeUnknown(f"{self._target} answered {status} {problem.code}.")
        raise RefusedByPeer(self._target, problem)

    def _headers(self, request: _Request, limit_s: float) -> dict[str, str]:
        headers = {"x-request-id": context.correlation_id(), "x-deadline-ms": str(int(limit_s * 1_000))}
        if request.payload is not None:
            headers["content-type"] = "application/json"
        if (trace := context.traceparent()) is not None:
            headers["traceparent"] = trace
        if request.authorization is not None:
            headers["authorization"] = request.authorization
        elif self._tokens is not None:
            headers["authorization"] = f"Bearer {self._tokens.token_for(self._target)}"
        return headers

    def _note_replicas(self, gone: set[str], come: set[str]) -> None:
        for address in come:
            metrics.BREAKER_OPEN.labels(self._target, address).set(0)
        for address in gone:
            metrics.BREAKER_OPEN.remove(self._target, address)

    def _note_breaker(self, address: str, kind: str, event: Any) -> None:
        if kind == "state_changed" and address in self._addresses.all:
            metrics.BREAKER_OPEN.labels(self._target, address).set(1 if event.state == "opened" else 0)
            _log.warning("the circuit breaker changed", target=self._target, address=address, state=event.state)


def refusal_from(problem: Problem) -> Refusal:
    """A peer's refusal, to be passed on to the client as it is."""
    refusal = Refusal(problem.detail or problem.title)
    refusal.__dict__.update(status=problem.status, code=problem.code, title=problem.title or problem.code)
    return refusal
