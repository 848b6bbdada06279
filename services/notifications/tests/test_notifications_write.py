"""Events become notifications on a real PostgreSQL: once each, to the right recipient, by the preferences."""

import asyncio
from functools import partial
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from notifications.templates import Templates
from notifications.write_notifications import write_notifications

Write = Any


@pytest.fixture
def write(database: Any) -> Write:
    handle = partial(write_notifications, templates=Templates())

    async def run(*events: Any) -> None:
        await database.run(lambda connection: handle(connection, events))

    return run


def person(user_id: str, *, version: int = 1, email: str = "ada@example.com", **preferences: bool) -> dict[str, Any]:
    wanted = {"order_emails": True, "payment_emails": True} | preferences
    return {"user_id": user_id, "email": email, "name": "Ada", "preferences": wanted, "version": version}


def shipped(user_id: str, order_id: str | None = None) -> dict[str, Any]:
    return {"order_id": order_id or str(uuid7()), "user_id": user_id, "name": "Ada", "email": "ada@example.com"}


def refund(user_id: str) -> dict[str, Any]:
    amount = {"amount": "5.00", "currency": "USD"}
    ids = {name: str(uuid7()) for name in ("payment_id", "order_id", "refund_id")}
    return ids | {"user_id": user_id, "amount": amount, "reason": "A scratch"}


async def test_one_order_and_kind_make_one_message_however_often_the_event_is_delivered(
    write: Write, make_event: Any, query: Any
) -> None:
    order = shipped(str(uuid7()))
    await write(make_event("order.shipped", order), make_event("order.shipped", order))
    await asyncio.gather(*(write(make_event("order.shipped", order)) for _ in range(10)))
    rows = await query("SELECT kind, state, toaddr, order_id::text FROM notifications")
    assert rows == [{"kind": "order_shipped", "state": "pending", "toaddr": "", "order_id": order["order_id"]}]


async def test_a_message_that_is_not_wanted_is_suppressed(write: Write, make_event: Any, query: Any) -> None:
    ada = str(uuid7())
    await write(
        make_event("user.registered", person(ada, order_emails=False)),
        make_event("order.shipped", shipped(ada)),
        make_event("payment.refunded", refund(ada)),
    )
    rows = await query("SELECT kind, state, code FROM notifications ORDER BY kind")
    assert rows == [
        {"kind": "order_shipped", "state": "suppressed", "code": "not_wanted"},
        {"kind": "payment_refunded", "state": "pending", "code": None},
        {"kind": "welcome", "state": "pending", "code": None},
    ]


@pytest.mark.parametrize("together", [True, False])
async def test_an_old_event_of_a_person_does_not_replace_a_newer(
    write: Write, make_event: Any, query: Any, together: bool
) -> None:
    ada = str(uuid7())
    events = [
        make_event("user.updated", person(ada, version=3, email="new@example.com")),
        make_event("user.updated", person(ada, version=2, email="old@example.com")),
        make_event("user.registered", person(ada)),
    ]
    if together:
        await write(*events)
    else:
        for event in events:
            await write(event)
    assert await query("SELECT email, version FROM recipients") == [{"email": "new@example.com", "version": 3}]


async def test_no_personal_data_of_a_deleted_account_is_stored(write: Write, make_event: Any, query: Any) -> None:
    ada = str(uuid7())
    await write(make_event("user.registered", person(ada)), make_event("order.shipped", shipped(ada)))
    await query("UPDATE notifications SET state = 'sent', sent_at = now() WHERE kind = 'welcome'")
    await write(make_event("user.deleted", {"user_id": ada, "version": 2}))
    await write(make_event("user.updated", person(ada, version=1)), make_event("order.shipped", shipped(ada)))
    rows = await query("SELECT state, code, toaddr, body FROM notifications ORDER BY state")
    gone = {"state": "suppressed", "code": "recipient_deleted", "toaddr": "", "body": ""}
    assert rows == [{"state": "sent", "code": None, "toaddr": "", "body": ""}, gone, gone]
    assert await query("SELECT email, name, deleted FROM recipients") == [{"email": "", "name": "", "deleted": True}]


async def test_a_refund_goes_to_the_address_that_is_known(write: Write, make_event: Any, query: Any) -> None:
    ada, stranger = str(uuid7()), str(uuid7())
    await write(
        make_event("payment.refunded", refund(ada)),
        make_event("payment.refunded", refund(stranger)),
        make_event("user.registered", person(ada)),
    )
    rows = await query("SELECT user_id::text, toaddr FROM notifications WHERE kind = 'payment_refunded'")
    assert {row["user_id"]: row["toaddr"] for row in rows} == {ada: "ada@example.com", stranger: ""}


async def test_the_address_in_an_order_event_is_not_used(write: Write, make_event: Any, query: Any) -> None:
    ada = str(uuid7())
    await write(make_event("user.registered", person(ada, email="present@example.com")))
    await write(make_event("order.shipped", shipped(ada)), make_event("order.shipped", shipped(str(uuid7()))))
    rows = await query("SELECT toaddr FROM notifications WHERE kind = 'order_shipped' ORDER BY toaddr")
    # No event has reported the second user: `find_addresses` looks the address up.
    assert [row["toaddr"] for row in rows] == ["", "present@example.com"]


@pytest.mark.parametrize("together", [True, False])
async def test_a_change_of_address_is_reported_to_each_former_address(
    write: Write, make_event: Any, query: Any, together: bool
) -> None:
    ada = str(uuid7())
    events = [
        make_event("user.registered", person(ada, email="first@example.com")),
        make_event("user.updated", person(ada, email="first@example.com", version=2, order_emails=False)),
        make_event("user.updated", person(ada, email="second@example.com", version=3, order_emails=False)),
        make_event("user.updated", person(ada, email="third@example.com", version=4, order_emails=False)),
    ]
    if together:
        await write(*reversed(events))
    else:
        for event in events:
            await write(event)
    await write(make_event("user.updated", person(ada, email="second@example.com", version=3)))
    rows = await query("SELECT toaddr, body FROM notifications WHERE kind = 'address_changed' ORDER BY subject_key")
    assert [row["toaddr"] for row in rows] == ["first@example.com", "second@example.com"]
    # The former address may belong to another person now, so the mail holds neither the new address nor the name.
    assert all("@" not in row["body"] and "Ada" not in row["body"] for row in rows)


async def test_another_form_of_the_same_address_is_no_change_of_address(
    write: Write, make_event: Any, query: Any
) -> None:
    ada = str(uuid7())
    await write(make_event("user.registered", person(ada, email="ada@xn--bcher-kva.example")))
    await write(make_event("user.updated", person(ada, email="ada@bücher.example", version=2)))
    assert await query("SELECT toaddr FROM notifications WHERE kind = 'address_changed'") == []
    assert [row["email"] for row in await query("SELECT email FROM recipients")] == ["ada@bücher.example"]


async def test_mails_to_the_address_of_a_deleted_account_lose_their_content(
    write: Write, make_event: Any, query: Any
) -> None:
    ada = str(uuid7())
    await write(make_event("user.registered", person(ada)))
    for toaddr in ("ada@example.com", "eve@example.com"):
        mail = {
            "message_id": str(uuid7()), "toaddr": toaddr, "subject": "Dear Ada", "body": "x", "requested_by": ada,
        }  # fmt: skip
        await write(make_event("email.requested", mail))
    await query("UPDATE notifications SET state = 'sent', sent_at = now()")
    await write(make_event("user.deleted", {"user_id": ada, "version": 2}))
    rows = await query("SELECT toaddr, subject FROM notifications WHERE kind = 'email_requested' ORDER BY toaddr")
    assert rows == [{"toaddr": "", "subject": ""}, {"toaddr": "eve@example.com", "subject": "Dear Ada"}]


async def test_a_mail_that_is_suppressed_during_the_deletion_of_its_account_keeps_no_address(
    database: Any, write: Write, make_event: Any, query: Any, until: Any
) -> None:
    ada = str(uuid7())
    await write(make_event("user.registered", person(ada, order_emails=False)))
    deletions: list[asyncio.Task[None]] = []

    async def is_blocked_or_committed() -> bool:
        return deletions[0].done() or bool(await query("SELECT 1 FROM pg_locks WHERE NOT granted"))

    async def write_while_deleted(connection: Any) -> None:
        shipment = make_event("order.shipped", shipped(ada))
        await write_notifications(connection, [shipment], templates=Templates())
        deletions.append(asyncio.create_task(write(make_event("user.deleted", {"user_id": ada, "version": 2}))))
        await until(is_blocked_or_committed)

    await database.run(write_while_deleted)
    await deletions[0]
    assert await query("SELECT toaddr, body, state FROM notifications WHERE kind = 'order_shipped'") == [
        {"toaddr": "", "body": "", "state": "suppressed"}
    ]
