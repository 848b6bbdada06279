"""The contracts themselves: well-formed, with examples that keep to them, and true of the services that they name.

Whether the messages of a service keep to its contracts is tested beside that service.
"""

import importlib
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from litestar import Litestar
from litestar.routes import HTTPRoute

from cartwright.launcher.layout import SERVICES, SERVICES_WITH_DATABASE
from chassis.messaging import envelope
from chassis.messaging.consumer import Consumer
from chassis.messaging.signed_broker import SAID_BY_ALL

CONTRACTS = Path(__file__).parents[2] / "contracts"
EVENTS = {path.stem: path for path in sorted((CONTRACTS / "events").glob("*.json"))}
CALLS = {path.stem: path for path in sorted((CONTRACTS / "http").glob("*.json"))}
# What every service says alike is said by the chassis.
PRODUCERS_OF_EVENTS = {*SERVICES, "chassis"}
# The gateway checks tokens too, and the chassis does so for every service.
CONSUMERS_OF_CALLS = {*SERVICES, "gateway", "chassis"}


class Body(msgspec.Struct, forbid_unknown_fields=True):
    schema: dict[str, Any]
    examples: list[dict[str, Any]]


class EventContract(Body, forbid_unknown_fields=True):
    description: str
    producer: str
    consumers: list[str]


class CallContract(msgspec.Struct, forbid_unknown_fields=True):
    description: str
    producer: str
    consumers: list[str]
    method: str
    path: str
    request: Body | None
    response: Body


class EnvelopeContract(Body, forbid_unknown_fields=True):
    description: str


def event_contract(name: str) -> EventContract:
    return msgspec.json.decode(EVENTS[name].read_bytes(), type=EventContract)


def call_contract(name: str) -> CallContract:
    return msgspec.json.decode(CALLS[name].read_bytes(), type=CallContract)


def assert_sound(body: Body) -> None:
    Draft202012Validator.check_schema(body.schema)
    assert body.examples, "a promise without an example is not tested by anybody"
    validator = Draft202012Validator(body.schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    for example in body.examples:
        validator.validate(example)


def test_there_is_nothing_else_in_the_folder() -> None:
    found = {path.relative_to(CONTRACTS) for path in CONTRACTS.rglob("*") if path.is_file()}
    known = {path.relative_to(CONTRACTS) for path in (*EVENTS.values(), *CALLS.values())}
    assert found - known == {Path("README.md"), Path("envelope.json")}


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_contract_is_well_formed_and_its_examples_keep_to_it(name: str) -> None:
    contract = event_contract(name)
    assert_sound(contract)
    assert contract.producer in PRODUCERS_OF_EVENTS
    assert set(contract.consumers) <= set(SERVICES)
    assert "audit" in contract.consumers, "audit records everything"


@pytest.mark.parametrize("name", CALLS)
def test_a_call_contract_is_well_formed_and_its_examples_keep_to_it(name: str) -> None:
    contract = call_contract(name)
    for body in filter(None, (contract.request, contract.response)):
        assert_sound(body)
    assert contract.producer in SERVICES
    assert name.startswith(f"{contract.producer}.")
    assert set(contract.consumers) <= CONSUMERS_OF_CALLS
    assert (contract.request is None) == (contract.method == "GET")


@pytest.mark.parametrize("name", EVENTS)
def test_what_is_sent_is_settled_to_the_last_member(name: str) -> None:
    """An object that is left open would let a producer send what no contract mentions."""
    for schema in objects_in(event_contract(name).schema):
        assert schema["additionalProperties"] is False
        assert schema["required"] == list(schema["properties"])


def test_the_envelope_is_what_the_chassis_sends() -> None:
    contract = msgspec.json.decode((CONTRACTS / "envelope.json").read_bytes(), type=EnvelopeContract)
    assert_sound(contract)
    for example in contract.examples:
        read = envelope.decode(msgspec.json.encode(example))
        assert msgspec.json.decode(envelope.encode(read)) == example
        assert example["type"] in EVENTS


@pytest.mark.parametrize("service", SERVICES)
def test_every_event_that_a_service_listens_to_has_a_contract_that_names_it(service: str, subscribed: Any) -> None:
    promised = {name for name in EVENTS if service in event_contract(name).consumers}
    patterns = subscribed(service)
    taken = {name for name in EVENTS for pattern in patterns if fnmatchcase(name, pattern)}

    assert taken == promised
    for pattern in patterns:
        assert any(fnmatchcase(name, pattern) for name in EVENTS), f"no contract for {pattern}"


@pytest.mark.parametrize("service", SERVICES_WITH_DATABASE)
def test_a_service_takes_each_event_from_its_producer_alone(service: str) -> None:
    promised = [event_contract(name) for name in EVENTS if service in event_contract(name).consumers]
    owners = getattr(importlib.import_module(f"{service}.app"), "OWNERS", {})
    producers = {
        name.partition(".")[0]: event_contract(name).producer
        for name in EVENTS
        if service in event_contract(name).consumers and event_contract(name).producer != "chassis"
    }
    assert promised or not owners
    assert owners == producers


def test_a_family_of_types_has_one_producer() -> None:
    producers: dict[str, set[str]] = {}
    for name in EVENTS:
        producers.setdefault(name.partition(".")[0], set()).add(event_contract(name).producer)
    assert all(len(found) == 1 for found in producers.values())
    assert {family for family, (producer,) in producers.items() if producer == "chassis"} == set(SAID_BY_ALL)


@pytest.mark.parametrize("name", CALLS)
def test_every_call_is_answered_by_a_route_of_its_producer(name: str, built: Callable[[str], Litestar]) -> None:
    contract = call_contract(name)
    routes = {
        (method, without_names(route.path_format))
        for route in built(contract.producer).routes
        if isinstance(route, HTTPRoute)
        for method in route.methods
    }
    assert (contract.method, without_names(contract.path)) in routes


def objects_in(schema: Any) -> list[dict[str, Any]]:
    if isinstance(schema, dict):
        own = [schema] if "properties" in schema else []
        return own + [found for value in schema.values() for found in objects_in(value)]
    return [found for item in schema for found in objects_in(item)] if isinstance(schema, list) else []


def without_names(path: str) -> str:
    """`/orders/{order_id}` and `/orders/{id}` are the same path."""
    return "/".join("{}" if step.startswith("{") else step for step in path.split("/"))


@pytest.fixture
def subscribed(built: Callable[[str], Litestar], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """`subscribed("orders")` are the types, and patterns of types, that the consumers of that service ask for."""
    types: list[str] = []
    construct = Consumer.__init__

    def note(self: Consumer, **arguments: Any) -> None:
        types.extend(arguments["types"])
        construct(self, **arguments)

    def of(service: str) -> list[str]:
        monkeypatch.setattr(Consumer, "__init__", note)
        built(service)
        return types

    return of
