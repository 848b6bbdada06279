"""Completes pending refunds that are due. A lease shares them among replicas; a crash delays them."""

from chassis.persistence.database import Database
from payments import store
from payments.clients.provider_client import ProviderClient
from payments.settle_refunds import settle_refunds

BATCH_MAX = 256


class RefundSettler:
    """`run_once` is one round of a loop."""

    def __init__(self, database: Database, provider: ProviderClient) -> None:
        self._database = database
        self._provider = provider

    async def run_once(self) -> bool:
        """Settle a batch of due refunds. True when more are likely due."""
        due = await self._database.run_statement(lambda connection: store.refunds.claim_due(connection, BATCH_MAX))
        await settle_refunds(self._database, self._provider, due)
        return len(due) == BATCH_MAX
