"""Which paths lead where, and that no spelling of a path leads to what is internal."""

import pytest

ID = "0198c5f0-1111-7000-8000-000000000001"

ROUTED = [
    ("POST", "/api/users", "users", "/users"),
    ("GET", "/api/users", "users", "/users"),
    ("GET", "/api/users/me", "users", "/users/me"),
    ("PATCH", "/api/users/me", "users", "/users/me"),
    ("DELETE", "/api/users/me", "users", "/users/me"),
    ("GET", "/api/users/me/preferences", "users", "/users/me/preferences"),
    ("PUT", "/api/users/me/preferences", "users", "/users/me/preferences"),
    ("GET", f"/api/users/{ID}", "users", f"/users/{ID}"),
    ("PUT", f"/api/users/{ID}/roles", "users", f"/users/{ID}/roles"),
    ("POST", "/api/auth/token", "users", "/auth/token"),
    ("POST", "/api/auth/sign-out", "users", "/auth/sign-out"),
    ("POST", "/api/auth/keys/rotate", "users", "/auth/keys/rotate"),
    ("GET", "/.well-known/jwks.json", "users", "/.well-known/jwks.json"),
    ("GET", "/api/products", "catalog", "/products"),
    ("GET", "/api/products?q=hub&limit=5", "catalog", "/products?q=hub&limit=5"),
    ("POST", "/api/products", "catalog", "/products"),
    ("GET", f"/api/products/{ID}", "catalog", f"/products/{ID}"),
    ("PATCH", f"/api/products/{ID}", "catalog", f"/products/{ID}"),
    ("DELETE", f"/api/products/{ID}", "catalog", f"/products/{ID}"),
    ("GET", f"/api/products/{ID}/stock-adjustments", "catalog", f"/products/{ID}/stock-adjustments"),
    ("POST", f"/api/products/{ID}/stock-adjustments", "catalog", f"/products/{ID}/stock-adjustments"),
    ("GET", "/api/categories", "catalog", "/categories"),
    ("POST", "/api/categories", "catalog", "/categories"),
    ("GET", "/api/cart", "orders", "/cart"),
    ("DELETE", "/api/cart", "orders", "/cart"),
    ("PUT", f"/api/cart/items/{ID}", "orders", f"/cart/items/{ID}"),
    ("DELETE", f"/api/cart/items/{ID}", "orders", f"/cart/items/{ID}"),
    ("POST", "/api/orders", "orders", "/orders"),
    ("GET", "/api/orders", "orders", "/orders"),
    ("GET", f"/api/orders/{ID}", "orders", f"/orders/{ID}"),
    ("GET", f"/api/orders/{ID}/timeline", "orders", f"/orders/{ID}/timeline"),
    ("POST", f"/api/orders/{ID}/cancel", "orders", f"/orders/{ID}/cancel"),
    ("GET", f"/api/orders/{ID}/stream", "orders", f"/orders/{ID}/stream"),
    ("POST", f"/api/orders/{ID}/ship", "orders", f"/orders/{ID}/ship"),
    ("GET", f"/api/orders/{ID}/details", "storefront", f"/orders/{ID}/details"),
    ("GET", "/api/payment-methods", "payments", "/payment-methods"),
    ("POST", "/api/payment-methods", "payments", "/payment-methods"),
    ("DELETE", f"/api/payment-methods/{ID}", "payments", f"/payment-methods/{ID}"),
    ("GET", f"/api/payments?order_id={ID}", "payments", f"/payments?order_id={ID}"),
    ("GET", f"/api/payments/{ID}", "payments", f"/payments/{ID}"),
    ("GET", f"/api/payments/{ID}/refunds", "payments", f"/payments/{ID}/refunds"),
    ("POST", f"/api/payments/{ID}/refunds", "payments", f"/payments/{ID}/refunds"),
    ("POST", f"/api/payments/{ID}/capture", "payments", f"/payments/{ID}/capture"),
    ("POST", f"/api/payments/{ID}/void", "payments", f"/payments/{ID}/void"),
    ("GET", "/api/ledger", "payments", "/ledger"),
    ("GET", f"/api/notifications?order_id={ID}", "notifications", f"/notifications?order_id={ID}"),
    ("POST", "/api/send", "notifications", "/send"),
    ("GET", "/api/audit/events?type=order.placed", "audit", "/audit/events?type=order.placed"),
    ("GET", "/api/audit/verify", "audit", "/audit/verify"),
    ("GET", "/api/audit/heads?limit=5", "audit", "/audit/heads?limit=5"),
    ("GET", "/api/audit/keys", "audit", "/audit/keys"),
    ("GET", "/", "storefront", "/"),
    ("GET", "/docs", "storefront", "/docs"),
    ("GET", "/docs/openapi/orders.json", "storefront", "/docs/openapi/orders.json"),
    ("GET", "/docs/asyncapi.json", "storefront", "/docs/asyncapi.json"),
    ("GET", "/static/shop.css", "storefront", "/static/shop.css"),
]

INTERNAL = [
    ("POST", "/api/reservations"),
    ("POST", "/api/reservations/release"),
    ("POST", "/api/products/lookup"),
    ("GET", "/api/products/lookup"),
    ("POST", f"/api/products/{ID}/reserve"),
    ("POST", f"/api/products/{ID}/release"),
    ("POST", "/api/payments"),
    ("POST", "/api/payments/void"),
    ("POST", "/api/payments/lookup"),
    ("POST", "/api/users/lookup"),
    ("GET", "/api/metrics"),
    ("GET", "/metrics"),
    ("GET", "/api/ready"),
    ("GET", "/ready"),
    ("GET", "/api/openapi.json"),
    ("GET", "/openapi.json"),
]

# Spellings of internal paths that a careless matcher takes for something else, and a service for the path itself.
TRICKS = [
    "/api/users/%6cookup",
    "/api/users/%6Cookup",
    "/api/users%2flookup",
    "/api/users%2Flookup",
    "/api/users%5clookup",
    "/api/users\\lookup",
    "/api/users/me/../lookup",
    "/api/users/me/%2e%2e/lookup",
    "/api/users/me/%2E./lookup",
    "/api/users/./lookup",
    "/api//users/lookup",
    "//api/users/lookup",
    "/api/users//lookup",
    "/api/users/lookup/",
    "/api/users/lookup?",
    "/api/users/lookup;a=b",
    "/api/users/me;/../lookup",
    "/api/users/lookup%00",
    "/api/users/lookup%20",
    "/api/users/%256cookup",
    "/API/users/lookup",
    "/docs/../api/users/lookup",
    "/docs/%2e%2e/users/lookup",
    "/docs/..%2fusers/lookup",
    "/docs/../users/lookup",
    "/static/../users/lookup",
    "/static//../../users/lookup",
    "/api/cart/items/../../users/lookup",
    "/api/cart/items/%2e%2e",
    "/api/../users/lookup",
    "/users/lookup",
    "http://shop/api/users/lookup",
    "/api/users/lookup#me",
]


@pytest.mark.parametrize(("method", "path", "service", "arrives_as"), ROUTED)
def test_a_public_path_reaches_its_service(gateway, method, path, service, arrives_as):
    answer = gateway.ask_signed_in(method, path)

    assert answer.status == 200
    assert (answer.json["service"], answer.json["method"], answer.json["path"]) == (service, method, arrives_as)


@pytest.mark.parametrize(("method", "path"), INTERNAL)
def test_an_internal_path_is_not_there(gateway, method, path):
    answer = gateway.ask_signed_in(method, path, body=b"{}", content_type="application/json")

    assert answer.status == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["code"] == "not_found"
    assert gateway.requests() == []


@pytest.mark.parametrize("path", TRICKS)
def test_no_spelling_of_a_path_reaches_what_is_internal(gateway, path):
    answer = gateway.ask_signed_in("POST", path, body=b"{}", content_type="application/json")

    assert answer.status in (400, 404)
    assert answer.headers["content-type"] == "application/problem+json"
    assert gateway.requests() == []


@pytest.mark.parametrize("path", TRICKS)
def test_no_spelling_of_a_path_gets_past_the_token(gateway, path):
    answer = gateway.ask("GET", path)

    assert answer.status in (400, 401, 404)
    assert gateway.requests() == []


@pytest.mark.parametrize("path", ["/nothing", "/api", "/api/", "/api/nothing", "/docsfoo", "/static/", "/api/orders/"])
def test_an_unknown_path_is_answered_with_a_problem(gateway, path):
    answer = gateway.ask("GET", path)

    assert answer.status == 404
    assert answer.json == {
        "type": "urn:cartwright:problem:not_found",
        "title": "Not found",
        "status": 404,
        "detail": "There is nothing at this path.",
        "code": "not_found",
        "correlation_id": answer.headers["x-request-id"],
    }


@pytest.mark.parametrize("path", ["/health", "/api/health"])
def test_the_gateway_says_that_it_is_alive(gateway, path):
    answer = gateway.ask("GET", path)

    assert (answer.status, answer.json) == (200, {"status": "ok"})
    assert answer.headers["content-type"] == "application/json"


def test_a_doubled_slash_is_a_slip_of_the_client(gateway):
    assert gateway.ask("GET", "/api//products").json["path"] == "/products"


def test_an_override_of_method_or_path_is_not_heard(gateway):
    answer = gateway.ask_signed_in(
        "GET",
        "/api/users/me",
        x_envoy_original_path="/users/lookup",
        x_http_method_override="DELETE",
        x_original_url="/users/lookup",
    )

    assert (answer.json["method"], answer.json["path"]) == ("GET", "/users/me")
    assert answer.json["headers"]["x-envoy-original-path"] == "/api/users/me"
