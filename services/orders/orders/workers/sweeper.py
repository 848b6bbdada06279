"""The sweeper: takes up orders whose lease has run out, after a crash as after a time-out. Recovery is no special way.

Any replica's sweeper takes any order. A replica that was frozen past its leases and wakes up does no harm: steps are
idempotent, and the pivot and the end are each written once.
"""

import structlog
from prometheus_client import Gauge

from chassis.lifecycle import Loop
from chassis.persistence.database import Database
from orders import store
from orders.checkout import CheckoutRunner

BATCH_MAX = 256
RUNNING_MAX = 4_096
"""Beyond so many on their way in this process, the sweeper leaves the rest to others or to later."""

BACKLOG = Gauge("cartwright_orders_pending", "Orders on their way.")
OLDEST = Gauge("cartwright_orders_oldest_pending_seconds", "Age of the oldest order that is on its way.")
_log = structlog.get_logger()


class Sweeper:
    """A `Part`."""

    def __init__(self, database: Database, runner: CheckoutRunner, *, lease_s: float, sweep_s: float) -> None:
        self._database = database
        self._runner = runner
        self._lease_s = lease_s
        self._loop = Loop("sweeper", self._turn, rest_s=sweep_s)

    async def start(self) -> None:
        await self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()
        await self._runner.drain(seconds=3.0)

    async def _turn(self) -> bool:
        waiting, oldest_s = await self._database.read(store.checkout.backlog)
        BACKLOG.set(waiting)
        OLDEST.set(oldest_s)
        if not waiting or self._runner.running >= RUNNING_MAX:
            return False
        due = await self._database.run_statement(
            lambda connection: store.checkout.lease_due(connection, BATCH_MAX, lease_s=self._lease_s)
        )
        for order in due:
            self._runner.start(order)
        if due:
            _log.info("orders are taken up again", count=len(due))
        return len(due) == BATCH_MAX
