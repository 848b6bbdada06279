"""Decisions at the time of sending: the address, the suppression, and the amounts of a cancelled order."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import msgspec
import pytest
from uuid_utils.compat import uuid7

from notifications.clients.mail_server import MailServer
from notifications.complete_cancellations import WAIT_MAX
from notifications.templates import Templates
from notifications.workers.mail_sender import MailSender
from notifications.write_notifications import write_notifications

Write = Callable[..., Awaitable[None]]


@pytest.fixture
def write(database: Any, make_event: Any) -> Write:
    """`await write((type, data), ...)` handles these events as the consumer does."""
    handle = partial(write_notifications, templates=Templates())

    async def run(*events: tuple[str, dict[str, Any]]) -> None:
        made = [make_event(type_, data) for type_, data in events]
        await database.run(lambda connection: handle(connection, made))

    return run


@pytest.fixture
def send(database: Any, settings: Any, payments: Any, query: Any) -> Callable[[], Awaitable[None]]:
    """One run of the sender, with every notification due."""
    sender = MailSender(database, MailServer(settings), payments, Templates())

    async def run() -> None:
        await query("UPDATE notifications SET next_attempt_at = now()")
        await sender.run_once()

    return run


def registered(user_id: str, email: str = "ada@example.com", version: int = 1) -> tuple[str, dict[str, Any]]:
    wanted = {"order_emails": True, "payment_emails": True}
    type_ = "user.registered" if version == 1 else "user.updated"
    return type_, {"user_id": user_id, "email": email, "name": "Ada", "preferences": wanted, "version": version}


def about_order(happened: str, user_id: str, order_id: str) -> tuple[str, dict[str, Any]]:
    order: dict[str, Any] = {"order_id": order_id, "user_id": user_id, "name": "Ada", "email": "copy@example.com"}
    if happened == "confirmed":
        item = {"name": "Hub", "quantity": 1, "unit_price": usd("50.00"), "line_total": usd("50.00")}
        order |= {"items": [item], "total": usd("50.00")}
    if happened == "cancelled":
        reason = {"code": "cancelled_by_customer", "detail": "The customer cancelled the order."}
        order |= {"was_confirmed": True, "told": False, "reason": reason, "total": usd("50.00")}
    return f"order.{happened}", order


def usd(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "USD"}


def captured(order_id: str, refunded: str, pending: str) -> dict[str, Any]:
    taken = {"charged": usd("50.00"), "refunded": usd(refunded), "refund_pending": usd(pending)}
    return {"order_id": order_id, "state": "captured", "taken": taken}


def texts(mailbox: Any) -> list[str]:
    return [mail.get_content() for mail in mailbox.mails]


async def test_a_mail_goes_to_the_present_address_of_its_account(
    write: Write, send: Any, mailbox: Any, query: Any
) -> None:
    ada = str(uuid7())
    await write(registered(ada), about_order("shipped", ada, str(uuid7())))
    await write(registered(ada, "present@example.com", version=2))
    await send()
    told = [(mail["To"], mail["Subject"].split(" ")[0]) for mail in mailbox.mails]
    assert sorted(told) == [
        ("ada@example.com", "The"),  # The address was changed.
        ("present@example.com", "Welcome"),
        ("present@example.com", "Your"),
    ]
    rows = await query("SELECT toaddr FROM notifications WHERE kind = 'order_shipped'")
    assert rows == [{"toaddr": "present@example.com"}]


async def test_a_mail_that_is_tried_again_goes_to_the_present_address(
    write: Write, send: Any, mailbox: Any, query: Any
) -> None:
    ada = str(uuid7())
    await write(registered(ada, "later@example.com"), about_order("shipped", ada, str(uuid7())))
    await send()
    await write(registered(ada, "present@example.com", version=2))
    await send()
    assert sorted(mail["Subject"].split(" ")[0] for mail in mailbox.to("present@example.com")) == ["Welcome", "Your"]


async def test_a_message_that_was_written_during_a_deletion_is_not_sent(
    write: Write, send: Any, mailbox: Any, query: Any
) -> None:
    ada = str(uuid7())
    await write(registered(ada), about_order("cancelled", ada, str(uuid7())))
    # The deletion's transaction did not see the messages, nor they its tombstone.
    await query("UPDATE recipients SET deleted = true, email = '', name = '', version = 2")
    await send()
    assert mailbox.mails == []
    rows = await query("SELECT DISTINCT state, code, toaddr, body, event_data::text FROM notifications")
    assert rows == [{"state": "suppressed", "code": "recipient_deleted", "toaddr": "", "body": "", "event_data": None}]


@pytest.mark.parametrize("order", [("confirmed", "cancelled"), ("cancelled", "confirmed")])
async def test_an_order_that_is_cancelled_is_not_told_to_be_confirmed(
    write: Write, send: Any, mailbox: Any, payments_peer: Any, query: Any, order: tuple[str, str]
) -> None:
    ada, order_id = str(uuid7()), str(uuid7())
    payments_peer.payments[order_id] = captured(order_id, "0.00", "50.00")
    await write(registered(ada), *(about_order(happened, ada, order_id) for happened in order))
    await send()
    assert sorted(mail["Subject"].split(" ")[-1] for mail in mailbox.mails) == ["Cartwright", "cancelled"]
    rows = await query("SELECT state, code FROM notifications WHERE kind = 'order_confirmed'")
    assert rows == [{"state": "suppressed", "code": "order_cancelled"}]


@pytest.mark.parametrize("open_", [None, {"state": "intended"}, {"state": "authorized"}, "nothing refunded", "down"])
async def test_a_cancellation_is_told_when_the_end_of_its_payment_is_known(
    write: Write, send: Any, mailbox: Any, payments_peer: Any, query: Any, open_: Any
) -> None:
    ada, order_id = str(uuid7()), str(uuid7())
    if open_ == "nothing refunded":
        payments_peer.payments[order_id] = captured(order_id, "10.00", "0.00")
    elif open_ == "down":
        payments_peer.is_down = True
    elif open_ is not None:
        payments_peer.payments[order_id] = {"order_id": order_id, "taken": None} | open_
    await write(registered(ada), about_order("cancelled", ada, order_id))
    await send()
    assert [mail["Subject"] for mail in mailbox.mails] == ["Welcome to Cartwright"]
    rows = await query("SELECT state, code, amounts FROM notifications WHERE kind = 'order_cancelled'")
    code = "payments_unavailable" if open_ == "down" else "payment_open"
    assert rows == [{"state": "pending", "code": code, "amounts": None}]

    payments_peer.is_down = False
    payments_peer.payments[order_id] = captured(order_id, "10.00", "40.00")
    await send()
    told = texts(mailbox)[-1]
    assert "You were charged 50.00 USD." in told
    assert "10.00 USD of it has been refunded." in told
    assert "40.00 USD of it is being refunded." in told
    (row,) = await query("SELECT state, amounts, body FROM notifications WHERE kind = 'order_cancelled'")
    stated = {"currency": "USD", "charged": 5000, "refunded": 1000, "refund_pending": 4000}
    assert (row["state"], msgspec.json.decode(row["amounts"])) == ("sent", stated)
    assert "40.00 USD" in row["body"]


async def test_a_cancellation_is_told_without_sums_when_the_payment_stays_open(
    write: Write, send: Any, mailbox: Any, query: Any
) -> None:
    ada, order_id = str(uuid7()), str(uuid7())
    await write(registered(ada), about_order("cancelled", ada, order_id))
    await query("UPDATE notifications SET created_at = created_at - $1::interval", WAIT_MAX)
    await send()
    told = texts(mailbox)[-1]
    assert "The customer cancelled the order." in told
    assert "USD" not in told
    assert "charged" not in told


async def test_what_is_not_charged_is_told_so(write: Write, send: Any, mailbox: Any, payments_peer: Any) -> None:
    ada = str(uuid7())
    for state in ("voided", "declined"):
        order_id = str(uuid7())
        payments_peer.payments[order_id] = {"order_id": order_id, "state": state, "taken": None}
        await write(registered(ada), about_order("cancelled", ada, order_id))
    await send()
    assert sum("You have not been charged." in text for text in texts(mailbox)) == 2


async def test_payments_is_not_asked_for_an_ordinary_purchase(
    write: Write, send: Any, mailbox: Any, payments_peer: Any, query: Any
) -> None:
    ada, order_id = str(uuid7()), str(uuid7())
    payments_peer.is_down = True
    await write(registered(ada), about_order("confirmed", ada, order_id))
    await send()
    assert len(mailbox.mails) == 2
    (row,) = await query("SELECT amounts FROM notifications WHERE kind = 'order_confirmed'")
    assert msgspec.json.decode(row["amounts"]) == {"currency": "USD", "total": 5000}
