"""Every call to the provider: with a time limit, only so many at once, and with `Unknown` for whatever goes wrong.

The limit is what the caller's own deadline leaves, less what it takes to write the outcome down.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar
from uuid import UUID

import structlog

from chassis import context
from chassis.problems import Unavailable
from chassis.telemetry import tracing
from payments import metrics
from payments.domain.payment import Payment
from payments.domain.payment_provider import Answer, Card, GiveBack, Hold, Provider, Standing, Unknown

CALL_S_MAX = 5.0
CALLS_AT_ONCE_MAX = 4
_RECORDING_S = 0.4
_CALL_S_MIN = 0.2
_log = structlog.get_logger()

RequestT = TypeVar("RequestT")
AnswerT = TypeVar("AnswerT")


class ProviderCalls:
    """The provider as use cases see it: what moves money always gets an answer, and never raises."""

    def __init__(
        self, provider: Provider, *, call_s_max: float = CALL_S_MAX, at_once_max: int = CALLS_AT_ONCE_MAX
    ) -> None:
        self._provider = provider
        self._call_s_max = call_s_max
        self._slots = asyncio.Semaphore(at_once_max)

    async def describe(self, token: str) -> Card | None:
        """The card behind `token`. Raises `Unavailable`, which is definite: to describe is to do nothing."""
        try:
            async with asyncio.timeout(self._limit_s()):
                return await self._provider.describe(token)
        except Exception as error:
            raise Unavailable("The payment provider does not answer at the moment.") from error

    async def authorize(self, payments: Sequence[Payment]) -> Sequence[Answer]:
        return await self._ask("authorize", self._provider.authorize, [_hold(payment) for payment in payments])

    async def capture(self, payments: Sequence[Payment]) -> Sequence[Answer]:
        return await self._ask("capture", self._provider.capture, [_hold(payment) for payment in payments])

    async def void(self, payments: Sequence[Payment]) -> Sequence[Answer]:
        return await self._ask("void", self._provider.void, [payment.id for payment in payments])

    async def refund(self, refunds: Sequence[GiveBack]) -> Sequence[Answer]:
        return await self._ask("refund", self._provider.refund, refunds)

    async def lookup(self, payment_ids: Sequence[UUID]) -> Sequence[Standing | Unknown]:
        return await self._ask("lookup", self._provider.lookup, payment_ids)

    async def _ask(
        self,
        operation: str,
        call: Callable[[Sequence[RequestT]], Awaitable[Sequence[AnswerT]]],
        requests: Sequence[RequestT],
    ) -> Sequence[AnswerT | Unknown]:
        if not requests:
            return []
        try:
            with tracing.span(f"provider {operation}", "client"), metrics.PROVIDER_SECONDS.labels(operation).time():
                async with asyncio.timeout(self._limit_s()), self._slots:
                    answers: Sequence[AnswerT | Unknown] = await call(requests)
            assert len(answers) == len(requests), f"{operation} answered {len(answers)} for {len(requests)}"
        except Exception as error:
            # Whatever went wrong: the request may have arrived, and the money may have moved.
            _log.warning("the provider gave no answer", operation=operation, count=len(requests), exc_info=error)
            answers = [Unknown()] * len(requests)
        for answer in answers:
            metrics.PROVIDER_ANSWERS.labels(operation, type(answer).__name__.lower()).inc()
        return answers

    def _limit_s(self) -> float:
        left_s = context.seconds_left()
        if left_s is None:
            return self._call_s_max
        return max(_CALL_S_MIN, min(self._call_s_max, left_s - _RECORDING_S))


def _hold(payment: Payment) -> Hold:
    return Hold(
        payment_id=payment.id,
        token=payment.method_token,
        amount_minor=payment.amount_minor,
        currency=payment.currency,
    )
