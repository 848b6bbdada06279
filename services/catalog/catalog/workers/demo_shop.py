"""Loads the demo shop at the start of the service."""

from pathlib import Path

import structlog

from catalog.load_demo_shop import load_demo_shop, read_demo_shop
from chassis.lifecycle import keep_trying
from chassis.persistence.database import Database
from chassis.problems import Unavailable

_log = structlog.get_logger()


class DemoShop:
    """A `Part`, after the database. Without a path it loads nothing."""

    def __init__(self, database: Database, path: str) -> None:
        self._database = database
        self._path = path

    async def start(self) -> None:
        if self._path:
            # The database may have gone away since it started. The service then starts once it is back.
            await keep_trying("database", self._load, on=(Unavailable,))

    async def _load(self) -> None:
        shop = read_demo_shop(Path(self._path))
        if await load_demo_shop(self._database, shop):
            _log.info("the demo shop was loaded", products=len(shop.products))

    async def stop(self) -> None:
        """Nothing runs after the start."""
