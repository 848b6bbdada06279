"""The contents of the reference page: sections and rows, made from OpenAPI documents and contracts."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from storefront.domain.contracts import Contracts
from storefront.domain.openapi import Document

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


@dataclass(frozen=True)
class Row:
    """One parameter or member. `name` is a path such as `items[].quantity`."""

    name: str
    type: str
    required: bool
    notes: str
    location: str = ""
    """Of a parameter: path, query, header or cookie."""


@dataclass(frozen=True)
class Body:
    content_type: str
    rows: list[Row]
    type: str


@dataclass(frozen=True)
class Answer:
    status: str
    description: str
    bodies: list[Body]


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    summary: str
    description: str
    needs_token: bool
    parameters: list[Row]
    bodies: list[Body]
    answers: list[Answer]
    anchor: str


@dataclass(frozen=True)
class ServiceReference:
    """`operations` is None when the document of the service is not available."""

    name: str
    description: str
    operations: list[Operation] | None


@dataclass(frozen=True)
class EventReference:
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
            example=json.dumps(event.examples[0], ensure_ascii=False, indent=2) if event.examples else "",
        )
        for event in contracts.events
    ]


def _operation(service: str, path: str, method: str, item: Mapping[str, Any], document: Document) -> Operation:
    operation = item[method]
    server = item.get("servers", document["servers"])[0]["url"].rstrip("/")
    return Operation(
        method=method.upper(),
        path=f"{server}{path}",
        summary=operation.get("summary") or "",
        description=operation.get("description") or "",
        needs_token=any(operation.get("security") or ()),
        parameters=[_parameter(parameter, document) for parameter in operation.get("parameters", ())],
        bodies=_bodies(operation.get("requestBody", {}), document),
        answers=[
            Answer(status, answer.get("description") or "", _bodies(answer, document))
            for status, answer in (
                (status, _resolved(response, document)) for status, response in sorted(operation["responses"].items())
            )
        ],
        anchor=f"{service}-{method}{path}".replace("/", "-").replace("{", "").replace("}", ""),
    )


def _parameter(parameter: Mapping[str, Any], document: Document) -> Row:
    schema = _resolved(parameter.get("schema", {}), document)
    notes = " ".join(part for part in (parameter.get("description") or "", _notes(schema)) if part)
    return Row(parameter["name"], _type(schema, document), bool(parameter.get("required")), notes, parameter["in"])


def _bodies(message: Mapping[str, Any], document: Document) -> list[Body]:
    return [
        # The choices of a union may share members. Each member is shown once.
        Body(
            content_type,
            list(dict.fromkeys(_rows(media.get("schema", {}), document))),
            _type(media.get("schema", {}), document),
        )
        for content_type, media in (message.get("content") or {}).items()
    ]


def _rows(schema: Any, document: Document, prefix: str = "", depth: int = 0) -> Iterator[Row]:
    """The members of an object, of the objects in it, and of the items of arrays, each with its path."""
    schema = _resolved(schema, document)
    if depth > _DEPTH_MAX:
        return  # A schema may contain itself.
    if "items" in schema:
        yield from _rows(schema["items"], document, f"{prefix}[]", depth + 1)
    for choice in _choices(schema):
        yield from _rows(choice, document, prefix, depth + 1)
    required = schema.get("required", ())
    for name, property_ in schema.get("properties", {}).items():
        path = f"{prefix}.{name}" if prefix else name
        member = _resolved(property_, document)
        yield Row(path, _type(property_, document), name in required, _notes(member))
        yield from _rows(property_, document, path, depth + 1)


def _resolved(schema: Any, document: Document) -> dict[str, Any]:
    """The schema that `schema` refers to within the document, with the members beside the reference."""
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
    resolved = _resolved(schema, document)
    if "const" in resolved:
        return repr(resolved["const"]).replace("'", '"')
    if "enum" in resolved:
        return " | ".join("null" if value is None else f'"{value}"' for value in resolved["enum"])
    if choices := _choices(resolved):
        return " | ".join(dict.fromkeys(_type(choice, document) for choice in choices))
    names = resolved.get("type", "any")
    name = " | ".join(names) if isinstance(names, list) else str(names)
    if "items" in resolved:
        return name.replace("array", f"array of {_type(resolved['items'], document)}", 1)
    return f"{name} ({resolved['format']})" if "format" in resolved else name


def _notes(schema: Mapping[str, Any]) -> str:
    bounds = [text.format(schema[key]) for key, text in _BOUNDS.items() if schema.get(key) is not None]
    description = schema.get("description") or ""
    return " ".join(part for part in (description, f"({', '.join(bounds)})" if bounds else "") if part)
