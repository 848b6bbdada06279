"""Turns OpenAPI documents and contracts into what the reference page shows: plain rows, ready for the template."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from storefront.clients.openapi_documents import Document
from storefront.reference.contracts import Contracts

_DEPTH_MAX = 6
_METHODS = ("get", "post", "put", "patch", "delete")
_BOUNDS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
    "minLength": "{} characters or more",
    "maxLength": "up to {} characters",
    "minItems": "{} items or more",
    "maxItems": "up to {} items",
    "pattern": "matches {}",
    "default": "default {}",
}


class Row(msgspec.Struct, frozen=True):
    """One parameter or member. `name` is a path such as `items[].quantity`."""

    name: str
    type: str
    required: bool
    notes: str
    place: str = ""


class Body(msgspec.Struct, frozen=True):
    content_type: str
    rows: list[Row]
    type: str


class Answer(msgspec.Struct, frozen=True):
    status: str
    description: str
    bodies: list[Body]


class Operation(msgspec.Struct, frozen=True):
    method: str
    path: str
    summary: str
    description: str
    needs_token: bool
    parameters: list[Row]
    bodies: list[Body]
    answers: list[Answer]
    anchor: str


class ServiceReference(msgspec.Struct, frozen=True):
    """`operations` is None when the service has not told its interface."""

    name: str
    description: str
    operations: list[Operation] | None


class EventReference(msgspec.Struct, frozen=True):
    type: str
    description: str
    producer: str
    consumers: list[str]
    rows: list[Row]
    example: str


def service_reference(name: str, document: Document | None) -> ServiceReference:
    if document is None:
        return ServiceReference(name, "", None)
    operations = [
        _operation(name, path, method, item, document)
        for path, item in sorted(document["paths"].items())
        for method in _METHODS
        if method in item
    ]
    return ServiceReference(name, (document.get("info") or {}).get("description") or "", operations)


def event_references(contracts: Contracts) -> list[EventReference]:
    return [
        EventReference(
            type=event.type,
            description=event.description,
            producer=event.producer,
            consumers=event.consumers,
            rows=list(_rows(event.schema, event.schema)),
            example=msgspec.json.format(msgspec.json.encode(event.examples[0])).decode() if event.examples else "",
        )
        for event in contracts.events
    ]


def _operation(service: str, path: str, method: str, item: Mapping[str, Any], document: Document) -> Operation:
    told = item[method]
    server = item.get("servers", document["servers"])[0]["url"].rstrip("/")
    return Operation(
        method=method.upper(),
        path=f"{server}{path}",
        summary=told.get("summary") or "",
        description=told.get("description") or "",
        needs_token=any(told.get("security") or ()),
        parameters=[_parameter(parameter, document) for parameter in told.get("parameters", ())],
        bodies=_bodies(told.get("requestBody", {}), document),
        answers=[
            Answer(status, answer.get("description") or "", _bodies(answer, document))
            for status, answer in (
                (status, _resolved(response, document)) for status, response in sorted(told["responses"].items())
            )
        ],
        anchor=f"{service}-{method}{path}".replace("/", "-").replace("{", "").replace("}", ""),
    )


def _parameter(told: Mapping[str, Any], document: Document) -> Row:
    schema = _resolved(told.get("schema", {}), document)
    notes = " ".join(part for part in (told.get("description") or "", _notes(schema)) if part)
    return Row(told["name"], _type(schema, document), bool(told.get("required")), notes, told["in"])


def _bodies(told: Mapping[str, Any], document: Document) -> list[Body]:
    return [
        # The choices of a union may share members: each is shown once.
        Body(
            content_type,
            list(dict.fromkeys(_rows(media.get("schema", {}), document))),
            _type(media.get("schema", {}), document),
        )
        for content_type, media in (told.get("content") or {}).items()
    ]


def _rows(schema: Any, document: Document, prefix: str = "", depth: int = 0) -> Iterator[Row]:
    """The members of an object, of the objects in it, and of the items of arrays, each with its path."""
    schema = _resolved(schema, document)
    if depth > _DEPTH_MAX:
        return  # A schema may hold itself.
    if "items" in schema:
        yield from _rows(schema["items"], document, f"{prefix}[]", depth + 1)
    for choice in _choices(schema):
        yield from _rows(choice, document, prefix, depth + 1)
    required = schema.get("required", ())
    for name, told in schema.get("properties", {}).items():
        path = f"{prefix}.{name}" if prefix else name
        member = _resolved(told, document)
        yield Row(path, _type(told, document), name in required, _notes(member))
        yield from _rows(told, document, path, depth + 1)


def _resolved(schema: Any, document: Document) -> dict[str, Any]:
    """What `schema` refers to within the document, with what stands beside the reference."""
    for _ in range(_DEPTH_MAX):
        if not isinstance(schema, dict):
            return {}
        reference = schema.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return schema
        target: Any = document
        for step in reference[2:].split("/"):
            target = target.get(step, {}) if isinstance(target, dict) else {}
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        schema = {**target, **beside} if isinstance(target, dict) else {}
    return {}


def _choices(schema: Mapping[str, Any]) -> list[Any]:
    return [choice for key in ("oneOf", "anyOf", "allOf") for choice in schema.get(key, ())]


def _type(schema: Any, document: Document) -> str:
    told = _resolved(schema, document)
    if "const" in told:
        return repr(told["const"]).replace("'", '"')
    if "enum" in told:
        return " | ".join("null" if value is None else f'"{value}"' for value in told["enum"])
    if choices := _choices(told):
        return " | ".join(dict.fromkeys(_type(choice, document) for choice in choices))
    names = told.get("type", "any")
    name = " | ".join(names) if isinstance(names, list) else str(names)
    if "items" in told:
        return name.replace("array", f"array of {_type(told['items'], document)}", 1)
    return f"{name} ({told['format']})" if "format" in told else name


def _notes(schema: Mapping[str, Any]) -> str:
    bounds = [text.format(schema[key]) for key, text in _BOUNDS.items() if schema.get(key) is not None]
    description = schema.get("description") or ""
    return " ".join(part for part in (description, f"({', '.join(bounds)})" if bounds else "") if part)
