"""Calls the payment provider: with a time limit, with a bound on concurrent calls, and with `Unknown` for any failure.

The time limit is what the caller's own deadline leaves, less the time to write the outcome.
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
from payments.domain.payment_provider import (
    Answer,
    AuthorizationRequest,
    CaptureRequest,
    Card,
    PaymentProvider,
    ProviderStatus,
    RefundRequest,
    Unknown,
)
from payments.domain.refund import Refund

CALL_MAX_S = 5.0
CONCURRENT_CALLS_MAX = 4
_OUTCOME_WRITE_S = 0.4
_CALL_MIN_S = 0.2
_log = structlog.get_logger()

RequestT = TypeVar("RequestT")
AnswerT = TypeVar("AnswerT")


class ProviderClient:
    """The provider as use cases call it: an operation that moves money always gets answers, and never raises."""

    def __init__(
        self,
        provider: PaymentProvider,
        *,
        call_max_s: float = CALL_MAX_S,
        concurrent_calls_max: int = CONCURRENT_CALLS_MAX,
    ) -> None:
        self._provider = provider
        self._call_max_s = call_max_s
        self._slots = asyncio.Semaphore(concurrent_calls_max)

    async def describe(self, token: str) -> Card | None:
        """The card behind `token`. Raises `Unavailable`: the call has no effect, so its failure needs no `Unknown`."""
        try:
            async with asyncio.timeout(self._time_limit_s()):
                return await self._provider.describe(token)
        except Exception as error:
            raise Unavailable("The payment provider does not answer at the moment.") from error

    async def authorize(self, payments: Sequence[Payment]) -> Sequence[Answer]:
        requests = [
            AuthorizationRequest(
                payment_id=payment.id,
                token=payment.method_token,
                amount_minor=payment.amount_minor,
                currency=payment.currency,
            )
            for payment in payments
        ]
        return await self._call("authorize", self._provider.authorize, requests)

    async def capture(self, payments: Sequence[Payment]) -> Sequence[Answer]:
        requests = [
            CaptureRequest(payment_id=payment.id, amount_minor=payment.amount_minor, currency=payment.currency)
            for payment in payments
        ]
        return await self._call("capture", self._provider.capture, requests)

    async def void(self, payments: Sequence[Payment]) -> Sequence[Answer]:
        return await self._call("void", self._provider.void, [payment.id for payment in payments])

    async def refund(self, refunds: Sequence[Refund]) -> Sequence[Answer]:
        requests = [
            RefundRequest(
                refund_id=refund.id,
                payment_id=refund.payment_id,
                amount_minor=refund.amount_minor,
                currency=refund.currency,
            )
            for refund in refunds
        ]
        return await self._call("refund", self._provider.refund, requests)

    async def lookup(self, payment_ids: Sequence[UUID]) -> Sequence[ProviderStatus | Unknown]:
        return await self._call("lookup", self._provider.lookup, payment_ids)

    async def _call(
        self,
        operation: str,
        call: Callable[[Sequence[RequestT]], Awaitable[Sequence[AnswerT]]],
        requests: Sequence[RequestT],
    ) -> Sequence[AnswerT | Unknown]:
        if not requests:
            return []
        try:
            with tracing.span(f"provider {operation}", "client"), metrics.PROVIDER_SECONDS.labels(operation).time():
                async with asyncio.timeout(self._time_limit_s()), self._slots:
                    answers: Sequence[AnswerT | Unknown] = await call(requests)
            assert len(answers) == len(requests), f"{operation} returned {len(answers)} answers for {len(requests)}"
        except Exception as error:
            # The provider may have received the request, and may have moved the money.
            _log.warning("the provider did not answer", operation=operation, count=len(requests), exc_info=error)
            answers = [Unknown()] * len(requests)
        for answer in answers:
            metrics.PROVIDER_ANSWERS.labels(operation, _answer_label(answer)).inc()
        return answers

    def _time_limit_s(self) -> float:
        left_s = context.seconds_left()
        if left_s is None:
            return self._call_max_s
        return max(_CALL_MIN_S, min(self._call_max_s, left_s - _OUTCOME_WRITE_S))


def _answer_label(answer: object) -> str:
    return "status" if isinstance(answer, ProviderStatus) else type(answer).__name__.lower()
