"""What a request may look like, and what becomes of one that does not: always a problem, never an effect."""

import contextlib
import json
import re
import threading

import pytest

from cartwright.launcher.envoy import Address, Traces

UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def head(gateway, *fields, method="POST", path="/api/orders"):
    lines = [f"{method} {path} HTTP/1.1", "host: shop", f"authorization: Bearer {gateway.issuer.token()}", *fields]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def problem_in(heard):
    status, _, rest = heard.partition(b"\r\n")
    fields, _, body = rest.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in fields.lower()
    problem = json.loads(body)
    assert problem["status"] == int(status.split()[1])
    return problem


def test_a_body_of_64_kib_arrives_whole(gateway):
    answer = gateway.ask_signed_in("POST", "/api/orders", body=b"x" * 65_536)

    assert answer.status == 200
    assert len(gateway.requests()[0]["body"]) == 65_536


def test_a_longer_body_is_refused(gateway):
    heard = gateway.say(head(gateway, "content-length: 65537") + b"x" * 65_537)

    assert problem_in(heard)["code"] == "body_too_large"
    assert heard.startswith(b"HTTP/1.1 413 ")
    assert gateway.requests() == []


def test_a_longer_body_is_refused_in_chunks_too(gateway):
    chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
    heard = gateway.say(head(gateway, "transfer-encoding: chunked") + chunk * 2 + b"1\r\nx\r\n")

    assert problem_in(heard)["code"] == "body_too_large"
    assert gateway.requests() == []


def test_a_body_in_chunks_arrives_whole(gateway):
    heard = gateway.say(head(gateway, "transfer-encoding: chunked", "connection: close") + b"2\r\n{}\r\n0\r\n\r\n")

    assert heard.startswith(b"HTTP/1.1 200 ")
    assert gateway.requests()[0]["body"] == "{}"


def trickle(gateway, start, rest):
    """Send the rest byte by byte, never idle for long, until the gateway has had enough."""
    with gateway.connect() as connection:
        connection.sendall(start)
        connection.settimeout(0.05)
        heard = b""
        for byte in rest:
            with contextlib.suppress(TimeoutError):
                heard = connection.recv(65_536)
                break
            connection.sendall(bytes([byte]))
        return heard


def test_a_body_that_trickles_is_cut_off(gateway):
    heard = trickle(gateway, head(gateway, "content-length: 200"), b"x" * 199)

    assert heard.startswith(b"HTTP/1.1 408 ")
    assert problem_in(heard)["code"] == "request_timeout"
    assert gateway.requests() == []


def test_headers_that_trickle_are_cut_off_sooner(gateway, eventually):
    heard = trickle(gateway, b"GET /api/products HTTP/1.1\r\nhost: shop", b"x" * 199)

    assert heard.startswith(b"HTTP/1.1 408 ")
    assert problem_in(heard)["code"] == "request_timeout"
    eventually(lambda: [line for line in gateway.access_log() if line["details"] == "request_header_timeout"])


def test_headers_that_are_too_large_are_refused(gateway):
    heard = gateway.say(head(gateway, "x-large: " + "x" * 62_000, method="GET"))

    assert heard.startswith(b"HTTP/1.1 431 ")
    assert problem_in(heard)["code"] == "headers_too_large"


def test_too_many_headers_are_refused(gateway):
    heard = gateway.say(head(gateway, *(f"x-many-{number}: x" for number in range(120)), method="GET"))

    assert heard.startswith(b"HTTP/1.1 431 ")
    assert problem_in(heard)["code"] == "headers_too_large"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"BREW /api/products HTTP/1.1\r\nhost: shop\r\n\r\n",
        b"POST /api/users HTTP/1.1\r\nhost: shop\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /api/users HTTP/1.1\r\nhost: shop\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        b"POST /api/users HTTP/1.1\r\nhost: shop\r\ncontent-length: -1\r\n\r\n",
        b"GET /api/products HTTP/1.1\r\n\r\n",
        b"GET /api/products HTTP/1.1\r\nhost: shop\r\nx-bad: a\x00b\r\n\r\n",
    ],
)
def test_malformed_http_is_refused(gateway, request_bytes):
    heard = gateway.say(request_bytes)

    assert re.match(rb"HTTP/1.[01] 4\d\d ", heard)
    assert problem_in(heard)["code"] == "malformed"
    assert gateway.requests() == []


def test_a_connection_is_not_upgraded(gateway):
    heard = gateway.say(head(gateway, "connection: upgrade", "upgrade: websocket", method="GET"))

    assert heard.startswith(b"HTTP/1.1 400 ")
    assert problem_in(heard)["code"] == "upgrade_refused"
    assert gateway.requests() == []


def test_the_client_may_name_its_request(gateway):
    answer = gateway.ask("GET", "/api/products", x_request_id="Order-42_a.b")

    assert answer.headers["x-request-id"] == "Order-42_a.b"
    assert answer.json["headers"]["x-request-id"] == "Order-42_a.b"


def test_a_uuid_of_the_client_stays_as_it_is(gateway):
    given = "7a9f5b1c-3d2e-4f60-8a1b-2c3d4e5f6071"

    assert gateway.ask("GET", "/api/products", x_request_id=given).headers["x-request-id"] == given


@pytest.mark.parametrize("given", [None, "", "a b", 'a"b', "a/b", "\u00e9", "x" * 129])
def test_a_request_without_a_usable_id_gets_one(gateway, given):
    fields = {} if given is None else {"x_request_id": given}
    answer = gateway.ask("GET", "/api/products", **fields)

    assert re.fullmatch(UUID, answer.headers["x-request-id"])
    assert answer.json["headers"]["x-request-id"] == answer.headers["x-request-id"]


def test_no_header_of_the_client_takes_the_place_of_the_check_on_its_id(gateway):
    answer = gateway.ask("GET", "/api/products", x_request_id="a b", x_acceptable_id="c d")

    assert re.fullmatch(UUID, answer.headers["x-request-id"])
    assert "x-acceptable-id" not in answer.json["headers"]


def test_a_refusal_carries_the_id_of_its_request(gateway):
    answer = gateway.ask("GET", "/api/orders", x_request_id="mine")

    assert answer.status == 401
    assert answer.headers["x-request-id"] == answer.json["correlation_id"] == "mine"


def test_tracing_leaves_the_request_id_alone_and_tells_the_services(start_gateway, start_fake, eventually):
    collector = start_fake("collector")
    gateway = start_gateway(traces=Traces(Address("127.0.0.1", collector.port)))
    given = "7a9f5b1c-3d2e-4f60-8a1b-2c3d4e5f6071"
    answer = gateway.ask("GET", "/api/products", x_request_id=given)

    assert answer.headers["x-request-id"] == given
    trace_id = answer.json["headers"]["traceparent"].split("-")[1]
    line = eventually(lambda: [line for line in gateway.access_log() if line["correlation_id"] == given])[0]
    assert line["trace_id"] == trace_id
    for _ in range(5):  # Envoy sends spans by fives, or every five seconds.
        gateway.ask("GET", "/api/products")
    eventually(lambda: collector.requests)
    assert collector.requests[0]["path"] == "/v1/traces"
    collector.stop()


@pytest.mark.parametrize(("ratio", "flag"), [(0.0, "00"), (1.0, "01")])
def test_the_share_decides_what_is_traced_unless_the_client_has(start_gateway, start_fake, ratio, flag):
    collector = start_fake("collector")
    gateway = start_gateway(traces=Traces(Address("127.0.0.1", collector.port), ratio=ratio))

    def flag_of(**headers):
        return gateway.ask("GET", "/api/products", **headers).json["headers"]["traceparent"][-2:]

    assert flag_of() == flag
    assert flag_of(x_client_trace_id="7", x_envoy_force_trace="true") == flag
    for decided in ("00", "01"):
        assert flag_of(traceparent=f"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{decided}") == decided
    collector.stop()


def test_the_trace_of_the_client_is_passed_on(gateway):
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    assert gateway.ask("GET", "/api/products", traceparent=traceparent).json["headers"]["traceparent"] == traceparent


def test_a_service_learns_how_long_the_gateway_waits_whatever_the_client_says(gateway):
    answer = gateway.ask("GET", "/api/products", x_deadline_ms="86400000")

    assert answer.json["headers"]["x-deadline-ms"] == "1000"


def test_answers_do_not_say_what_they_were_made_with(gateway):
    for path in ("/api/products", "/nothing", "/health"):
        headers = gateway.ask("GET", path).headers
        assert "server" not in headers
        assert not [name for name in headers if name.startswith("x-envoy")]


def test_requests_are_logged_as_json_lines(gateway, eventually):
    gateway.ask_signed_in("POST", "/api/orders?secret=x", x_request_id="logged", body=b"{}")
    line = eventually(lambda: [line for line in gateway.access_log() if line["correlation_id"] == "logged"])[0]

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line.pop("timestamp"))
    assert line.pop("duration_ms") >= 0
    assert line.pop("bytes") > 0
    assert line == {
        "level": "info",
        "service": "gateway",
        "event": "request",
        "correlation_id": "logged",
        "method": "POST",
        "path": "/api/orders",
        "status": 200,
        "upstream": "orders",
        "user": "0198c5f0-0000-7000-8000-000000000001",
        "remote_address": "127.0.0.1",
        "response_flags": "-",
        "details": "via_upstream",
    }


def test_many_clients_at_once_are_served(gateway):
    statuses = []
    clients = [
        threading.Thread(target=lambda: statuses.append(gateway.ask_signed_in("GET", "/api/orders").status))
        for _ in range(32)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join(10)

    assert statuses == [200] * 32


def test_a_neighbour_of_the_gateway_is_not_taken_for_a_part_of_the_system(gateway):
    heard = gateway.ask("GET", "/api/products", x_forwarded_for="8.8.8.8", x_envoy_internal="true").json["headers"]

    assert "x-envoy-internal" not in heard
    assert re.fullmatch(r"8\.8\.8\.8,[0-9.]+", heard["x-forwarded-for"])
