"""What orders says is what it has promised in `contracts/`, and it understands what others have promised.

The fakes of the other tests are held to the same promises here: what they answer has to fit the contract.
"""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from services.orders.tests.orders_buyer import Buyer
from services.orders.tests.orders_fakes import FakeCatalog, FakePayments, FakeUsers

from orders import consumed_events
from orders.app import OWNERS
from orders.clients import catalog as catalog_client
from orders.clients import compensations
from orders.clients import payments as payments_client
from orders.clients import users as users_client
from orders.workers import consumer

CONTRACTS = Path(__file__).parents[3] / "contracts"
CALLS = {
    "catalog.reservations": (catalog_client.Reservations, catalog_client.ReservationAnswers),
    "catalog.reservations-release": (compensations.Undos, compensations.UndoAnswers),
    "catalog.products-lookup": (catalog_client.LookupProducts, catalog_client.KnownProducts),
    "payments.authorize": (payments_client.PaymentRequests, payments_client.PaymentAnswers),
    "payments.void": (compensations.Undos, compensations.UndoAnswers),
    "users.lookup": (users_client.LookupUsers, users_client.KnownUsers),
}
FAKED = {
    "/reservations": "catalog.reservations",
    "/reservations/release": "catalog.reservations-release",
    "/products/lookup": "catalog.products-lookup",
    "/payments": "payments.authorize",
    "/payments/void": "payments.void",
    "/users/lookup": "users.lookup",
}


def contract(kind: str, name: str) -> dict[str, Any]:
    return dict(json.loads((CONTRACTS / kind / f"{name}.json").read_text()))


def check(value: Any, schema: dict[str, Any]) -> None:
    jsonschema.validate(value, schema, format_checker=jsonschema.FormatChecker())


def consumed(kind: str) -> set[str]:
    return {
        path.stem for path in (CONTRACTS / kind).glob("*.json") if "orders" in json.loads(path.read_text())["consumers"]
    }


def with_unknown_members(value: Any) -> Any:
    """As a newer producer might say it: each object has a member more, but for money, which is closed."""
    if isinstance(value, dict) and set(value) == {"amount", "currency"}:
        return value
    if isinstance(value, dict):
        return {key: with_unknown_members(item) for key, item in value.items()} | {"added_later": 1}
    return [with_unknown_members(item) for item in value] if isinstance(value, list) else value


@pytest.fixture
async def everything_said(
    start_orders: Any, make_buyer: Callable[..., Buyer], catalog: FakeCatalog, payments: FakePayments, rows: Any
) -> list[tuple[str, Any]]:
    """The events of orders that went every way there is."""
    base_url = await start_orders(deadline_s=0.6, wait_s=0.2)
    buyer, administrator = make_buyer(base_url), make_buyer(base_url, ["customer", "admin"])
    product = catalog.add(3, "0.10")
    await buyer.buy((product, 2), (catalog.add(1, "1234567.89"), 1))
    await buyer.buy((product, 2))
    await buyer.buy((product, 1), payment_method="pm_card_chargeDeclined")
    _, shipped, _ = await buyer.buy((product, 1))
    await administrator.call("POST", f"/orders/{shipped['id']}/ship")
    catalog.stock[product] = 5
    _, cancelled, _ = await buyer.buy((product, 1))
    await buyer.call("POST", f"/orders/{cancelled['id']}/cancel")
    payments.always["/payments"] = lambda _request, _work: asyncio.sleep(0, _unavailable())
    _, late, _ = await buyer.buy((product, 1))
    await buyer.wait_for_status(late["id"], "cancelled")
    return [(row["type"], json.loads(row["data"])) for row in await rows("SELECT type, data FROM journal")]


def _unavailable() -> Any:
    from aiohttp import web

    return web.json_response({"status": 503, "code": "unavailable"}, status=503)


async def test_every_event_is_as_promised(everything_said: list[tuple[str, Any]]) -> None:
    for type_, data in everything_said:
        promise = contract("events", type_)
        assert promise["producer"] == "orders"
        check(data, promise["schema"])
    endings = {(d["status"], d["was_confirmed"], d["told"]) for t, d in everything_said if t == "order.cancelled"}
    assert endings == {("refused", False, True), ("cancelled", True, False), ("cancelled", False, False)}
    promised = {path.stem for path in (CONTRACTS / "events").glob("order.*.json")}
    assert {type_ for type_, _ in everything_said} == promised


async def test_what_is_asked_of_others_and_what_the_fakes_answer_is_as_promised(
    everything_said: Any, buyer: Buyer, catalog: FakeCatalog, payments: FakePayments, users: FakeUsers
) -> None:
    await buyer.call("PUT", f"/cart/items/{catalog.add(1)}", {"quantity": 1})
    asked = [*catalog.calls, *payments.calls, *users.calls]
    for path, name in FAKED.items():
        bodies = [body for called, body in asked if called == path]
        assert bodies, f"no test has called {path}"
        for body in bodies:
            check(body, contract("http", name)["request"]["schema"])
    for fake, path, answers in [
        (catalog, "/reservations", catalog._reserve_all),
        (catalog, "/reservations/release", catalog._release_all),
        (catalog, "/products/lookup", catalog._look_up),
        (payments, "/payments", payments._authorize_all),
        (payments, "/payments/void", payments._void_all),
        (users, "/users/lookup", users._look_up),
    ]:
        for called, body in list(fake.calls):
            if called == path:
                check(answers(body), contract("http", FAKED[path])["response"]["schema"])


async def test_an_order_reads_as_promised(buyer: Buyer, catalog: FakeCatalog) -> None:
    _, order, _ = await buyer.buy((catalog.add(3), 1))
    _, cancelled, _ = await buyer.call("POST", f"/orders/{order['id']}/cancel")

    for shown in (order, cancelled):
        check(shown, contract("http", "orders.order")["response"]["schema"])


def test_every_call_that_orders_consumes_is_known_here() -> None:
    assert consumed("http") - {"users.signing-keys"} == set(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_what_others_promise_to_answer_is_understood(name: str) -> None:
    question, answer = CALLS[name]
    promise = contract("http", name)
    for example in promise["response"]["examples"]:
        msgspec.convert(example, answer)
        msgspec.convert(with_unknown_members(example), answer)
    for example in promise["request"]["examples"]:
        assert json.loads(msgspec.json.encode(msgspec.convert(example, question))) == example


def test_every_event_that_orders_hears_is_known_here() -> None:
    assert consumed("events") == set(consumer.TYPES)


def test_every_event_that_orders_hears_is_taken_from_its_producer() -> None:
    """Or the broker would drop it as one that is not of its owner."""
    assert {type_.split(".")[0]: contract("events", type_)["producer"] for type_ in consumer.TYPES} == OWNERS


@pytest.mark.parametrize("type_", consumer.TYPES)
def test_what_others_promise_to_say_is_understood(type_: str) -> None:
    shape: type = consumed_events.UserDeleted if type_ == "user.deleted" else consumed_events.UserChanged
    if type_ in consumer.PAYMENTS:
        shape = consumed_events.PaymentEvent
    for example in contract("events", type_)["examples"]:
        msgspec.convert(example, shape)
        msgspec.convert(with_unknown_members(example), shape)
