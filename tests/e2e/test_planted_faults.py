"""The checkers are checked: `cartwright verify` names each fault that is planted, under the promise that it breaks.

The data is that of a real system after real purchases. A fault is planted in transactions that are rolled back, and
the promises are judged from within them: so every test begins with a sound world, and nothing has to be built twice.
"""

import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg
import msgspec
import pytest
from uuid_utils.compat import uuid7

from audit.head_signer import HeadSigner
from audit.record_events import record_events
from audit.store.chain import read_head
from audit.store.signed_heads import insert_statement
from cartwright.launcher.api import Answer, Api
from cartwright.launcher.keys import make_key
from cartwright.launcher.layout import SERVICES_WITH_DATABASE
from cartwright.launcher.system import System
from cartwright.testkit.system import SystemUnderTest
from cartwright.verifier.reads import INVARIANTS, judge
from cartwright.verifier.snapshots import Snapshots
from chassis.messaging import envelope, journal

CAPTURE_S_MAX = 30


@dataclass(frozen=True)
class World:
    """The ids of orders that ended in each possible way."""

    product: str
    confirmed: str
    shipped: str
    cancelled: str
    refunded: str
    out_of_stock: str
    declined: str
    deleted_account: str
    """That of a buyer, with a payment method."""


@pytest.fixture(scope="module")
def world(
    system: SystemUnderTest,
    administrator: Api,
    customer: Api,
    new_customer: Callable[[], Api],
    new_product: Callable[..., str],
    buy: Callable[..., Answer],
) -> World:
    product = new_product(stock=20)

    def order(status: int, quantity: int = 1, **more: Any) -> str:
        answer = buy(customer, {product: quantity}, **more)
        assert answer.status == status, answer.json
        return str(answer.json["id"] if status == 201 else answer.json["order_id"])

    confirmed, shipped, cancelled, refunded = (order(201) for _ in range(4))
    made = World(
        product=product,
        confirmed=confirmed,
        shipped=shipped,
        cancelled=cancelled,
        refunded=refunded,
        out_of_stock=order(409, quantity=1_000),
        declined=order(402, payment_method="pm_card_chargeDeclined"),
        deleted_account=_deleted_account(new_customer(), product, buy),
    )
    assert administrator.post(f"/orders/{shipped}/ship").status == 200
    _captured(administrator, cancelled)  # Else its payment would be voided, and nothing be given back.
    assert customer.post(f"/orders/{cancelled}/cancel").status == 200
    _refund(administrator, refunded)
    verified = system.attempt("verify", "--json", "--wait", "60")
    report = json.loads(verified.stdout)
    assert verified.returncode == 0, report
    assert report["in_flight"] == {}
    return made


def _deleted_account(buyer: Api, product: str, buy: Callable[..., Answer]) -> str:
    user_id = str(buyer.get("/users/me").json["id"])
    assert buyer.post("/payment-methods", {"token": "pm_card_visa", "label": "Mine"}).status == 201
    assert buy(buyer, {product: 1}).status == 201
    assert buyer.call("DELETE", "/users/me").status == 204
    return user_id


def _captured(administrator: Api, order_id: str) -> str:
    """The id of the order's payment, once it was captured."""
    deadline = time.monotonic() + CAPTURE_S_MAX
    while True:
        (payment,) = administrator.get(f"/payments?order_id={order_id}").json["items"]
        if payment["status"] == "captured":
            return str(payment["id"])
        assert time.monotonic() < deadline, payment
        time.sleep(0.1)


def _refund(administrator: Api, order_id: str) -> None:
    """A part of what was paid."""
    amount = {"amount": "10.00", "currency": "USD"}
    payment_id = _captured(administrator, order_id)
    body, key = {"amount": amount, "reason": "scratched"}, {"Idempotency-Key": str(uuid7())}
    answer = administrator.post(f"/payments/{payment_id}/refunds", body, key)
    assert answer.status == 201, answer.json


class Databases:
    """Where faults are planted: by the owners' logins, in transactions that are rolled back."""

    def __init__(self, connections: Mapping[str, Any], world: World, opened: System) -> None:
        self._connections = connections
        self._opened = opened
        self._world = world

    async def execute(self, service: str, statements: str) -> None:
        """`{confirmed}` and its like stand for the ids of the world."""
        await self._connections[service].execute(statements.format(**vars(self._world)))

    async def say(
        self,
        service: str,
        type_: str,
        subject: str,
        *,
        to_audit: bool = True,
        actor: str = "unknown",
        data: str = "{}",
        minutes_ago: int = 0,
    ) -> None:
        """What a service does to say an event, and audit to record it, by their own code where that is possible.

        The time of the past is audit's alone: in the journal such an event would be one that was never published.
        """
        said = await self._connections[service].fetchrow(
            """
            INSERT INTO journal (event_id, type, subject, correlation_id, actor, data)
            VALUES ($1, $2, $3, 'planted', $4, $5)
            RETURNING transaction_id::text, position, event_id, type, subject, time, correlation_id, traceparent,
                      actor, data::text
            """,
            uuid7(),
            type_,
            subject.format(**vars(self._world)),
            actor,
            data,
        )
        entry = journal.Entry(*said)
        entry = msgspec.structs.replace(entry, time=entry.time - timedelta(minutes=minutes_ago))
        if to_audit:
            await record_events(self._connections["audit"], [entry.envelope(f"/{service}")])

    async def record_again(self, order: str) -> None:
        """What audit does with an event that comes a second time, when its inbox does not keep it out."""
        await self.execute("audit", "ALTER TABLE entries DROP CONSTRAINT entries_event_id_key")
        text = await self._connections["audit"].fetchval(
            "SELECT envelope FROM entries WHERE order_id = $1 AND type = 'order.confirmed'",
            order.format(**vars(self._world)),
        )
        await record_events(self._connections["audit"], [envelope.decode(text.encode())])

    async def sign_head(self, key: str | None = None) -> None:
        """What audit does every minute."""
        key = key or self._opened.credentials.service_keys["audit"]
        head = await read_head(self._connections["audit"])
        statement = HeadSigner(key, self._opened.head_keys).sign(head)
        await insert_statement(self._connections["audit"], head.position, statement)

    async def rewrite_chain(self) -> None:
        """An attacker with write access to audit's database, who knows the formula, changes an entry."""
        await self.execute("audit", REWRITTEN)

    async def broken_promises(self) -> dict[int, list[Any]]:
        for connection in self._connections.values():
            await connection.execute("SET LOCAL search_path = verification")  # As the reader's.
        verdicts = await judge(Snapshots(self._connections, self._opened.head_keys), grace_s=0)
        for connection in self._connections.values():
            await connection.execute("SET LOCAL search_path = public")
        return {verdict.promise: verdict.violations for verdict in verdicts if not verdict.holds}


@pytest.fixture
async def databases(system: SystemUnderTest, world: World) -> AsyncIterator[Databases]:
    opened = system.opened()
    async with contextlib.AsyncExitStack() as open_until_the_end:
        connections = {}
        for service in SERVICES_WITH_DATABASE:
            connection = await asyncpg.connect(opened.owner_url(service), command_timeout=30)
            open_until_the_end.push_async_callback(connection.close)
            transaction = connection.transaction(isolation="repeatable_read")
            await transaction.start()
            open_until_the_end.push_async_callback(transaction.rollback)
            connections[service] = connection
        yield Databases(connections, world, opened)


Plant = Callable[[Databases], Awaitable[None]]


def rows(service: str, statements: str) -> Plant:
    return lambda databases: databases.execute(service, statements)


def all_of(*plants: Plant) -> Plant:
    async def plant(databases: Databases) -> None:
        for each in plants:
            await each(databases)

    return plant


def said(service: str, type_: str, subject: str, **more: Any) -> Plant:
    return lambda databases: databases.say(service, type_, subject, **more)


SECOND = "0198c2a7-0000-7000-8000-00000000beef"
UNHEARD_OF = "0198c2a7-0000-7000-8000-00000000dead"
UNKNOWN_USER = "0198c2a7-0000-7000-8000-00000000cafe"

SECOND_CAPTURE = f"""
    ALTER TABLE payments DROP CONSTRAINT payments_order_id_key;
    INSERT INTO payments (id, order_id, user_id, amount_minor, currency, method_token, method_brand, method_last4,
                          state, correlation_id)
    SELECT '{SECOND}', order_id, user_id, amount_minor, currency, method_token, method_brand, method_last4,
           state, correlation_id
    FROM payments WHERE order_id = '{{confirmed}}';
    INSERT INTO sandbox_payments (payment_id, token, amount_minor, currency, state)
    SELECT id, method_token, amount_minor, currency, state FROM payments WHERE id = '{SECOND}';
    INSERT INTO ledger_entries (transaction_id, account, payment_id, amount_minor, currency)
    SELECT id, account, id, sign * amount_minor, currency
    FROM payments, (VALUES ('provider_receivable', 1), ('sales', -1)) AS entry (account, sign)
    WHERE id = '{SECOND}';
"""
HELD_MONEY = f"""
    UPDATE payments
    SET state = 'authorized', user_id = '{UNKNOWN_USER}', amount_minor = 4999, currency = 'USD'
    WHERE order_id = '{{out_of_stock}}';
    UPDATE payments SET id = '{SECOND}' WHERE order_id = '{{out_of_stock}}';
    INSERT INTO sandbox_payments (payment_id, token, amount_minor, currency, state)
    VALUES ('{SECOND}', 'pm_card_visa', 4999, 'USD', 'authorized');
"""
STUCK_ORDER = f"""
    INSERT INTO orders (id, user_id, customer_name, customer_email, lines, from_cart, answer_later, fingerprint,
                        correlation_id, created_at, deadline_at, next_attempt_at, attempts, last_trouble)
    VALUES ('{UNHEARD_OF}', '{UNKNOWN_USER}', 'Ada', 'ada@example.com', '[]', false, false, '', 'planted',
            now() - interval '20 min', now() - interval '5 min', now(), 99, 'do authorize payment: no answer');
"""
UNPUBLISHED = """
    UPDATE journal SET time = now() - interval '11 s' WHERE position = (SELECT max(position) FROM journal);
    UPDATE journal_relay
    SET (transaction_id, position) = (
        SELECT transaction_id, position FROM journal ORDER BY position DESC OFFSET 1 LIMIT 1
    );
"""
REWRITTEN = """
    UPDATE entries SET envelope = replace(envelope, 'Ada Lovelace', 'Eve Lovelace') WHERE order_id = '{confirmed}';
    DO $$
    DECLARE
        entry entries;
        previous bytea := decode(repeat('00', 32), 'hex');
    BEGIN
        FOR entry IN SELECT * FROM entries ORDER BY position LOOP
            UPDATE entries
            SET previous_hash = previous,
                hash = sha256(previous || int8send(entry.position) || uuid_send(entry.event_id)
                              || convert_to(entry.envelope, 'UTF8'))
            WHERE position = entry.position
            RETURNING hash INTO previous;
        END LOOP;
        UPDATE chain_head SET hash = previous;
    END $$;
"""


def _stating(kind: str, order: str, **amounts: Any) -> str:
    """The mail of this kind about this order states these sums."""
    # Braces are doubled, since ids are put in by `format`.
    stated = json.dumps(amounts).replace("{", "{{").replace("}", "}}")
    return f"UPDATE notifications SET amounts = '{stated}' WHERE kind = '{kind}' AND order_id = '{{{order}}}'"


FAULTS: dict[str, tuple[set[int], Plant]] = {
    "a key whose unique index is gone makes two orders": (
        {2},
        rows(
            "orders",
            """
            ALTER TABLE orders DROP CONSTRAINT one_order_per_key;
            UPDATE orders
            SET idempotency_key = (SELECT idempotency_key FROM orders WHERE id = '{confirmed}')
            WHERE id = '{shipped}'
            """,
        ),
    ),
    "a cart whose unique constraint is gone is bought by two orders": (
        {2},
        rows(
            "orders",
            """
            ALTER TABLE cart_purchases DROP CONSTRAINT one_order_per_cart;
            INSERT INTO cart_purchases (order_id, user_id, cart_version)
            SELECT id, user_id, 1 FROM orders WHERE id IN ('{confirmed}', '{shipped}')
            """,
        ),
    ),
    "the lines of a cart stay there when it is bought": (
        {2},
        rows(
            "orders",
            """
            INSERT INTO cart_items (user_id, product_id, quantity)
            SELECT user_id, '{product}', 1 FROM orders WHERE id = '{confirmed}';
            INSERT INTO cart_purchases (order_id, user_id, cart_version)
            SELECT orders.id, user_id, carts.version FROM orders JOIN carts USING (user_id)
            WHERE orders.id = '{confirmed}'
            """,
        ),
    ),
    "a second payment is captured for one order": (
        {2, 4},
        all_of(
            rows("payments", SECOND_CAPTURE),
            said("payments", "payment.authorized", SECOND),
            said("payments", "payment.captured", SECOND),
        ),
    ),
    "the provider was asked again under another id": (
        {2},
        rows(
            "payments",
            f"""
            INSERT INTO sandbox_payments (payment_id, token, amount_minor, currency, state)
            VALUES ('{SECOND}', 'pm_card_visa', 4999, 'USD', 'captured')
            """,
        ),
    ),
    "the provider knows nothing of a capture": (
        {2},
        rows(
            "payments",
            """
            UPDATE sandbox_payments SET state = 'authorized'
            WHERE payment_id = (SELECT id FROM payments WHERE order_id = '{confirmed}')
            """,
        ),
    ),
    "the check of what is available is dropped": (
        {3},
        rows(
            "catalog",
            """
            ALTER TABLE stock DROP CONSTRAINT stock_available_check;
            UPDATE stock SET available = -1 WHERE product_id = '{product}'
            """,
        ),
    ),
    "two take the same unit, without a lock": (
        {3},
        rows("catalog", "UPDATE stock SET available = available + 1 WHERE product_id = '{product}'"),
    ),
    "a reservation leaks": (
        {3},
        rows(
            "catalog",
            f"""
            INSERT INTO reservations (order_id, state, lines, currency, total_minor, reserved_at)
            SELECT '{UNHEARD_OF}', 'held', lines, currency, total_minor, now() - interval '1 h'
            FROM reservations WHERE order_id = '{{confirmed}}';
            UPDATE stock SET available = available - 1 WHERE product_id = '{{product}}'
            """,
        ),
    ),
    "catalog acknowledges a confirmation before its commit, and dies": (
        {3},
        rows(
            "catalog",
            """
            UPDATE reservations SET state = 'held', settled_at = NULL, settled_by = NULL
            WHERE order_id = '{confirmed}'
            """,
        ),
    ),
    "an undo takes back what was sold": (
        {3},
        rows(
            "catalog",
            """
            UPDATE reservations SET state = 'released' WHERE order_id = '{confirmed}';
            UPDATE stock SET available = available + 1 WHERE product_id = '{product}'
            """,
        ),
    ),
    "a line of the ledger is missing": (
        {4},
        rows(
            "payments",
            """
            DELETE FROM ledger_entries
            WHERE account = 'sales' AND payment_id = (SELECT id FROM payments WHERE order_id = '{confirmed}')
            """,
        ),
    ),
    "a capture is not booked at all": (
        {4},
        rows(
            "payments",
            "DELETE FROM ledger_entries WHERE payment_id = (SELECT id FROM payments WHERE order_id = '{confirmed}')",
        ),
    ),
    "a refund is booked twice": (
        {4},
        rows(
            "payments",
            f"""
            INSERT INTO ledger_entries (transaction_id, account, payment_id, amount_minor, currency)
            SELECT '{SECOND}', account, payment_id, amount_minor, currency
            FROM ledger_entries
            WHERE transaction_id = (
                SELECT refunds.id FROM refunds JOIN payments ON payments.id = refunds.payment_id
                WHERE payments.order_id = '{{refunded}}'
            )
            """,
        ),
    ),
    "the provider refunds an amount that no refund requests": (
        {4},
        rows(
            "payments",
            f"""
            INSERT INTO sandbox_refunds (refund_id, payment_id, amount_minor)
            SELECT '{SECOND}', id, 1 FROM payments WHERE order_id = '{{confirmed}}'
            """,
        ),
    ),
    "the provider gives back twice": (
        {4, 5},
        rows(
            "payments",
            f"""
            INSERT INTO sandbox_refunds (refund_id, payment_id, amount_minor)
            SELECT '{SECOND}', id, amount_minor FROM payments WHERE order_id = '{{cancelled}}'
            """,
        ),
    ),
    "the undo of a reservation is skipped": (
        {5},
        rows(
            "catalog",
            """
            UPDATE reservations SET state = 'held', settled_at = NULL, settled_by = NULL
            WHERE order_id = '{declined}';
            UPDATE stock SET available = available - 1 WHERE product_id = '{product}'
            """,
        ),
    ),
    "the undo of an authorization is skipped": (
        {5},
        all_of(rows("payments", HELD_MONEY), said("payments", "payment.authorized", SECOND)),
    ),
    "a notification is written twice": (
        {6},
        rows(
            "notifications",
            f"""
            ALTER TABLE notifications DROP CONSTRAINT notifications_kind_subject_key_key;
            INSERT INTO notifications (id, kind, subject_key, order_id, toaddr, subject, body, state, correlation_id)
            SELECT '{SECOND}', kind, subject_key, order_id, toaddr, subject, body, 'suppressed', correlation_id
            FROM notifications WHERE order_id = '{{confirmed}}'
            """,
        ),
    ),
    "a mail states a total that is not the order's": (
        {6},
        rows("notifications", _stating("order_confirmed", "confirmed", currency="USD", total=1)),
    ),
    "a mail states another currency than the order's": (
        {6},
        rows("notifications", _stating("order_confirmed", "confirmed", currency="EUR", total=4_999)),
    ),
    "a mail states a refund that is not in the ledger": (
        {6},
        rows("notifications", _stating("payment_refunded", "refunded", currency="USD", refund=1_001)),
    ),
    "a mail says that nothing was charged, and something was": (
        {6},
        rows("notifications", _stating("order_cancelled", "cancelled", charged=0, refunded=0, refund_pending=0)),
    ),
    "a mail promises more than was charged": (
        {6},
        rows(
            "notifications",
            _stating("order_cancelled", "cancelled", currency="USD", charged=4_999, refunded=0, refund_pending=5_000),
        ),
    ),
    "a mail says that more was refunded than was": (
        {6},
        rows(
            "notifications",
            _stating("order_cancelled", "cancelled", currency="USD", charged=4_999, refunded=5_000, refund_pending=-1),
        ),
    ),
    "a confirmation is lost on its way to notifications": (
        {6},
        rows("notifications", "DELETE FROM notifications WHERE order_id = '{confirmed}'"),
    ),
    "a saga is stuck": (
        {7},
        all_of(rows("orders", STUCK_ORDER), said("orders", "order.placed", UNHEARD_OF)),
    ),
    "an event is not published": ({7}, rows("orders", UNPUBLISHED)),
    "an event is a dead letter": (
        {7},
        rows(
            "catalog",
            f"""
            INSERT INTO dead_letters (event_id, type, subject, reason, attempts, envelope)
            VALUES ('{SECOND}', 'order.confirmed', '{{confirmed}}', 'ValidationError', 1, '')
            """,
        ),
    ),
    "an entry of audit is tampered with": (
        {8},
        rows("audit", "UPDATE entries SET envelope = replace(envelope, 'Ada', 'Eve') WHERE order_id = '{confirmed}'"),
    ),
    "an entry of audit is no JSON any more": (
        {8},
        rows("audit", "UPDATE entries SET envelope = 'gone' WHERE order_id = '{confirmed}'"),
    ),
    "the whole chain is written anew": ({8}, lambda databases: databases.rewrite_chain()),
    "the end of the chain is cut off": (
        {8},
        rows(
            "audit",
            """
            DELETE FROM entries WHERE position = (SELECT max(position) FROM entries);
            UPDATE chain_head
            SET (position, hash) = (SELECT position, hash FROM entries ORDER BY position DESC LIMIT 1)
            """,
        ),
    ),
    "audit never hears of an order": ({8}, rows("audit", "DELETE FROM entries WHERE order_id = '{confirmed}'")),
    "audit never hears of an event": (
        {8},
        lambda databases: databases.say("users", "user.updated", UNKNOWN_USER, to_audit=False),
    ),
    "audit's inbox is switched off": ({8}, lambda databases: databases.record_again("{confirmed}")),
    "an event has no actor": (
        {8},
        rows("audit", "UPDATE entries SET actor = NULL WHERE order_id = '{confirmed}' AND type = 'order.confirmed'"),
    ),
    "audit records an event that no service emitted": (
        {8},
        all_of(
            said("users", "user.updated", UNKNOWN_USER),
            rows("users", "DELETE FROM journal WHERE correlation_id = 'planted'"),
        ),
    ),
    "an administrator acts whose role was taken away": (
        {14},
        all_of(
            said("users", "user.roles_changed", UNKNOWN_USER, data='{"roles": ["customer", "admin"]}', minutes_ago=5),
            said("users", "user.roles_changed", UNKNOWN_USER, data='{"roles": ["customer"]}', minutes_ago=3),
            said("catalog", "operator.acted", UNKNOWN_USER, actor=f"operator:{UNKNOWN_USER}"),
        ),
    ),
    "an administrator acts whose account was deleted": (
        {14},
        all_of(
            said("users", "user.deleted", UNKNOWN_USER, minutes_ago=3),
            said("catalog", "operator.acted", UNKNOWN_USER, actor=f"operator:{UNKNOWN_USER}"),
        ),
    ),
    "a person acts whose account was deleted": (
        {14},
        all_of(
            said("users", "user.deleted", UNKNOWN_USER, minutes_ago=3),
            said("users", "user.updated", UNKNOWN_USER, actor=f"user:{UNKNOWN_USER}"),
        ),
    ),
    "no fault: an administrator acts whose role was given back": (
        set(),
        all_of(
            said("users", "user.roles_changed", UNKNOWN_USER, data='{"roles": ["customer"]}', minutes_ago=3),
            said("users", "user.roles_changed", UNKNOWN_USER, data='{"roles": ["customer", "admin"]}', minutes_ago=0),
            said("catalog", "operator.acted", UNKNOWN_USER, actor=f"operator:{UNKNOWN_USER}"),
        ),
    ),
    "an event is said twice": ({8}, said("orders", "order.confirmed", "{confirmed}")),
    "an order is shipped after its cancellation": ({8}, said("orders", "order.shipped", "{cancelled}")),
    "a confirmation is not said": (
        {8},
        rows("orders", "DELETE FROM journal WHERE subject = '{confirmed}' AND type = 'order.confirmed'"),
    ),
    "a payment method of a deleted account stays": (
        {16},
        rows(
            "payments",
            f"""
            INSERT INTO payment_methods (id, user_id, token, brand, last4, is_default, fingerprint)
            VALUES ('{SECOND}', '{{deleted_account}}', 'pm_card_visa', 'visa', '4242', true, '')
            """,
        ),
    ),
    "a payment of a deleted account keeps its token": (
        {16},
        rows("payments", "UPDATE payments SET method_token = 'pm_card_visa' WHERE user_id = '{deleted_account}'"),
    ),
    "notifications never hears of a deletion": (
        {16},
        rows(
            "notifications",
            """
            UPDATE recipients SET deleted = false, email = 'ada@example.com' WHERE user_id = '{deleted_account}'
            """,
        ),
    ),
    "a message to a deleted account keeps its text": (
        {16},
        rows("notifications", "UPDATE notifications SET body = 'Hello Ada' WHERE user_id = '{deleted_account}'"),
    ),
    "the cart of a deleted account stays": (
        {16},
        rows(
            "orders",
            """
            INSERT INTO cart_items (user_id, product_id, quantity) VALUES ('{deleted_account}', '{product}', 1)
            """,
        ),
    ),
    "a total is wrong": (
        {4, 6, 9},
        rows("orders", "UPDATE orders SET total_minor = total_minor + 1 WHERE id = '{confirmed}'"),
    ),
    "an order has other lines than were reserved": (
        {9},
        rows(
            "orders",
            """UPDATE orders SET lines = jsonb_set(lines, '{{0,name}}', '"Lantern"') WHERE id = '{confirmed}'""",
        ),
    ),
}


async def test_a_world_without_faults_keeps_every_promise(databases: Databases) -> None:
    assert await databases.broken_promises() == {}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_is_named_under_the_promise_that_it_breaks(fault: str, databases: Databases) -> None:
    breaks, plant = FAULTS[fault]
    await plant(databases)
    broken = await databases.broken_promises()
    assert set(broken) == breaks, broken


def test_every_promise_has_a_fault_that_breaks_it() -> None:
    assert {number for breaks, _ in FAULTS.values() for number in breaks} == {promise.number for promise in INVARIANTS}


async def test_a_chain_that_was_rewritten_with_its_head_does_not_hold_against_the_head_that_was_signed(
    databases: Databases,
) -> None:
    await databases.sign_head()
    assert await databases.broken_promises() == {}
    await databases.rewrite_chain()
    rules = {violation.rule for violation in (await databases.broken_promises())[8]}
    assert "the hash chain is broken" not in rules, "the chain alone cannot tell"
    assert "the chain is another than the one that was signed" in rules


async def test_a_rewritten_chain_whose_head_was_signed_by_another_key_is_found(databases: Databases) -> None:
    await databases.rewrite_chain()
    await databases.sign_head(make_key("audit"))
    rules = {violation.rule for violation in (await databases.broken_promises())[8]}
    assert "a signed head is forged" in rules
