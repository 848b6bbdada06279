"""What every operation's documentation shares: its problems, the token that it needs, and whether it is internal.

It is read off the finished application, so that no handler has to repeat what its guard and its body say already.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import (
    OpenAPI,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Parameter,
    Reference,
    Schema,
)
from litestar.routes import HTTPRoute

from chassis.security import access

PROBLEM = Schema(
    type=OpenAPIType.OBJECT,
    title="Problem",
    description="RFC 9457 problem details. Decide by `code`, which never changes; some codes have further members.",
    properties={
        "type": Schema(type=OpenAPIType.STRING, examples=["urn:cartwright:problem:not_found"]),
        "title": Schema(type=OpenAPIType.STRING, examples=["There is no such thing."]),
        "status": Schema(type=OpenAPIType.INTEGER, examples=[404]),
        "detail": Schema(type=OpenAPIType.STRING),
        "code": Schema(type=OpenAPIType.STRING, examples=["not_found"]),
        "correlation_id": Schema(type=OpenAPIType.STRING, description="The `x-request-id`, to be named to operators."),
    },
    required=["type", "title", "status", "detail", "code", "correlation_id"],
)
_SCHEMAS = "#/components/schemas/"
_TO_ANY = {"default": "A problem; its `code` says which."}
_TO_PARAMETERS = {"422": "A value cannot be accepted."}
_TO_BODY = {
    "400": "The body cannot be read.",
    "413": "The body is too large.",
    "415": "The body is of another type.",
    "422": "A value cannot be accepted.",
}
_TO_IF_MATCH = {"400": "A header cannot be read.", "412": "It has been changed since it was read."}
_TO_TOKEN = {"401": "No token, or one that is not accepted.", "403": "The token is of somebody who may not do this."}


@dataclass
class InternalOperation(Operation):
    """An operation for other services, or for operators. The gateway has no route to it."""

    x_internal: bool = field(default=True, metadata={"alias": "x-internal"})


def describe(app: Litestar) -> None:
    """Complete the documentation of all operations of `app`."""
    document = app.openapi_schema
    assert document.components is not None, "the security scheme is one"
    _shorten_names(document)
    document.components.schemas = {**(document.components.schemas or {}), "Problem": PROBLEM}
    document.components.responses = {
        "Problem": OpenAPIResponse(
            description="A problem.",
            content={
                "application/problem+json": OpenAPIMediaType(schema=Reference(ref="#/components/schemas/Problem"))
            },
        )
    }
    for route in app.routes:
        item = (document.paths or {}).get(route.path_format)
        if item is None or not isinstance(route, HTTPRoute):
            continue
        for method, (handler, _) in route.route_handler_map.items():
            operation = getattr(item, method.lower(), None)
            if isinstance(operation, Operation):
                setattr(item, method.lower(), _described(operation, handler))


def _shorten_names(document: OpenAPI) -> None:
    """Name generic shapes without their modules: `Page_Profile`, not `Page_users.http.schemas.Profile_`.

    Generated clients take these names, which a move of a class between modules must not change.
    """
    assert document.components is not None
    schemas = document.components.schemas or {}
    short = {name: _short_name(name, schema) for name, schema in schemas.items()}
    assert len(set(short.values())) == len(short), f"two shapes would have one name: {sorted(short.values())}"
    document.components.schemas = {short[name]: schemas[name] for name in sorted(schemas, key=short.__getitem__)}
    for reference in _references(document, set()):
        reference.ref = _SCHEMAS + short[reference.ref.removeprefix(_SCHEMAS)]


def _short_name(name: str, schema: Schema) -> str:
    # The framework puts modules into the names of generic shapes only. The title of these is such as `Page[Profile]`.
    return re.sub(r"\W+", "_", schema.title or name).rstrip("_") if "." in name else name


def _references(node: Any, visited: set[int]) -> Iterator[Reference]:
    """Each reference to a schema below `node`, once."""
    if id(node) in visited:
        return
    visited.add(id(node))
    if isinstance(node, Reference):
        if node.ref.startswith(_SCHEMAS):
            yield node
    elif isinstance(node, dict):
        for value in node.values():
            yield from _references(value, visited)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _references(value, visited)
    elif is_dataclass(node):
        for part in fields(node):
            yield from _references(getattr(node, part.name), visited)


def _described(operation: Operation, handler: HTTPRouteHandler) -> Operation:
    guards = handler.resolve_guards()
    needs_token = not any(guard in (access.public, access.anyone) for guard in guards)
    problems = {
        **(_TO_PARAMETERS if operation.parameters else {}),
        **(_TO_BODY if operation.request_body else {}),
        **(_TO_IF_MATCH if _takes_if_match(operation) else {}),
        **(_TO_TOKEN if needs_token else {}),
        **_TO_ANY,
    }
    # The framework documents a 400 of a shape of its own, which is never answered here.
    own = {status: response for status, response in (operation.responses or {}).items() if status != "400"}
    shared = {
        status: Reference(ref="#/components/responses/Problem", description=description)
        for status, description in problems.items()
    }
    operation.responses = dict(sorted({**shared, **own}.items()))
    operation.security = [{"bearer": []}] if needs_token else None
    if any(guard is access.operator or isinstance(guard, access.OnlyServices) for guard in guards):
        return InternalOperation(**{part.name: getattr(operation, part.name) for part in fields(operation)})
    return operation


def _takes_if_match(operation: Operation) -> bool:
    return any(isinstance(given, Parameter) and given.name == "if-match" for given in operation.parameters or ())
