"""The sandbox provider's tables. Only the sandbox reads and writes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from chassis.persistence.database import Connection, Row
from chassis.persistence.statements import Statement
from payments.domain.payment_provider import AuthorizationRequest, ProviderState, ProviderStatus, RefundRequest


@dataclass(slots=True)
class _PaymentRow:
    payment_id: UUID
    token: str
    amount_minor: int
    currency: str
    state: ProviderState
    code: str | None
    failures_left: int


_ADD_PAYMENTS = Statement(
    """
    INSERT INTO sandbox_payments (:requests.*)
    SELECT requests.*
    FROM :requests
    ORDER BY payment_id
    ON CONFLICT (payment_id) DO NOTHING
    RETURNING payment_id
    """,
    requests=_PaymentRow,
)


async def add_payments(
    connection: Connection,
    requests: Sequence[AuthorizationRequest],
    statuses: Sequence[ProviderStatus],
    failures: Sequence[int],
) -> set[UUID]:
    """Insert the payments that the sandbox does not know yet, and return their ids."""
    new = [
        _PaymentRow(
            payment_id=request.payment_id,
            token=request.token,
            amount_minor=request.amount_minor,
            currency=request.currency,
            state=status.state,
            code=status.code,
            failures_left=failures_left,
        )
        for request, status, failures_left in zip(requests, statuses, failures, strict=True)
    ]
    return {row["payment_id"] for row in await _ADD_PAYMENTS.fetch(connection, requests=new)}


_LOCK_PAYMENTS = Statement(
    """
    SELECT payment_id, amount_minor, currency, state, code, failures_left
    FROM sandbox_payments
    WHERE payment_id = ANY (:payment_ids)
    ORDER BY payment_id
    FOR UPDATE
    """
)


async def lock_payments(connection: Connection, payment_ids: Sequence[UUID]) -> dict[UUID, Row]:
    """These payments, by id, locked until the transaction ends."""
    return {row["payment_id"]: row for row in await _LOCK_PAYMENTS.fetch(connection, payment_ids=payment_ids)}


_CAPTURE = Statement(
    """
    UPDATE sandbox_payments
    SET state = 'captured'
    FROM unnest(:payment_ids::uuid[]) AS request (payment_id)
    WHERE sandbox_payments.payment_id = request.payment_id AND state = 'authorized'
    RETURNING sandbox_payments.payment_id
    """
)


async def capture(connection: Connection, payment_ids: Sequence[UUID]) -> set[UUID]:
    """Capture the authorized ones of these payments, and return their ids."""
    return {row["payment_id"] for row in await _CAPTURE.fetch(connection, payment_ids=sorted(payment_ids))}


@dataclass(slots=True)
class _StateRow:
    payment_id: UUID
    state: ProviderState


_SET_STATES = Statement(
    """
    UPDATE sandbox_payments
    SET state = changes.state
    FROM :changes
    WHERE sandbox_payments.payment_id = changes.payment_id
    """,
    changes=_StateRow,
)


async def set_states(connection: Connection, states: Mapping[UUID, ProviderState]) -> None:
    """Write the new states of locked payments."""
    await _SET_STATES.execute(connection, changes=[_StateRow(id_, state) for id_, state in states.items()])


_COUNT_FAILURES = Statement(
    "UPDATE sandbox_payments SET failures_left = failures_left - 1 WHERE payment_id = ANY (:payment_ids)"
)


async def count_failures(connection: Connection, payment_ids: Sequence[UUID]) -> None:
    """Count one simulated failure of each payment."""
    await _COUNT_FAILURES.execute(connection, payment_ids=payment_ids)


_READ_REFUNDS = Statement(
    "SELECT payment_id, refund_id, amount_minor FROM sandbox_refunds WHERE payment_id = ANY (:payment_ids)"
)


async def read_refunds(connection: Connection, payment_ids: Sequence[UUID]) -> dict[UUID, dict[UUID, int]]:
    """The refunded amounts, by payment and by refund."""
    refunds: dict[UUID, dict[UUID, int]] = {}
    for row in await _READ_REFUNDS.fetch(connection, payment_ids=payment_ids):
        refunds.setdefault(row["payment_id"], {})[row["refund_id"]] = row["amount_minor"]
    return refunds


_ADD_REFUNDS = Statement(
    """
    INSERT INTO sandbox_refunds (refund_id, payment_id, amount_minor)
    SELECT refund_id, payment_id, amount_minor
    FROM :requests
    """,
    requests=RefundRequest,
)


async def add_refunds(connection: Connection, requests: Sequence[RefundRequest]) -> None:
    """Insert refunds of captured payments."""
    await _ADD_REFUNDS.execute(connection, requests=requests)


_READ_STATUSES = Statement(
    """
    SELECT payment_id, state, code,
           (SELECT coalesce(sum(amount_minor), 0)::bigint
            FROM sandbox_refunds
            WHERE sandbox_refunds.payment_id = sandbox_payments.payment_id) AS refunded_minor
    FROM sandbox_payments
    WHERE payment_id = ANY (:payment_ids)
    """
)


async def read_statuses(connection: Connection, payment_ids: Sequence[UUID]) -> dict[UUID, ProviderStatus]:
    """The statuses of the payments that the sandbox knows, by id."""
    return {
        row["payment_id"]: ProviderStatus(ProviderState(row["state"]), row["code"], row["refunded_minor"])
        for row in await _READ_STATUSES.fetch(connection, payment_ids=payment_ids)
    }
