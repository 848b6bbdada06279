"""Catalog, payments and users as orders sees them. Contract tests hold them to what the real ones promise."""

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

from aiohttp import web

from cartwright.testkit.service import NO_REVOCATIONS

Fault = Callable[[web.Request, Callable[[], Awaitable[web.Response]]], Awaitable[web.Response]]


async def lose_answer(request: web.Request, work: Callable[[], Awaitable[web.Response]]) -> web.Response:
    """The work is done, and the connection dies before the answer."""
    await work()
    assert request.transport is not None
    request.transport.abort()
    raise asyncio.CancelledError


async def refuse_work(_request: web.Request, _work: Callable[[], Awaitable[web.Response]]) -> web.Response:
    return web.json_response({"status": 503, "code": "unavailable"}, status=503)


async def break_down(_request: web.Request, _work: Callable[[], Awaitable[web.Response]]) -> web.Response:
    return web.Response(status=500, text="a bug")


def answer_after(event: asyncio.Event) -> Fault:
    async def hang(_request: web.Request, work: Callable[[], Awaitable[web.Response]]) -> web.Response:
        await event.wait()
        return await work()

    return hang


class Fake:
    """A peer with faults that can be planted: each is used up by one call to its path."""

    def __init__(self) -> None:
        self.url = ""
        self.faults: dict[str, deque[Fault]] = {}
        self.always: dict[str, Fault] = {}
        self.calls: list[tuple[str, Any]] = []

    def plant(self, path: str, *faults: Fault) -> None:
        self.faults.setdefault(path, deque()).extend(faults)

    def _handler(self, answer: Callable[[Any], Any]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            return await self._handle(request, answer)

        return handle

    async def _handle(self, request: web.Request, answer: Callable[[Any], Any]) -> web.Response:
        body = await request.json() if request.can_read_body else None
        self.calls.append((request.path, body))

        async def work() -> web.Response:
            return web.json_response(answer(body))

        planted = self.faults.get(request.path)
        fault = planted.popleft() if planted else self.always.get(request.path)
        return await (work() if fault is None else fault(request, work))


class FakeCatalog(Fake):
    """Reserves all lines or none, once per order, and keeps tombstones, as the real one promises. A refusal is kept
    nowhere: who asks again may get what has been put in since."""

    def __init__(self) -> None:
        super().__init__()
        self.stock: dict[UUID, int] = {}
        self.price: dict[UUID, str] = {}
        self.currency: dict[UUID, str] = {}
        self.reservations: dict[str, dict[str, Any]] = {}
        self.sold: set[str] = set()
        self.cancelled: set[str] = set()
        self.anomalies: list[str] = []

    def add(self, stock: int, price: str = "10.00", currency: str = "USD") -> UUID:
        product = uuid4()
        self.stock[product], self.price[product], self.currency[product] = stock, price, currency
        return product

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/reservations", self._handler(self._reserve_all))
        app.router.add_post("/reservations/release", self._handler(self._release_all))
        app.router.add_post("/products/lookup", self._handler(self._look_up))
        return app

    def held(self, product: UUID) -> int:
        return sum(
            line["quantity"]
            for reservation in self.reservations.values()
            if reservation["outcome"] == "reserved"
            for line in reservation["lines"]
            if line["product_id"] == str(product)
        )

    def _reserve_all(self, body: Any) -> Any:
        return {"items": [self._reserve(item) for item in body["items"]]}

    def _reserve(self, item: Any) -> dict[str, Any]:
        order_id = item["order_id"]
        if order_id in self.reservations:
            return self.reservations[order_id]
        wanted = [(UUID(line["product_id"]), line["quantity"]) for line in item["lines"]]
        if any(product not in self.stock for product, _ in wanted):
            return self._refused(order_id, "unknown_product")
        currencies = {self.currency[product] for product, _ in wanted}
        if len(currencies) > 1:
            return self._refused(order_id, "mixed_currencies")
        short = [
            {"product_id": str(product), "requested": quantity, "available": self.stock[product]}
            for product, quantity in wanted
            if self.stock[product] < quantity
        ]
        if short:
            return self._refused(order_id, "out_of_stock", shortages=short)
        cents = sum(int(self.price[product].replace(".", "")) * quantity for product, quantity in wanted)
        total = {"amount": f"{cents // 100}.{cents % 100:02}", "currency": currencies.pop()}
        if item["expected_total"] not in (None, total):
            return self._refused(order_id, "price_changed", total=total)
        for product, quantity in wanted:
            self.stock[product] -= quantity
        lines = [
            {
                "product_id": str(product),
                "name": f"Product {product}",
                "quantity": quantity,
                "unit_price": {"amount": self.price[product], "currency": self.currency[product]},
            }
            for product, quantity in wanted
        ]
        self.reservations[order_id] = {"order_id": order_id, "outcome": "reserved", "lines": lines, "total": total}
        return self.reservations[order_id]

    def _refused(self, order_id: str, code: str, shortages: Any = (), total: Any = None) -> dict[str, Any]:
        return {
            "order_id": order_id,
            "outcome": "refused",
            "code": code,
            "detail": code,
            "shortages": list(shortages),
            "total": total,
        }

    def hear(self, type_: str, order_id: str) -> None:
        """An event of orders, as catalog handles it."""
        if type_ == "order.cancelled":
            self.cancelled.add(order_id)
            self.sold.discard(order_id)
            self._release(order_id)
        elif self.reservations.get(order_id, {}).get("outcome") == "reserved":
            self.sold.add(order_id)
        elif order_id not in self.cancelled:
            self.anomalies.append(f"{order_id} was confirmed and holds no stock")

    def _release_all(self, body: Any) -> Any:
        return {"items": [self._undo(item["order_id"]) for item in body["items"]]}

    def _undo(self, order_id: str) -> dict[str, Any]:
        if order_id in self.sold:
            return {"order_id": order_id, "outcome": "sold"}
        self._release(order_id)
        return {"order_id": order_id, "outcome": "released"}

    def _release(self, order_id: str) -> None:
        reservation = self.reservations.get(order_id)
        if reservation is not None and reservation["outcome"] == "reserved":
            for line in reservation["lines"]:
                self.stock[UUID(line["product_id"])] += line["quantity"]
        self.reservations[order_id] = self._refused(order_id, "released")

    def _look_up(self, body: Any) -> Any:
        found = [UUID(product) for product in body["ids"] if UUID(product) in self.stock]
        return {
            "items": [
                {
                    "id": str(product),
                    "sku": "SKU",
                    "name": f"Product {product}",
                    "price": {"amount": self.price[product], "currency": self.currency[product]},
                    "stock": self.stock[product],
                }
                for product in found
            ]
        }


class FakePayments(Fake):
    """Authorizes once per order and keeps tombstones, as the real one promises. An unknown payment method is kept
    nowhere: the buyer may add it and ask again."""

    def __init__(self) -> None:
        super().__init__()
        self.payments: dict[str, dict[str, Any]] = {}
        self.amounts: dict[str, str] = {}
        self.captured: set[str] = set()
        self.refunded: set[str] = set()
        self.cancelled: set[str] = set()
        self.unheard_of = {"pm_unheard_of"}
        self.anomalies: list[str] = []
        self.authorizations = 0

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/payments", self._handler(self._authorize_all))
        app.router.add_post("/payments/void", self._handler(self._void_all))
        return app

    def live(self) -> list[str]:
        """The orders for which money is held or was kept."""
        return [
            order_id
            for order_id, payment in self.payments.items()
            if payment["outcome"] == "authorized" and order_id not in self.refunded
        ]

    def hear(self, type_: str, order_id: str) -> None:
        """An event of orders, as payments handles it; it settles at once."""
        authorized = self.payments.get(order_id, {}).get("outcome") == "authorized"
        if type_ == "order.cancelled":
            self.cancelled.add(order_id)
            if order_id in self.captured:
                self.refunded.add(order_id)
            else:
                self._void(order_id)
        elif authorized:
            self.captured.add(order_id)
        elif order_id not in self.cancelled:
            self.anomalies.append(f"{order_id} was confirmed and has no payment")

    def _authorize_all(self, body: Any) -> Any:
        return {"items": [self._authorize(item) for item in body["items"]]}

    def _authorize(self, item: Any) -> dict[str, Any]:
        order_id, method = item["order_id"], item["payment_method"]
        if order_id in self.payments:
            return self.payments[order_id]
        if method in self.unheard_of:
            return self._refused(order_id, "unknown_payment_method")
        answer = {"order_id": order_id, "outcome": "authorized", "payment_id": str(uuid4())}
        if method == "pm_card_chargeDeclined":
            answer |= {"outcome": "declined", "code": "card_declined", "detail": "The card was declined."}
        self.authorizations += answer["outcome"] == "authorized"
        self.payments[order_id], self.amounts[order_id] = answer, item["amount"]["amount"]
        return answer

    def _refused(self, order_id: str, code: str) -> dict[str, Any]:
        return {"order_id": order_id, "outcome": "refused", "payment_id": None, "code": code, "detail": code}

    def _void_all(self, body: Any) -> Any:
        return {"items": [self._undo(item["order_id"]) for item in body["items"]]}

    def _undo(self, order_id: str) -> dict[str, Any]:
        if order_id in self.captured:
            return {"order_id": order_id, "outcome": "captured"}
        self._void(order_id)
        return {"order_id": order_id, "outcome": "voided"}

    def _void(self, order_id: str) -> None:
        if self.payments.get(order_id, {}).get("outcome") != "declined":
            self.payments[order_id] = self._refused(order_id, "voided")


class FakeUsers(Fake):
    def __init__(self, jwks: str) -> None:
        super().__init__()
        self.people: dict[UUID, dict[str, Any]] = {}
        self.revocations: list[dict[str, Any]] = []
        self._jwks = json.loads(jwks)

    def add(self, user_id: UUID) -> None:
        self.people[user_id] = {
            "id": str(user_id),
            "name": "Ada",
            "email": "ada@example.com",
            "preferences": {"order_emails": True, "payment_emails": True},
            "version": 1,
        }

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/.well-known/jwks.json", self._handler(lambda _: self._jwks))
        app.router.add_get("/revocations", self._handler(lambda _: NO_REVOCATIONS | {"items": self.revocations}))
        app.router.add_post("/users/lookup", self._handler(self._look_up))
        return app

    def _look_up(self, body: Any) -> Any:
        return {"items": [self.people[UUID(user)] for user in body["ids"] if UUID(user) in self.people]}


@contextlib.asynccontextmanager
async def serve(app: web.Application) -> AsyncIterator[str]:
    """The address at which `app` answers, on a free port of this machine."""
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]
    finally:
        await runner.cleanup()
