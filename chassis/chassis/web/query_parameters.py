"""Query parameters: an undeclared parameter is refused, as an unknown member of a body is.

A misspelt filter would otherwise answer everything. A repeated parameter has no defined meaning: readers differ in
which value they take. The declaration is the handler's own signature, so there is no second list. Routes outside the
documented interface (pages for browsers, probes) are exempt: links to them gather parameters of trackers and caches.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, TypeAlias

import msgspec
from litestar import Litestar, Request
from litestar.handlers import BaseRouteHandler
from litestar.openapi.spec import Example
from litestar.params import QueryParameter
from litestar.routes import HTTPRoute

from chassis.problems import Invalid

NAME_CHARACTERS_MAX = 100
"""So much of a name is repeated in a problem."""
Declared: TypeAlias = Mapping[BaseRouteHandler, frozenset[str]]
INSTANT_CHARACTERS_MAX = 40
Instant = Annotated[
    str | None,
    QueryParameter(
        format="date-time",
        max_length=INSTANT_CHARACTERS_MAX,
        description="RFC 3339, with its zone.",
        examples=[Example(value="2026-01-01T00:00:00Z")],
    ),
]
"""A moment in a query, for `instant_of`: the framework itself would take one without a zone, and bare numbers too."""
_ZONED = Annotated[datetime, msgspec.Meta(tz=True)]


def instant_of(given: str | None, name: str) -> datetime | None:
    """The moment in the parameter `name`. Raises `Invalid` for what is none, and for one without a zone."""
    if given is None:
        return None
    try:
        return msgspec.convert(given, _ZONED)
    except msgspec.ValidationError:
        raise Invalid(f"{name}: has to be a date and time of RFC 3339 with its zone.", parameter=name) from None


def declared_parameters(app: Litestar) -> Declared:
    """The names that each documented operation of `app` takes."""
    return {
        handler: frozenset(parameter.field_alias for parameter in parameters.expected_query_params)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler, parameters in route.route_handler_map.values()
        if handler.resolve_include_in_schema()
    }


def refuse_undeclared_parameters(request: Request[Any, Any, Any], declared: Declared) -> None:
    """Raises `Invalid` for a parameter that the operation does not declare, and for one that is given twice."""
    if not request.scope["query_string"]:
        return
    names = declared.get(request.route_handler)
    if names is None:
        return
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        shown = name[:NAME_CHARACTERS_MAX]
        if name not in names:
            raise Invalid(f"There is no query parameter {shown!r} here.", parameter=shown)
        if name in seen:
            raise Invalid(f"The query parameter {shown!r} is given twice.", parameter=shown)
        seen.add(name)
