"""Joins the calls of several replicas of orders: calls that arrive during a transaction share the next one.

Two concurrent transactions would wait for each other at the rows of popular products; one larger batch does not.
"""

from collections.abc import Sequence
from itertools import chain, islice

from catalog.domain.reservation import Outcome, Reservation, StockRequest
from catalog.release_stock import release_stock
from catalog.reserve_stock import reserve_stock
from catalog.settle_reservations import SettlementRequest
from chassis.batching import Batcher
from chassis.persistence.database import Database

CALLS_MAX = 4
"""The number of calls, of up to 256 orders each, in one transaction."""


class ReservationBatcher:
    """A `Part` that reserves and releases for whole calls, with one transaction at a time for each."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reservations = Batcher("reserve stock", self._reserve_calls, size_max=CALLS_MAX)
        self._releases = Batcher("release stock", self._release_calls, size_max=CALLS_MAX)

    async def start(self) -> None:
        """The batchers need no start."""

    async def stop(self) -> None:
        await self._reservations.drain()
        await self._releases.drain()

    async def reserve(self, requests: Sequence[StockRequest]) -> list[Outcome]:
        """One outcome for each request, in order."""
        return await self._reservations.submit(requests)

    async def release(self, requests: Sequence[SettlementRequest]) -> list[Reservation]:
        """The reservation of each order afterwards, in order."""
        return await self._releases.submit(requests)

    async def _reserve_calls(self, calls: Sequence[Sequence[StockRequest]]) -> list[list[Outcome]]:
        outcomes = iter(await reserve_stock(self._database, list(chain.from_iterable(calls))))
        return [list(islice(outcomes, len(call))) for call in calls]

    async def _release_calls(self, calls: Sequence[Sequence[SettlementRequest]]) -> list[list[Reservation]]:
        reservations = iter(await release_stock(self._database, list(chain.from_iterable(calls))))
        return [list(islice(reservations, len(call))) for call in calls]
