"""What the reference at /docs offers to clients is what the gateway lets in, and nothing else.

The reference is made from the services' own documents and the gateway has a list of its own: here they meet.
"""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from litestar import Litestar

from cartwright.launcher.envoy import Address, Gateway, render
from cartwright.launcher.layout import SERVICES
from storefront.domain.openapi import public_document
from storefront.domain.reference import service_reference

SOME_ID = "0198c2a7-5d10-7e21-b2c3-4d5e6f708191"


@pytest.fixture(scope="module")
def gateway_routes() -> list[dict[str, Any]]:
    """The routes of the gateway, in the order in which it tries them."""
    nowhere = Address("127.0.0.1", 1)
    gateway = Gateway(listen=nowhere, admin=nowhere, upstreams={name: [nowhere] for name in SERVICES})
    listener = yaml.safe_load(render(gateway))["static_resources"]["listeners"][0]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    return [route for host in manager["route_config"]["virtual_hosts"] for route in host["routes"]]


def service_behind(method: str, path: str, routes: list[dict[str, Any]]) -> str | None:
    """The service that the gateway sends a request to, or None when it answers itself that there is no such thing."""
    address = re.sub(r"\{[^}]+\}", SOME_ID, path)
    for route in routes:
        match = route["match"]
        expression = match["safe_regex"]["regex"] if "safe_regex" in match else re.escape(match.get("path", ""))
        methods = [header["string_match"]["safe_regex"]["regex"] for header in match.get("headers", ())]
        if not re.fullmatch(expression, address):
            continue
        if all(re.fullmatch(allowed, method) for allowed in methods):
            return str(route.get("route", {}).get("cluster", "")).removesuffix("_streams") or None
    return None


@pytest.mark.parametrize("service", SERVICES)
def test_every_operation_on_the_reference_page_is_routed_to_its_service(
    service: str, built: Callable[[str], Litestar], gateway_routes: list[dict[str, Any]]
) -> None:
    operations = service_reference(service, public_document(document_of(built(service)))).operations

    assert operations
    astray = [
        f"{operation.method} {operation.path}"
        for operation in operations
        if service_behind(operation.method, operation.path, gateway_routes) != service
    ]
    assert not astray, "shown to clients, but not routed: mark it internal, or give the gateway a route"


@pytest.mark.parametrize("service", SERVICES)
def test_every_operation_on_the_reference_page_has_a_summary_of_its_own(
    service: str, built: Callable[[str], Litestar]
) -> None:
    """Without one the page shows the name of the handler, such as `GetProducts`."""
    operations = service_reference(service, public_document(document_of(built(service)))).operations

    named_by_handler = [
        f"{operation.method} {operation.path}"
        for operation in operations
        if re.fullmatch(r"([A-Z][a-z]+){2,}", operation.summary)
    ]
    assert named_by_handler == []


@pytest.mark.parametrize("service", SERVICES)
def test_no_internal_operation_is_routed(
    service: str, built: Callable[[str], Litestar], gateway_routes: list[dict[str, Any]]
) -> None:
    internal = [
        (method.upper(), f"/api{path}")
        for path, item in document_of(built(service))["paths"].items()
        for method, told in item.items()
        if isinstance(told, dict) and told.get("x-internal")
    ]
    assert not [call for call in internal if service_behind(*call, gateway_routes)]


def document_of(app: Litestar) -> Any:
    """The OpenAPI document as a client gets it: plain JSON."""
    return json.loads(json.dumps(app.openapi_schema.to_schema()))
