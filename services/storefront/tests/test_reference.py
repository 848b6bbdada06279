"""The reference at /docs and its documents: the public operations and all events, without internal operations."""

import re
from typing import Any

import msgspec
import pytest
from httpx import AsyncClient as Client
from jsonschema import Draft202012Validator

from storefront.clients import openapi_documents
from storefront.clients.contracts import read_contracts
from storefront.domain.asyncapi import asyncapi_document
from storefront.domain.contracts import Contracts
from storefront.settings import CONTRACTS

ALL = ("users", "catalog", "orders", "payments", "notifications", "audit", "storefront")


def contracts() -> Contracts:
    return read_contracts(CONTRACTS)


def references_in(part: Any) -> set[str]:
    if isinstance(part, dict):
        own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
        return own.union(*(references_in(value) for value in part.values()))
    return set().union(*(references_in(item) for item in part)) if isinstance(part, list) else set()


def resolves(reference: str, document: Any) -> bool:
    target = document
    for step in reference.removeprefix("#/").split("/"):
        target = target.get(step) if isinstance(target, dict) else None
    return target is not None


async def test_the_page_shows_every_service_and_its_operations_under_api(client: Client) -> None:
    page = (await client.get("/docs")).text

    for name in ALL[:-1]:
        assert f"/api/{name}-things" in page
        assert f"List the {name} things" in page
        assert f'href="/docs/openapi/{name}.json"' in page
    assert "/api/orders/{order_id}/details" in page
    assert "Needs an access token." in page


async def test_the_page_shows_parameters_and_members_with_their_bounds(client: Client) -> None:
    page = (await client.get("/docs")).text

    assert "limit" in page
    assert "at most 100, default 20" in page
    assert "[].price.amount" in page
    assert "string (uuid)" in page


async def test_the_jwks_is_shown_at_the_root_as_its_standard_says(client: Client) -> None:
    page = (await client.get("/docs")).text
    document = (await client.get("/docs/openapi/users.json")).json()

    assert "<code>/.well-known/jwks.json</code>" in page
    assert "/api/.well-known" not in page
    assert document["paths"]["/.well-known/jwks.json"]["servers"] == [{"url": "/"}]


async def test_internal_operations_and_their_shapes_are_omitted(client: Client) -> None:
    page = (await client.get("/docs")).text
    document = (await client.get("/docs/openapi/orders.json")).json()

    assert "Only for services" not in page
    assert "hidden_member" not in page
    assert set(document["paths"]) == {"/orders-things", "/.well-known/jwks.json"}
    assert set(document["paths"]["/orders-things"]) == {"get"}
    assert set(document["components"]["schemas"]) == {"OrdersThing", "Money"}
    assert document["servers"] == [{"url": "/api"}]


@pytest.mark.parametrize("name", ALL)
async def test_each_reference_of_a_document_resolves(name: str, client: Client) -> None:
    document = (await client.get(f"/docs/openapi/{name}.json")).json()

    assert document["openapi"].startswith("3.1")
    assert all(resolves(reference, document) for reference in references_in(document))


async def test_the_storefronts_own_document_has_a_shape_for_each_part(client: Client) -> None:
    document = (await client.get("/docs/openapi/storefront.json")).json()

    assert set(document["paths"]) == {"/orders/{order_id}/details"}
    assert {"OrderDetails", "NotAvailable", "Available", "AvailableProducts"} <= set(document["components"]["schemas"])
    assert document["paths"]["/orders/{order_id}/details"]["get"]["security"] == [{"bearer": []}]


@pytest.mark.parametrize(
    "answer", [b"<html>", {}, [], {"paths": 3}, {"paths": {"/x": 3}}, {"paths": {"/x": {"get": 3}}}]
)
async def test_a_malformed_document_is_shown_as_missing(answer: Any, client: Client, peers: Any) -> None:
    peers["payments"].answers["GET /openapi.json"] = answer

    page = await client.get("/docs")
    document = await client.get("/docs/openapi/payments.json")

    assert page.status_code == 200
    assert "The interface of payments is not available at the moment." in page.text
    assert "/api/catalog-things" in page.text
    assert (document.status_code, document.json()["code"]) == (503, "reference_unavailable")


async def test_services_that_are_down_or_hang_are_marked_and_the_others_are_shown(client: Client, peers: Any) -> None:
    await peers["audit"].stop()
    peers["users"].hangs = True

    page = (await client.get("/docs")).text

    assert "The interface of audit is not available at the moment." in page
    assert "The interface of users is not available at the moment." in page
    assert "/api/catalog-things" in page


async def test_a_document_stays_available_while_its_service_is_down(
    client: Client, peers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openapi_documents, "FRESH_S", 0.0)
    await client.get("/docs")
    await peers["catalog"].stop()

    assert "/api/catalog-things" in (await client.get("/docs")).text


async def test_documents_are_not_fetched_again_for_every_reader(client: Client, peers: Any) -> None:
    for _ in range(5):
        await client.get("/docs")

    assert len([route for route, *_ in peers["catalog"].requests if route == "GET /openapi.json"]) == 1


@pytest.mark.parametrize("file", ["unknown.json", "..json", ".json"])
async def test_the_document_of_an_unknown_service_is_not_found(file: str, client: Client) -> None:
    answer = await client.get(f"/docs/openapi/{file}")

    assert answer.status_code == 404
    assert answer.json()["code"] == "no_such_service"


async def test_every_event_is_on_the_page_and_in_the_asyncapi_document(client: Client) -> None:
    page = (await client.get("/docs")).text
    document = (await client.get("/docs/asyncapi.json")).json()

    types = [event.type for event in contracts().events]
    assert len(types) > 15
    assert list(document["channels"]) == types
    assert all(f'id="event-{type_}"' in page for type_ in types)


def test_each_reference_of_the_asyncapi_document_resolves() -> None:
    document = asyncapi_document(contracts(), "1.0.0")

    assert document["asyncapi"] == "3.0.0"
    assert all(resolves(reference, document) for reference in references_in(document))
    # The names of components and channels may hold these characters and no others.
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for kind in document["components"].values() for name in kind)


def test_the_asyncapi_document_names_producer_and_consumers() -> None:
    operations = asyncapi_document(contracts(), "1.0.0")["operations"]

    assert operations["orders.send.order.confirmed"]["action"] == "send"
    receivers = {name.split(".")[0] for name in operations if name.endswith(".receive.order.confirmed")}
    assert receivers == {"catalog", "payments", "notifications", "audit"}


@pytest.mark.parametrize("event", contracts().events, ids=lambda event: event.type)
def test_examples_conform_to_the_asyncapi_payload_also_with_a_new_member(event: Any) -> None:
    document = asyncapi_document(contracts(), "1.0.0")
    payload = document["components"]["messages"][event.type]["payload"]
    validator = Draft202012Validator({**payload, "components": document["components"]})
    envelope = contracts().envelope.examples[0] | {"type": event.type}

    for example in event.examples:
        validator.validate([envelope | {"data": example | {"added_later": True}}])
        assert not validator.is_valid([envelope | {"data": {"added_later": True}}])
        assert not validator.is_valid([envelope | {"data": example, "type": "another.event"}])


def test_contracts_with_the_same_definition_agree_on_it() -> None:
    definitions: dict[str, Any] = {}
    for event in [contracts().envelope, *contracts().events]:
        for name, definition in event.schema.get("$defs", {}).items():
            assert definitions.setdefault(name, definition) == definition, name
    assert not definitions.keys() & {event.type for event in contracts().events}


def test_a_folder_without_contracts_is_an_error_of_its_setting(tmp_path: Any) -> None:
    with pytest.raises(Exception, match="CONTRACTS_DIR cannot be read"):
        read_contracts(tmp_path)
    (tmp_path / "envelope.json").write_bytes(msgspec.json.encode({"description": 3}))
    with pytest.raises(Exception, match="CONTRACTS_DIR cannot be read"):
        read_contracts(tmp_path)
