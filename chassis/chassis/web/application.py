"""The web application that every service is: routes, problems, health, metrics, OpenAPI, and the parts behind them."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from importlib import metadata
from typing import Any

import structlog
from litestar import Litestar, Request, Response, Router, get
from litestar.enums import ScopeType
from litestar.handlers import HTTPRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.plugins import PluginProtocol
from litestar.plugins.core import MsgspecDIPlugin
from litestar.types import ASGIApp, ControllerRouterHandler, Message, Receive, Scope, Send
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from chassis import actor, context, problems
from chassis.lifecycle import Part, Parts
from chassis.problems import Malformed, Overloaded, Unavailable, UnsupportedType
from chassis.security import access, revocations
from chassis.security.tokens import TokenVerifier
from chassis.telemetry import metrics, tracing
from chassis.web import openapi, strict_json
from chassis.web.query_parameters import declared_parameters, refuse_undeclared_parameters

BODY_BYTES_MAX = 64 * 1024
INTERNAL_BODY_BYTES_MAX = 8 * 1024 * 1024
"""For internal endpoints that take a batch: `request_max_body_size=INTERNAL_BODY_BYTES_MAX`."""
_UNGUARDED_PATHS = frozenset({"/health", "/ready", "/metrics", "/openapi.json"})
_UNTRACED_PATHS = _UNGUARDED_PATHS | {revocations.PATH}
"""Probes, scrapes and the services' own polls come every second, and tell nothing by the way that they take."""
_log = structlog.get_logger()

IsHealthy = Callable[[], Awaitable[bool]]


class Application(Litestar):
    """Without the plugins for shapes that no service uses.

    By default that for pydantic is there wherever pydantic is installed, as it is beside the command line: 9 MB and a
    tenth of a second of each service's start.
    """

    @staticmethod
    def _get_default_plugins(plugins: list[PluginProtocol]) -> list[PluginProtocol]:
        return [*plugins, MsgspecDIPlugin()]


class StrictRequest(Request[Any, Any, Any]):
    """Decodes bodies with `strict_json`, straight into the type that the handler names for `data`."""

    async def json(self) -> Any:
        content_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        body = await self.body()
        if content_type != "application/json":
            raise UnsupportedType if body else Malformed("The request body is empty.")
        field = self.route_handler.parsed_data_field
        return strict_json.decode(body, Any if field is None else field.annotation)


class RequestContext(ASGIMiddleware):
    """Gives each request its correlation id, trace and deadline, answers the id, measures, and logs what went wrong.

    It stands before the router, so that it holds for paths and methods that are not there too.
    """

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        headers = {name: value for name, value in scope["headers"] if name in _CONTEXT_HEADERS}
        deadline_ms = headers.get(b"x-deadline-ms", b"")
        seconds = int(deadline_ms) / 1_000 if deadline_ms.isdigit() and len(deadline_ms) < 10 else None
        with (
            context.acting_as(None),
            context.working_on(
                headers.get(b"x-request-id", b"").decode("latin-1"),
                headers.get(b"traceparent", b"").decode("latin-1"),
                seconds=seconds,
            ),
        ):
            correlation = context.correlation_id()
            method = str(scope.get("method", ""))
            started_at = time.perf_counter()
            status = 0

            async def answer(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                    message["headers"] = [*message["headers"], (b"x-request-id", correlation.encode())]
                    if status >= 500:
                        _log.warning(
                            "request failed",
                            method=method,
                            path=scope["path"],
                            status=status,
                            duration_ms=round((time.perf_counter() - started_at) * 1_000, 3),
                        )
                await send(message)

            span = tracing.request(method, correlation) if scope["path"] not in _UNTRACED_PATHS else tracing.NOT_TRACED
            with span as tell_answer:
                await next_app(scope, receive, answer)
                tell_answer(scope.get("path_template"), status)
            metrics.observe_request(method, scope.get("path_template"), status, time.perf_counter() - started_at)


_CONTEXT_HEADERS = frozenset({b"x-request-id", b"traceparent", b"x-deadline-ms"})


def version_of(name: str) -> str:
    """The version of service `name`, as the metadata of its package state it; `unknown` when it is not installed."""
    try:
        return metadata.version(f"cartwright-{name}")
    except metadata.PackageNotFoundError:
        return "unknown"


def application(
    *,
    name: str,
    description: str,
    routes: Sequence[ControllerRouterHandler],
    parts: Sequence[Part],
    verifier: TokenVerifier,
    is_healthy: IsHealthy,
    **options: Any,
) -> Litestar:
    """The application of service `name`. Its use cases get what they need through `options["dependencies"]`.

    `is_healthy` tells whether the service may get traffic once its parts have started. Every route needs a guard of
    `chassis.security.access`; one without is a mistake in the program and ends the start.
    """
    running = Parts(parts)
    version = version_of(name)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        # All background work begins there, and each task inherits the actor.
        with context.acting_as(actor.service(name)):
            running.begin()
        try:
            yield
        finally:
            await running.end()

    async def before_request(request: Request[Any, Any, Any]) -> Response[Any] | None:
        if not running.ready.is_set() and request.scope["path"] not in _UNGUARDED_PATHS:
            raise Unavailable(f"{name} is starting.")
        left = context.seconds_left()
        if left is not None and left <= 0:
            raise Overloaded("The caller's deadline has passed already.")
        refuse_undeclared_parameters(request, declared)
        if getattr(request.route_handler, "parsed_data_field", None) is not None and not await request.body():
            raise Malformed("The request body is empty.")
        return None

    async def is_ready() -> bool:
        return running.ready.is_set() and await is_healthy()

    @get("/health", guards=[access.anyone], include_in_schema=False, sync_to_thread=False)
    def health() -> dict[str, str]:
        return {"status": "alive", "service": name, "version": version}

    @get("/ready", guards=[access.anyone], include_in_schema=False)
    async def ready() -> Response[dict[str, str]]:
        if running.failure is not None:
            return Response({"status": "failed", "reason": str(running.failure)}, status_code=503)
        if not await is_ready():
            return Response({"status": "not ready"}, status_code=503)
        return Response({"status": "ready"})

    @get("/metrics", guards=[access.anyone], include_in_schema=False)
    async def show_metrics() -> Response[bytes]:
        metrics.READY.set(await is_ready())
        return Response(generate_latest(), headers={"content-type": CONTENT_TYPE_LATEST})

    app = Application(
        route_handlers=[health, ready, show_metrics, *routes],
        lifespan=[lifespan],
        before_request=before_request,
        request_class=StrictRequest,
        request_max_body_size=BODY_BYTES_MAX,
        logging_config=None,  # The framework's own would take the place of `logs.configure`, and is no JSON.
        plugins=[problems.plugin()],
        middleware=[access.Authentication(verifier)],
        openapi_config=OpenAPIConfig(
            title=f"Cartwright {name}",
            version=version,
            description=description,
            render_plugins=[JsonRenderPlugin(path="/")],
            openapi_router=Router(
                path="/openapi.json", guards=[access.anyone], include_in_schema=False, route_handlers=[]
            ),
            components=Components(
                security_schemes={"bearer": SecurityScheme(type="http", scheme="bearer", bearer_format="JWT")}
            ),
        ),
        **options,
    )
    declared = declared_parameters(app)
    app.asgi_handler = RequestContext()(app.asgi_handler)
    _assert_guarded(app)
    openapi.describe(app)
    return app


def _assert_guarded(app: Litestar) -> None:
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            by_us = isinstance(handler, HTTPRouteHandler) and "OPTIONS" not in handler.http_methods
            assert not by_us or handler.resolve_guards(), f"{route.path} names no guard of chassis.security.access"
