"""What every operation's documentation shares: its problems, the token that it needs, and whether it is internal.

It is read off the finished application, so that no handler has to repeat what its guard and its body say already.
"""

from dataclasses import dataclass, field, fields

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import (
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
