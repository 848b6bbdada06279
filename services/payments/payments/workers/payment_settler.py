"""Performs pending actions of payments that are due. A lease shares them among replicas; a crash delays them."""

from collections.abc import Callable

from chassis.persistence.database import Database
from payments import store
from payments.providers.provider_client import ProviderClient
from payments.settle_payments import settle_payments

BATCH_MAX = 256


class PaymentSettler:
    """`run_once` is one round of a loop. It calls `wake_refunds` when a change created a refund."""

    def __init__(
        self,
        database: Database,
        provider: ProviderClient,
        *,
        wake_relay: Callable[[], None],
        wake_refunds: Callable[[], None],
    ) -> None:
        self._database = database
        self._provider = provider
        self._wake_relay = wake_relay
        self._wake_refunds = wake_refunds

    async def run_once(self) -> bool:
        """Settle a batch of due payments. True when more are likely due."""
        due = await self._database.run_statement(lambda connection: store.payments.claim_due(connection, BATCH_MAX))
        changes = await settle_payments(self._database, self._provider, due, wake_relay=self._wake_relay)
        if any(change.refund_minor for change in changes):
            self._wake_refunds()
        return len(due) == BATCH_MAX
