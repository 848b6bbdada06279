"""What a client hears when a service is away, slow or broken, and that nothing is done twice."""

import json
import threading
import time

import pytest

from cartwright.launcher.envoy import Limits

ID = "0198c5f0-1111-7000-8000-000000000001"


@pytest.fixture(scope="module")
def without_orders(start_gateway, eventually):
    gateway = start_gateway(missing=("orders",))
    eventually(lambda: gateway.ask_signed_in("GET", "/api/cart").json["code"] == "unavailable")
    return gateway


def hang_up(handler):
    handler.close_connection = True
    handler.connection.close()


def test_a_service_that_is_away_is_unavailable_and_the_others_are_not(without_orders):
    answer = without_orders.ask_signed_in("POST", "/api/orders", body=b"{}")

    assert (answer.status, answer.json["status"], answer.json["code"]) == (503, 503, "unavailable")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "1"
    assert answer.json["correlation_id"] == answer.headers["x-request-id"]
    assert without_orders.ask("GET", "/api/products").status == 200


def test_a_service_that_comes_back_is_found_at_once(start_gateway, start_fake, eventually):
    gateway = start_gateway()
    port = gateway.services["catalog"].port
    gateway.services["catalog"].stop()
    for _ in range(20):
        assert gateway.ask("GET", "/api/products").status == 503
    gateway.services["catalog"] = start_fake("catalog", port=port)

    assert gateway.ask("GET", "/api/products").status == 200


def test_a_purchase_whose_answer_is_lost_is_not_sent_again(gateway):
    gateway.services["orders"].answer = hang_up
    answer = gateway.ask_signed_in("POST", "/api/orders", body=b"{}")

    assert (answer.status, answer.json["code"]) == (503, "unavailable")
    assert len(gateway.requests()) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_failed_purchase_is_not_sent_again_even_if_the_client_asks_the_gateway_to(gateway, reply, status):
    gateway.services["orders"].answer = lambda handler: reply(handler, status, "{}")
    fields = {"x_envoy_retry_on": "5xx,reset", "x_envoy_max_retries": "3", "x_envoy_upstream_rq_timeout_ms": "60000"}

    assert gateway.ask_signed_in("POST", "/api/orders", body=b"{}", **fields).status == status
    assert len(gateway.requests()) == 1


@pytest.mark.parametrize("status", [401, 403, 404, 409, 413, 422, 429, 500, 503])
def test_a_refusal_by_a_service_is_passed_on_as_it_is(gateway, reply, status):
    problem = json.dumps({"code": "out_of_stock", "status": status})
    gateway.services["orders"].answer = lambda handler: reply(handler, status, problem, "application/problem+json")
    answer = gateway.ask_signed_in("POST", "/api/orders", body=b"{}")

    assert (answer.status, answer.body) == (status, problem.encode())
    assert "retry-after" not in answer.headers


def test_a_service_that_does_not_answer_is_given_up_on(gateway, eventually):
    done = threading.Event()
    gateway.services["orders"].answer = lambda handler: done.wait(10) and None
    fields = {"x_envoy_upstream_rq_timeout_ms": "60000", "x_request_id": "slow"}
    answer = gateway.ask_signed_in("POST", "/api/orders", body=b"{}", **fields)
    done.set()

    assert (answer.status, answer.json["code"]) == (504, "outcome_unknown")
    assert len(gateway.requests()) == 1
    line = eventually(lambda: [line for line in gateway.access_log() if line["correlation_id"] == "slow"])[0]
    assert line["details"] == "response_timeout"


def test_a_stream_outlasts_the_time_that_an_answer_may_take(gateway):
    def stream(handler):
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream")
        handler.send_header("connection", "close")
        handler.end_headers()
        for number in range(4):
            handler.wfile.write(f"data: {number}\n\n".encode())
            handler.wfile.flush()
            time.sleep(0.4)
        handler.close_connection = True

    gateway.services["orders"].answer = stream
    answer = gateway.ask_signed_in("GET", f"/api/orders/{ID}/stream")

    assert answer.body == b"data: 0\n\ndata: 1\n\ndata: 2\n\ndata: 3\n\n"
    assert "x-deadline-ms" not in gateway.requests()[0]["headers"]


def test_a_stream_that_falls_silent_is_ended(gateway):
    done = threading.Event()

    def stream(handler):
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream")
        handler.send_header("connection", "close")
        handler.end_headers()
        handler.wfile.write(b"data: 0\n\n")
        handler.wfile.flush()
        done.wait(10)
        handler.close_connection = True

    gateway.services["orders"].answer = stream
    fields = f"host: shop\r\nauthorization: Bearer {gateway.issuer.token()}"
    heard = gateway.say(f"GET /api/orders/{ID}/stream HTTP/1.1\r\n{fields}\r\n\r\n".encode())
    done.set()

    assert b"data: 0" in heard


def test_replicas_share_the_work_and_a_dead_one_is_passed_over(start_gateway, start_fake, eventually):
    first, second = start_fake("catalog"), start_fake("catalog")
    gateway = start_gateway(replicas={"catalog": [first, second]})
    for _ in range(40):
        assert gateway.ask("GET", "/api/products").status == 200
    assert first.requests
    assert second.requests

    second.stop()
    assert {gateway.ask("POST", "/api/products", token=gateway.issuer.token()).status for _ in range(20)} == {200}
    first.stop()


@pytest.mark.parametrize("readiness", [503, None], ids=["says so", "is frozen"])
def test_a_replica_that_is_not_ready_is_passed_over_until_it_is(start_gateway, start_fake, eventually, readiness):
    first, second = start_fake("catalog"), start_fake("catalog")
    gateway = start_gateway(replicas={"catalog": [first, second]})

    def are_asked() -> list[bool]:
        for fake in (first, second):
            fake.requests.clear()
        for _ in range(6):
            assert gateway.ask("GET", "/api/products").status == 200
        return [bool(fake.requests) for fake in (first, second)]

    eventually(lambda: are_asked() == [True, True])
    second.readiness = readiness
    eventually(lambda: are_asked() == [True, False])
    second.readiness = 200
    eventually(lambda: are_asked() == [True, True])


def test_replicas_of_which_none_is_ready_say_themselves_what_is_the_matter(
    start_gateway, start_fake, eventually, reply
):
    replicas = [start_fake("catalog"), start_fake("catalog")]
    gateway = start_gateway(replicas={"catalog": replicas})
    problem = json.dumps({"code": "database_unavailable"})
    for replica in replicas:
        replica.readiness = 503
        replica.answer = lambda handler: reply(handler, 503, problem, "application/problem+json")
    # Long enough for all ways in which one could be ejected.
    for _ in range(60):
        assert gateway.ask("GET", "/api/products").json["code"] == "database_unavailable"
        time.sleep(0.05)
    for replica in replicas:
        replica.readiness, replica.answer = 200, None
    assert [gateway.ask("GET", "/api/products").status for _ in range(4)] == [200] * 4
    for replica in replicas:
        replica.requests.clear()

    def both_are_asked() -> bool:
        gateway.ask("GET", "/api/products")
        return all(replica.requests for replica in replicas)

    eventually(both_are_asked, 4)


def test_open_streams_do_not_take_the_connections_of_purchases(start_gateway, reply, eventually):
    gateway = start_gateway(limits=Limits(answer_s=2, upstream_connections=2))
    eventually(lambda: gateway.ask_signed_in("GET", "/api/cart").status == 200)
    gateway.forget()
    done = threading.Event()

    def stream(handler):
        if handler.path.endswith("/stream"):
            handler.send_response(200)
            handler.send_header("content-type", "text/event-stream")
            handler.send_header("connection", "close")
            handler.end_headers()
            done.wait(10)
            handler.close_connection = True
        else:
            reply(handler, 200, "{}")

    gateway.services["orders"].answer = stream
    listeners = [gateway.connect() for _ in range(2)]
    for listener in listeners:
        fields = f"host: shop\r\nauthorization: Bearer {gateway.issuer.token()}"
        listener.sendall(f"GET /api/orders/{ID}/stream HTTP/1.1\r\n{fields}\r\n\r\n".encode())
    eventually(lambda: len(gateway.requests()) == 2)

    assert gateway.ask_signed_in("POST", "/api/orders", body=b"{}").status == 200
    done.set()
    for listener in listeners:
        listener.close()
