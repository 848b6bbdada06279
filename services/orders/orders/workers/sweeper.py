"""The sweeper: starts the saga of orders whose lease has run out, after a crash as after a time-out.

The sweeper of any replica takes up any order. A replica that was frozen longer than its leases does no harm when it
continues: steps are idempotent, and the pivot and the end are each written once.
"""

import structlog

from chassis.lifecycle import Loop
from chassis.persistence.database import Database
from orders import metrics, store
from orders.checkout import CheckoutRunner

BATCH_SIZE_MAX = 256
RUNNING_MAX = 4_096
"""With so many orders running in this process, the sweeper leaves the rest to other replicas."""

_log = structlog.get_logger()


class Sweeper:
    """A `Part`."""

    def __init__(self, database: Database, runner: CheckoutRunner, *, lease_s: float, sweep_s: float) -> None:
        self._database = database
        self._runner = runner
        self._lease_s = lease_s
        self._loop = Loop("sweeper", self.run_once, rest_s=sweep_s)

    async def start(self) -> None:
        await self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()
        await self._runner.drain(timeout_s=3.0)

    async def run_once(self) -> bool:
        """Returns whether more orders may be due."""
        waiting, oldest_s = await self._database.read(store.checkout.backlog)
        metrics.BACKLOG.set(waiting)
        metrics.OLDEST.set(oldest_s)
        if not waiting or self._runner.running >= RUNNING_MAX:
            return False
        due = await self._database.run_statement(
            lambda connection: store.checkout.lease_due(connection, BATCH_SIZE_MAX, lease_s=self._lease_s)
        )
        for order in due:
            self._runner.start(order)
        if due:
            _log.info("orders resumed", count=len(due))
        return len(due) == BATCH_SIZE_MAX
