"""The headers for browsers and caches in every answer, of Envoy and of services."""

import contextlib

import pytest


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/products", 200),
        ("GET", "/health", 200),
        ("GET", "/api/orders", 401),
        ("GET", "/nothing", 404),
        ("GET", "/api/orders%2f1", 400),
    ],
)
def test_an_answer_is_kept_by_no_cache_and_its_type_is_not_guessed(gateway, method, path, status):
    answer = gateway.ask(method, path)

    assert answer.status == status
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "strict-transport-security" not in answer.headers


def test_what_is_not_even_http_is_answered_so_too(gateway):
    heard = gateway.say(b"nonsense\r\n\r\n").lower()

    assert heard.count(b"x-content-type-options: nosniff") == 1
    assert heard.count(b"cache-control: no-store") == 1


def test_a_service_that_is_away_is_not_remembered_by_caches(start_gateway):
    answer = start_gateway(missing=("catalog",)).ask("GET", "/api/products")

    assert answer.status == 503
    assert answer.headers["cache-control"] == "no-store"


def test_what_a_service_says_of_keeping_its_answer_stays(gateway, reply):
    def keys(handler):
        handler.send_response(200)
        for name, value in [
            ("content-type", "application/json"),
            ("cache-control", "public, max-age=60"),
            ("x-content-type-options", "nosniff"),
            ("content-length", "2"),
        ]:
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(b"{}")

    gateway.services["users"].answer = keys
    answer = gateway.ask("GET", "/.well-known/jwks.json")

    assert answer.headers["cache-control"] == "public, max-age=60"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_connection_without_a_request_is_closed(start_gateway, quick_limits):
    gateway = start_gateway(limits=quick_limits(idle_s=0.5))
    with gateway.connect() as fresh, gateway.connect() as kept:
        kept.sendall(b"GET /health HTTP/1.1\r\nhost: shop\r\n\r\n")
        assert kept.recv(65_536).startswith(b"HTTP/1.1 200 ")
        for connection in (fresh, kept):
            connection.settimeout(10)  # One that has had a request is drained for five seconds first.
            assert connection.recv(1) == b"", "the gateway closes it"


def test_connections_without_a_request_end_within_seconds_when_they_take_much_memory(start_gateway, quick_limits):
    # More than half of it is taken at rest.
    gateway = start_gateway(limits=quick_limits(idle_s=600, heap_mib=8))
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(gateway.connect()) for _ in range(20)]
        for connection in connections:
            connection.settimeout(20)
            assert connection.recv(1) == b"", "the gateway closes it"
    assert gateway.is_up()


def test_as_many_connections_as_there_may_be_keep_others_out_only_until_they_end(
    start_gateway, quick_limits, eventually
):
    gateway = start_gateway(limits=quick_limits(idle_s=1, connections=20))
    with contextlib.ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(gateway.connect())
        eventually(gateway.is_up)
