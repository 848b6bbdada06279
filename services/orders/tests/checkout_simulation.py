"""A world for the real checkout in which nothing happens by itself: replicas of orders make calls, and the test
decides which call is answered next, and how. Time is simulated, and nothing leaves the process.

Real are the saga, its runner and steps, the record, the sweeper, and the use cases that place, cancel and ship. Catalog
and payments are the fakes of the other tests, which contract tests hold to what the real ones promise; the table of
orders is `simulated_store`, held to the real one as well. Every await that would leave the process is a `Question`.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial
from types import SimpleNamespace
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import pytest
from services.orders.tests import simulated_carts, simulated_store
from services.orders.tests.orders_fakes import FakeCatalog, FakePayments
from services.orders.tests.simulated_store import Table
from services.orders.tests.simulated_time import SimulatedLoop

from chassis.persistence.database import DatabaseUnavailable
from chassis.problems import OutcomeUnknown, Unavailable
from chassis.saga import Runner
from orders import buy_carts, cancel_order, checkout, order_batcher, place_order, saga_store, ship_order
from orders.checkout import CHECKOUT, Participants
from orders.clients.catalog import Catalog
from orders.clients.payments import Payments
from orders.consumed_events import UserDeleted
from orders.domain.order import Customer, Line, NewOrder, Order, OrderEvent, Status
from orders.order_batcher import OrderBatcher
from orders.saga_store import OrderSagaStore
from orders.waiters import Waiters
from orders.workers import consumer, sweeper
from orders.workers.sweeper import Sweeper

LEASE_S, DEADLINE_S, WAIT_S = 5.0, 30.0, 2.0
BUYER = Customer(UUID(int=1), "Ada", "ada@example.com")
ResultT = TypeVar("ResultT")


class Fate(Enum):
    """What becomes of a question, and of its answer. A call that was lost is under way, and may arrive later."""

    ANSWERED = "answered"
    LOST = "lost before it arrived"
    ANSWER_LOST = "acted upon, and the answer lost; a call may arrive once more"
    LOST_AND_ASKED_AGAIN = "lost, and asked again before anybody hears of it"
    ANSWER_LOST_AND_ASKED_AGAIN = "acted upon, the answer lost, and asked again before anybody hears of it"
    NOT_KNOWN = "acted upon; but when payments was asked, it says that it does not know"


_ACTS = {Fate.ANSWERED, Fate.ANSWER_LOST, Fate.ANSWER_LOST_AND_ASKED_AGAIN, Fate.NOT_KNOWN}
_ASKS_AGAIN = {Fate.LOST_AND_ASKED_AGAIN, Fate.ANSWER_LOST_AND_ASKED_AGAIN}


@dataclass(eq=False)
class Question:
    """What a replica waits for: a call of a peer, or a transaction of its own database."""

    replica: "Replica"
    name: str
    act: Callable[[], Any]
    answer: "asyncio.Future[Any]"
    is_call: bool


@dataclass
class Told:
    """What a client heard of an order, and when: an order as it stood, a refusal, or what was no answer."""

    act: str
    order: Order | None = None
    refusal: Exception | None = None


@dataclass
class Client:
    """The purchase of one order, and all that was asked and told about it."""

    new: NewOrder
    told: list[Told] = field(default_factory=list)
    purchases: int = 0
    """How often it was asked for, with the same key."""
    asked_to_cancel: bool = False


class World:
    """Two replicas of orders, one database, one catalog, one payments; and what clients were told."""

    def __init__(self, *, stock: int) -> None:
        self.loop = SimulatedLoop()
        self.table = Table(self.loop.now)
        self.catalog, self.payments = FakeCatalog(), FakePayments()
        self.product = self.catalog.add(stock, "10.00")
        self.put_in = stock
        self.questions: list[Question] = []
        self.never_answered: list[Question] = []
        """Those of processes that have died. Kept, since what waits for them would be collected as garbage."""
        self.strays: list[Callable[[], Any]] = []
        """Calls that are under way though no request waits for them any more: they arrive late, and again."""
        self.refused: set[tuple[str, str]] = set()
        self.changed_minds: set[str] = set()
        """Orders to which a peer said no, and to a later or repeated question yes, since the shop had changed."""
        self.captured_by_hand: set[str] = set()
        self.clients: list[Client] = []
        self.fillings = 0
        """How often the customer has filled the cart: each time with another quantity, so that it is known again."""
        self.dropped: set[int] = set()
        """The quantities of the fillings that the customer has taken out again."""
        self.was_emptied_since = False
        """Whether the customer has emptied the cart since the last filling, be it of nothing."""
        self.confirmed_before_deletion: set[UUID] | None = None
        """Orders that were confirmed when the account was deleted; None while it is there."""
        self.ids = 1_000
        self._patches = pytest.MonkeyPatch()
        self._patch()
        self.replicas = [Replica(self), Replica(self)]

    def _patch(self) -> None:
        for module in (
            *(checkout, saga_store, sweeper, order_batcher, place_order),
            *(buy_carts, cancel_order, ship_order, consumer),
        ):
            self._patches.setattr(module, "store", SIMULATED_STORE)
        for module in (saga_store, place_order):
            self._patches.setattr(module, "datetime", self.loop)
        for module in (saga_store, cancel_order, ship_order):
            self._patches.setattr(module, "journal", SimpleNamespace(append=_append))
            self._patches.setattr(module, "events", SimpleNamespace(journal_events=list))

    def close(self) -> None:
        self.loop.close()
        self._patches.undo()

    def new_order(self, key: str, *lines: Line, payment_method: str | None = None) -> NewOrder:
        """A purchase of `lines`, or of the cart."""
        return NewOrder(
            id=self.next_id(),
            user_id=BUYER.id,
            lines=lines,
            payment_method=payment_method,
            expected_total_minor=None,
            expected_currency=None,
            from_cart=not lines,
            answer_later=False,
            idempotency_key=key,
            fingerprint=key.encode(),
            correlation_id="c",
            traceparent=None,
        )

    def next_id(self) -> UUID:
        self.ids += 1
        return UUID(int=self.ids)

    # What replicas ask

    async def ask(self, replica: "Replica", name: str, act: Callable[[], Any], *, is_call: bool) -> Any:
        """The answer of a peer or of the database. Raises `Lost`."""
        while True:
            question = Question(replica, name, act, self.loop.create_future(), is_call)
            is_alive = replica in self.replicas
            (self.questions if is_alive else self.never_answered).append(question)
            answer = await question.answer
            if answer is not ASK_AGAIN:
                return answer

    def decide(self, question: Question, fate: Fate) -> None:
        """Let the question meet its fate, and the replica go on as far as it can."""
        self.questions.remove(question)
        answer = question.act() if fate in _ACTS else None
        if fate is Fate.NOT_KNOWN and question.name.startswith("/payments"):
            unknown = [{"order_id": item["order_id"], "outcome": "unknown"} for item in answer["items"]]
            question.answer.set_result({"items": unknown})
        elif fate in {Fate.ANSWERED, Fate.NOT_KNOWN}:
            question.answer.set_result(answer)
        else:
            if question.is_call:
                self.strays.append(question.act)
            if fate in _ASKS_AGAIN:
                question.answer.set_result(ASK_AGAIN)
            else:
                question.answer.set_exception(Lost())
        self.loop.run_for(0)

    def serve(self, path: str, asked: Any) -> Any:
        """The answer of catalog or payments. Notes of whom it was said no first and yes later."""
        match path:
            case "/reservations":
                answers = self.catalog._reserve_all(asked)
            case "/reservations/release":
                answers = self.catalog._release_all(asked)
            case "/payments":
                known = [item for item in asked["items"] if item["payment_method"] != "pm_never_answers"]
                told = {item["order_id"]: item for item in self.payments._authorize_all({"items": known})["items"]}
                answers = {
                    "items": [
                        told.get(item["order_id"], {"order_id": item["order_id"], "outcome": "unknown"})
                        for item in asked["items"]
                    ]
                }
            case "/payments/void":
                answers = self.payments._void_all(asked)
        for item in answers["items"]:
            if item["outcome"] in {"refused", "declined"}:
                self.refused.add((path, item["order_id"]))
            elif (path, item["order_id"]) in self.refused:
                self.changed_minds.add(item["order_id"])
        return answers

    # What happens to replicas

    def crash(self, which: int, *, commits: bool) -> None:
        """Kill a replica where it stands, and start it again. What it has sent is under way; what it was about to
        commit is committed or not."""
        dead = self.replicas[which]
        self.replicas[which] = Replica(self)
        for question in [question for question in self.questions if question.replica is dead]:
            self.questions.remove(question)
            self.never_answered.append(question)
            if question.is_call:
                self.strays.append(question.act)
            elif commits:
                question.act()

    # What clients do

    def buy(self, which: int, client: Client) -> None:
        client.purchases += 1
        replica = self.replicas[which]
        new = replace(client.new, id=self.next_id())
        placing = place_order.place_order(
            replica.database,  # type: ignore[arg-type]
            replica.batcher,
            replica.runner,
            replica.purchases,
            new,
        )
        self._serve(client, "buy", placing)

    def cancel(self, which: int, client: Client) -> None:
        client.asked_to_cancel = True
        replica = self.replicas[which]
        cancelling = cancel_order.cancel_order(
            replica.database,  # type: ignore[arg-type]
            replica.runner,
            replica.cancellations,
            BUYER.id,
            self.order_of(client).id,
            lease_s=LEASE_S,
        )
        self._serve(client, "cancel", cancelling)

    def ship(self, which: int, client: Client) -> None:
        shipping = ship_order.ship_order(self.replicas[which].database, self.order_of(client).id)  # type: ignore[arg-type]
        self._serve(client, "ship", shipping)

    def capture_by_hand(self, client: Client) -> None:
        """An operator takes the money at payments, whatever the order is at."""
        id_ = str(self.order_of(client).id)
        if id_ in self.payments.live():
            self.payments.captured.add(id_)
            self.captured_by_hand.add(id_)

    def fill_cart(self) -> None:
        """Put something into the cart, where it is empty."""
        if self.in_cart() or self.confirmed_before_deletion is not None:
            return
        self.fillings += 1
        self.was_emptied_since = False
        _at_once(simulated_carts.begin_change(self.table, [BUYER.id]))
        assert _at_once(simulated_carts.put(self.table, BUYER.id, Line(self.product, self.fillings), lines_max=1))

    def empty_cart(self) -> None:
        self.dropped |= self.in_cart()
        self.was_emptied_since = True
        _at_once(simulated_carts.begin_change(self.table, [BUYER.id]))
        _at_once(simulated_carts.remove(self.table, [BUYER.id]))

    def in_cart(self) -> set[int]:
        """The quantities of the fillings that are in the cart: none, or one."""
        return set(self.table.cart_items.get(BUYER.id, {}).values())

    def delete_account(self) -> None:
        """The event comes, once."""
        if self.confirmed_before_deletion is not None:
            return
        self.confirmed_before_deletion = {id_ for id_, way in self.table.states.items() if Status.CONFIRMED in way}
        _at_once(consumer.follow_deletion(self.table, [UserDeleted(BUYER.id, 2)]))  # type: ignore[arg-type]

    def order_of(self, client: Client) -> Order:
        """The row of the client's order as it stands."""
        return self.table.rows[self.table.keys[BUYER.id, client.new.idempotency_key][0]]

    def is_placed(self, client: Client) -> bool:
        return (BUYER.id, client.new.idempotency_key) in self.table.keys

    def sweep(self, which: int) -> None:
        async def sweep() -> None:
            with contextlib.suppress(Unavailable):  # As the loop around it does.
                await self.replicas[which].sweeper.run_once()

        self.run(sweep())

    def _serve(self, client: Client, act: str, work: Awaitable[Order]) -> None:
        async def serve() -> None:
            try:
                told = Told(act, order=await work)
            except Exception as refusal:
                told = Told(act, refusal=refusal)
            client.told.append(told)

        self.run(serve())

    def run(self, work: Coroutine[Any, Any, Any]) -> None:
        self.loop.create_task(work)
        self.loop.run_for(0)

    # What there is to see

    def on_their_way(self) -> list[Order]:
        return [order for order in self.table.rows.values() if not order.status.is_final_for_checkout]

    def has_stock(self, order: Order) -> bool:
        return self.catalog.reservations.get(str(order.id), {}).get("outcome") == "reserved"

    def has_money(self, order: Order) -> bool:
        return str(order.id) in self.payments.live()

    # What the relay says

    def say(self, peer: str, position: int) -> None:
        """Deliver one event of the journal to catalog or payments: in any order, and again."""
        said = self.table.journal[position]
        if said.type in {"order.confirmed", "order.cancelled"}:
            (self.catalog if peer == "catalog" else self.payments).hear(said.type, str(said.order_id))


ASK_AGAIN = object()


class Lost(Exception):
    """No answer came."""


class Replica:
    """One process of orders, wired as in `app.py`."""

    def __init__(self, world: World) -> None:
        self.database = database = SimulatedDatabase(world, self)
        catalog = Catalog(SimulatedClient(world, self))  # type: ignore[arg-type]
        payments = Payments(SimulatedClient(world, self))  # type: ignore[arg-type]
        self.purchases, self.cancellations = Waiters(WAIT_S), Waiters(WAIT_S)

        def notify_waiters(order: Order) -> None:
            self.purchases.notify(order)
            self.cancellations.notify(order)

        saga_store = OrderSagaStore(database, self.purchases, lease_s=LEASE_S)  # type: ignore[arg-type]
        participants = Participants(catalog, payments, database)  # type: ignore[arg-type]
        self.runner = Runner(CHECKOUT, participants, saga_store, notify_waiters)
        self.sweeper = Sweeper(database, self.runner, lease_s=LEASE_S, sweep_s=0.25)  # type: ignore[arg-type]
        self.batcher = OrderBatcher(database, None, lease_s=LEASE_S, deadline_s=DEADLINE_S)  # type: ignore[arg-type]


class SimulatedDatabase:
    """The promise of `chassis.persistence.database.Database`: whole transactions, repeated when they were lost."""

    def __init__(self, world: World, replica: Replica) -> None:
        self._world = world
        self._replica = replica

    async def run(self, work: Callable[[Any], Coroutine[Any, Any, ResultT]]) -> ResultT:
        try:
            result: ResultT = await self._world.ask(
                self._replica, "transaction", lambda: _at_once(work(self._world.table)), is_call=False
            )
        except Lost:
            raise DatabaseUnavailable from None
        return result

    read = run_statement = run


class SimulatedClient:
    """`chassis.web.client.ServiceClient` as far as its promise goes: an answer, a definite no, or `OutcomeUnknown`."""

    def __init__(self, world: World, replica: Replica) -> None:
        self._world = world
        self._replica = replica

    async def call(self, _method: str, path: str, result: type[ResultT], *, body: msgspec.Struct, **_: Any) -> ResultT:
        asked = msgspec.json.decode(msgspec.json.encode(body))
        try:
            answer = await self._world.ask(self._replica, path, partial(self._world.serve, path, asked), is_call=True)
        except Lost:
            raise OutcomeUnknown(path) from None
        return msgspec.convert(answer, result)


async def _customers(table: Table, user_ids: list[UUID]) -> dict[UUID, Customer | None]:
    return {user_id: None if user_id in table.deleted else BUYER for user_id in user_ids}


async def _forget(table: Table, users: Sequence[UserDeleted]) -> None:
    table.deleted |= {user.user_id for user in users}


SIMULATED_STORE = SimpleNamespace(
    orders=simulated_store,
    checkout=simulated_store,
    carts=simulated_carts,
    customers=SimpleNamespace(customers=_customers, forget=_forget),
)


async def _append(table: Table, domain_events: Sequence[OrderEvent]) -> None:
    table.append(domain_events)


def _at_once(transaction: Coroutine[Any, Any, ResultT]) -> ResultT:
    """The result of a transaction on the table in memory, which never has to wait."""
    try:
        transaction.send(None)
    except StopIteration as done:
        result: ResultT = done.value
        return result
    raise AssertionError("a transaction waits for something outside the database")
