"""Where calls from several replicas of orders meet: those that come while a batch is under way go together next.

Two batches at once would wait for each other at the rows of popular products; one larger batch does not.
"""

from collections.abc import Sequence
from itertools import chain, islice

from catalog.domain.reservation import Outcome, Reservation, Wanted
from catalog.reserve_stock import reserve_stock
from catalog.settle_reservations import Settled, release_stock
from chassis.batching import Batcher
from chassis.persistence.database import Database

CALLS_MAX = 4
"""How many calls, of up to 256 orders each, go into one transaction."""


class ReservationBatcher:
    """A `Part`: reserves and releases for whole calls, in one transaction at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reserving = Batcher("reserve stock", self._reserve_calls, size_max=CALLS_MAX)
        self._releasing = Batcher("release stock", self._release_calls, size_max=CALLS_MAX)

    async def start(self) -> None:
        """There is nothing to begin with."""

    async def stop(self) -> None:
        await self._reserving.drain()
        await self._releasing.drain()

    async def reserve(self, wishes: Sequence[Wanted]) -> list[Outcome]:
        """One outcome for each wish, in order."""
        return await self._reserving.submit(wishes)

    async def release(self, undone: Sequence[Settled]) -> list[Reservation]:
        """What the reservation of each order is now, in order."""
        return await self._releasing.submit(undone)

    async def _reserve_calls(self, calls: Sequence[Sequence[Wanted]]) -> list[list[Outcome]]:
        outcomes = iter(await reserve_stock(self._database, list(chain.from_iterable(calls))))
        return [list(islice(outcomes, len(call))) for call in calls]

    async def _release_calls(self, calls: Sequence[Sequence[Settled]]) -> list[list[Reservation]]:
        reservations = iter(await release_stock(self._database, list(chain.from_iterable(calls))))
        return [list(islice(reservations, len(call))) for call in calls]
