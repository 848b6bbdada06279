"""The public OpenAPI documents of the services.

They are fetched from the services, so that each describes the version that runs. A fetched document stays available
while its service is down.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import msgspec
import structlog

from chassis.problems import OutcomeUnknown, Unavailable
from chassis.web.client import RefusedByPeer, ServiceClient
from storefront.domain.openapi import Document, public_document

FETCH_S_MAX = 1.0
FRESH_S = 30.0
RETRY_S = 2.0
_log = structlog.get_logger()


class Fetched(msgspec.Struct):
    """The last document of a service, and the time of the last fetch."""

    document: Document | None = None
    fetched_at: float = float("-inf")

    def is_fresh(self) -> bool:
        age_s = time.monotonic() - self.fetched_at
        return age_s < (RETRY_S if self.document is None else FRESH_S)


class OpenApiDocuments:
    """By the names of the services in `clients`."""

    def __init__(self, clients: Mapping[str, ServiceClient]) -> None:
        self._clients = clients
        self._fetched = {name: Fetched() for name in clients}
        self._locks = {name: asyncio.Lock() for name in clients}

    def add(self, name: str, document: Document) -> None:
        """Add a document that needs no fetch: the storefront's own."""
        self._fetched[name] = Fetched(public_document(document), fetched_at=float("inf"))

    async def all(self) -> dict[str, Document | None]:
        """The documents of all services; None for one that has never answered. Takes at most `FETCH_S_MAX`."""
        documents = await asyncio.gather(*(self.of(name) for name in self._fetched))
        return dict(zip(self._fetched, documents, strict=True))

    async def of(self, name: str) -> Document | None:
        """The document of one service. Raises `KeyError` for an unknown name."""
        fetched = self._fetched[name]
        if not fetched.is_fresh():
            async with self._locks[name]:  # Concurrent readers share one fetch.
                if not fetched.is_fresh():
                    await self._fetch(name, fetched)
        return fetched.document

    async def _fetch(self, name: str, fetched: Fetched) -> None:
        try:
            answer = await self._clients[name].call(
                "GET", "/openapi.json", dict[str, Any], idempotent=True, timeout_s=FETCH_S_MAX
            )
            fetched.document = public_document(answer)
        except (RefusedByPeer, Unavailable, OutcomeUnknown) as error:
            _log.warning("OpenAPI document not fetched", target=name, error=str(error))
        except (AttributeError, KeyError, TypeError) as error:
            _log.warning("OpenAPI document is malformed", target=name, error=f"{type(error).__name__}: {error}")
        fetched.fetched_at = time.monotonic()
