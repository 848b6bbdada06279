"""The OpenAPI documents of the services, as clients of the gateway see them: public operations only, under /api.

They are fetched from the services themselves, so that they are always those of the version that runs. What was fetched
once goes on to be shown while a service is down.
"""

import asyncio
import re
import time
from collections.abc import Mapping
from typing import Any

import msgspec
import structlog

from chassis.problems import OutcomeUnknown, Unavailable
from chassis.web.client import RefusedByPeer, ServiceClient

FETCH_S_MAX = 1.0
FRESH_S = 30.0
RETRY_S = 2.0
_METHODS = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})
_AT_THE_ROOT = "/.well-known/"
_REFERENCE = re.compile(r"#/components/(?P<kind>[^/]+)/(?P<name>.+)")
_log = structlog.get_logger()

Document = dict[str, Any]


class Fetched(msgspec.Struct):
    """The last document of a service, and when it was asked for it."""

    document: Document | None = None
    asked_at: float = float("-inf")

    def is_fresh(self) -> bool:
        age_s = time.monotonic() - self.asked_at
        return age_s < (RETRY_S if self.document is None else FRESH_S)


class OpenApiDocuments:
    """The published documents of the services that `clients` call, by name."""

    def __init__(self, clients: Mapping[str, ServiceClient]) -> None:
        self._clients = clients
        self._fetched = {name: Fetched() for name in clients}
        self._locks = {name: asyncio.Lock() for name in clients}

    def add(self, name: str, document: Document) -> None:
        """Publish a document that need not be fetched: the storefront's own."""
        self._fetched[name] = Fetched(published(document), asked_at=float("inf"))

    async def all(self) -> dict[str, Document | None]:
        """Every service's document; None for one that has never answered. Takes `FETCH_S_MAX` at the most."""
        documents = await asyncio.gather(*(self.of(name) for name in self._fetched))
        return dict(zip(self._fetched, documents, strict=True))

    async def of(self, name: str) -> Document | None:
        """The document of one service. Raises `KeyError` for an unknown name."""
        fetched = self._fetched[name]
        if not fetched.is_fresh():
            async with self._locks[name]:  # Readers who come at the same time share one question.
                if not fetched.is_fresh():
                    await self._fetch(name, fetched)
        return fetched.document

    async def _fetch(self, name: str, fetched: Fetched) -> None:
        try:
            answer = await self._clients[name].call(
                "GET", "/openapi.json", dict[str, Any], idempotent=True, timeout_s=FETCH_S_MAX
            )
            fetched.document = published(answer)
        except (RefusedByPeer, Unavailable, OutcomeUnknown) as error:
            _log.warning("an OpenAPI document could not be fetched", target=name, error=str(error))
        except (AttributeError, KeyError, TypeError) as error:
            _log.warning("an OpenAPI document is of no use", target=name, error=f"{type(error).__name__}: {error}")
        fetched.asked_at = time.monotonic()


def published(document: Document) -> Document:
    """The document without internal operations (`x-internal`), and with paths as the gateway answers them."""
    paths = {}
    for path, item in document["paths"].items():
        operations = {key: value for key, value in item.items() if not _is_internal(key, value)}
        if _METHODS & operations.keys():
            # Few paths stand beside /api: those whose place a standard settles.
            paths[path] = operations | ({"servers": [{"url": "/"}]} if path.startswith(_AT_THE_ROOT) else {})
    return document | {
        "servers": [{"url": "/api"}],
        "paths": paths,
        "components": _used_components(paths, document.get("components", {})),
    }


def _is_internal(key: str, operation: Any) -> bool:
    return key in _METHODS and bool(operation.get("x-internal"))


def _used_components(paths: Document, components: Document) -> Document:
    """What `paths` refers to, directly or not: the shapes of internal calls are nobody's business outside."""
    used: dict[str, Document] = {kind: {} for kind in components}
    used["securitySchemes"] = components.get("securitySchemes", {})
    waiting: list[Any] = [paths]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting.extend(part)
        elif isinstance(part, dict):
            waiting.extend(part.values())
            target = _REFERENCE.fullmatch(str(part.get("$ref", "")))
            if target is not None and target["name"] not in used[target["kind"]]:
                component = components[target["kind"]][target["name"]]
                used[target["kind"]][target["name"]] = component
                waiting.append(component)
    return {kind: dict(sorted(found.items())) for kind, found in used.items() if found}
