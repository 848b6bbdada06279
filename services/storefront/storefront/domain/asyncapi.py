"""The AsyncAPI 3.0 document of all events, made from the contracts, so that the two cannot differ."""

from typing import Any

from storefront.domain.contracts import Contracts, EventContract

CONTENT_TYPE = "application/cloudevents-batch+json"
"""A message is a batch of events of one type."""
_SCHEMAS = "#/components/schemas/"


def asyncapi_document(contracts: Contracts, version: str) -> dict[str, Any]:
    """One channel and one message per event type. Its operations name the producer and the consumers."""
    schemas: dict[str, Any] = {"envelope": _open(_hoisted(contracts.envelope.schema))}
    schemas |= _definitions(contracts.envelope.schema)
    for event in contracts.events:
        schemas |= _definitions(event.schema)
        schemas[event.type] = _open(_hoisted(event.schema))
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Cartwright events", "version": version, "description": contracts.envelope.description},
        "defaultContentType": CONTENT_TYPE,
        "channels": {event.type: _channel(event) for event in contracts.events},
        "operations": {name: operation for event in contracts.events for name, operation in _operations(event).items()},
        "components": {
            "messages": {event.type: _message(event) for event in contracts.events},
            "schemas": schemas,
        },
    }


def _channel(event: EventContract) -> dict[str, Any]:
    return {
        "address": "{stream}." + event.type,
        "description": event.description,
        "parameters": {
            "stream": {
                "description": "The name of the stream or exchange: the path of EVENTS_URL.",
                "default": "cartwright",
            }
        },
        "messages": {event.type: {"$ref": f"#/components/messages/{event.type}"}},
    }


def _message(event: EventContract) -> dict[str, Any]:
    data = {"$ref": _SCHEMAS + event.type}
    return {
        "name": event.type,
        "title": event.type,
        "summary": event.description,
        "contentType": CONTENT_TYPE,
        "payload": {
            "type": "array",
            "minItems": 1,
            "items": {
                "allOf": [
                    {"$ref": f"{_SCHEMAS}envelope"},
                    {"type": "object", "properties": {"type": {"const": event.type}, "data": data}},
                ]
            },
        },
    }


def _operations(event: EventContract) -> dict[str, Any]:
    by_service = [(event.producer, "send"), *((consumer, "receive") for consumer in event.consumers)]
    return {
        f"{service}.{action}.{event.type}": {
            "action": action,
            "channel": {"$ref": f"#/channels/{event.type}"},
            "messages": [{"$ref": f"#/channels/{event.type}/messages/{event.type}"}],
            "tags": [{"name": service}],
        }
        for service, action in by_service
    }


def _definitions(schema: dict[str, Any]) -> dict[str, Any]:
    return {name: _open(_hoisted(definition)) for name, definition in schema.get("$defs", {}).items()}


def _hoisted(schema: Any) -> Any:
    """The schema without its `$defs`, and with references to the components instead."""
    if isinstance(schema, dict):
        return {
            key: value.replace("#/$defs/", _SCHEMAS) if key == "$ref" else _hoisted(value)
            for key, value in schema.items()
            if key != "$defs"
        }
    return [_hoisted(item) for item in schema] if isinstance(schema, list) else schema


def _open(schema: Any) -> Any:
    """The schema for consumers, who ignore unknown members instead of refusing them."""
    if isinstance(schema, dict):
        return {key: _open(value) for key, value in schema.items() if key != "additionalProperties"}
    return [_open(item) for item in schema] if isinstance(schema, list) else schema
