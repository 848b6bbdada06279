"""Notifications without I/O: preferences, retry delays and texts."""

import email
import email.policy
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any
from uuid import UUID

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError
from uuid_utils.compat import uuid7

from chassis.values.money import Money
from notifications.clients.mail_composer import MailComposer, wire_address
from notifications.consumed_events import OrderConfirmed, OrderLine, OrderShipped, Preferences, UserChanged
from notifications.domain import notification
from notifications.domain.notification import ATTEMPTS_MAX, Kind, retry_delay_s
from notifications.domain.recipient import Recipient, suppression_code
from notifications.drafts import draft_for
from notifications.templates import Templates

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ADA = Recipient(user_id=uuid7(), email="ada@example.com", name="Ada", order_emails=True, payment_emails=True, version=1)
USD = "USD"
HEADERS = {
    "Message-ID", "Date", "From", "To", "Subject", "Auto-Submitted",
    "MIME-Version", "Content-Type", "Content-Transfer-Encoding",
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "switched_off", "reason"),
    [
        (Kind.ORDER_CONFIRMED, "order_emails", "not_wanted"),
        (Kind.ORDER_CANCELLED, "order_emails", "not_wanted"),
        (Kind.ORDER_SHIPPED, "order_emails", "not_wanted"),
        (Kind.PAYMENT_REFUNDED, "payment_emails", "not_wanted"),
        (Kind.ORDER_CONFIRMED, "payment_emails", None),
        (Kind.PAYMENT_REFUNDED, "order_emails", None),
        (Kind.WELCOME, "order_emails", None),
        (Kind.ADDRESS_CHANGED, "order_emails", None),
        (Kind.EMAIL_REQUESTED, "order_emails", None),
    ],
)
def test_a_preference_switches_off_its_own_kinds(kind: Kind, switched_off: str, reason: str | None) -> None:
    assert suppression_code(kind, replace(ADA, **{switched_off: False})) == reason


def test_a_recipient_with_unknown_preferences_gets_every_kind() -> None:
    assert all(suppression_code(kind, None) is None for kind in Kind)


def test_the_retry_delays_grow_and_add_up_to_a_day_and_a_half() -> None:
    delays = [retry_delay_s(attempt) for attempt in range(1, ATTEMPTS_MAX)]
    assert 1.6 <= delays[0] <= 2.4
    assert max(delays) <= notification._DELAY_MAX_S * 1.2
    assert 24 * 3600 < sum(delays) < 48 * 3600


def test_every_kind_but_requested_mails_has_a_template() -> None:
    assert set(Templates()._templates) == set(Kind) - {Kind.EMAIL_REQUESTED}


def test_the_confirmation_lists_items_and_total_and_names_the_order() -> None:
    order = OrderConfirmed(
        order_id=uuid7(),
        user_id=uuid7(),
        name="Zoë <b>",
        items=[
            OrderLine("Keyboard", 1, Money("149.99", USD), Money("149.99", USD)),
            OrderLine("Hub", 2, Money("49.99", USD), Money("99.98", USD)),
        ],
        total=Money("249.97", USD),
    )
    subject, body = Templates().render(Kind.ORDER_CONFIRMED, order)
    assert subject == f"Your order {order.order_id} is confirmed"
    assert "Hello Zoë <b>," in body
    assert "1 x Keyboard, 149.99 USD each: 149.99 USD" in body
    assert "2 x Hub, 49.99 USD each: 99.98 USD" in body
    assert "Total: 249.97 USD" in body


def confirmation(name: str, item: str) -> str:
    """The text of the mail that confirms an order of one product."""
    order = OrderConfirmed(
        order_id=UUID(int=1),
        user_id=UUID(int=2),
        name=name,
        items=[OrderLine(item, 1, Money("1.00", USD), Money("1.00", USD))],
        total=Money("1.00", USD),
    )
    return Templates().render(Kind.ORDER_CONFIRMED, order)[1]


@given(name=TEXT, item=TEXT)
@hypothesis.settings(max_examples=100, derandomize=True, deadline=None)
def test_no_name_adds_a_line_to_a_mail(name: str, item: str) -> None:
    assert len(confirmation(name, item).splitlines()) == len(confirmation("Zoë", "Hub").splitlines())


def test_a_name_that_was_stored_before_names_were_checked_forges_no_line_of_a_mail() -> None:
    text = confirmation("Zoë\r\n\r\nPay here", "Hub\n\n  Total: 0.00 USD\u2028\u202eGift")
    assert "Hello Zoë Pay here," in text
    assert "  1 x Hub Total: 0.00 USD Gift, 1.00 USD each: 1.00 USD\n" in text


@pytest.mark.parametrize(
    "name",
    ["visit evil.com", "http://evil", "www.evil.com", "evil。com", "ｅｖｉｌ．ｃｏｍ", "evil\u200b.com", "J.Smith", ""],
)
def test_a_name_that_could_be_a_link_is_in_no_greeting(name: str) -> None:
    welcome = UserChanged(uuid7(), "ada@example.com", name, Preferences(True, True), 1)
    body = Templates().render(Kind.WELCOME, welcome)[1]
    assert body.startswith("Hello,\n")
    assert not name or name not in body
    assert confirmation(name, "Hub").startswith("Hello,\n")


def test_a_template_that_misses_a_value_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        Templates().render(Kind.ORDER_CONFIRMED, OrderShipped(uuid7(), uuid7(), "Ada"))


def test_a_cancellation_that_the_buyer_knows_makes_no_mail(make_event: Any) -> None:
    data = {
        "order_id": str(uuid7()),
        "user_id": str(uuid7()),
        "name": "Ada",
        "email": "ada@example.com",
        "was_confirmed": False,
        "reason": {"code": "out_of_stock", "detail": "None left."},
        "total": None,
    }
    assert draft_for(make_event("order.cancelled", data | {"told": True})) is None
    told_by_mail = draft_for(make_event("order.cancelled", data | {"told": False}))
    assert told_by_mail is not None
    assert "None left." in Templates().render(told_by_mail.kind, told_by_mail.data, settlement=None)[1]


@pytest.mark.parametrize("type_", ["order.placed", "payment.captured", "payment.authorized", "user.updated", "x.y"])
def test_other_events_make_no_notification(make_event: Any, type_: str) -> None:
    assert draft_for(make_event(type_, {})) is None


@pytest.mark.parametrize(
    ("address", "wire"),
    [
        ("ada@example.com", "ada@example.com"),
        ("Ada+tag@example.co.uk", "Ada+tag@example.co.uk"),
        ("user@bücher.example", "user@xn--bcher-kva.example"),
        ("zoë@bücher.example", "zoë@bücher.example"),
        ("ada@printer.local", "ada@printer.local"),
        ("ada@localhost", "ada@localhost"),
        ("a" * 64 + "@x.org", "a" * 64 + "@x.org"),
    ],
)
def test_an_address_is_sent_in_ascii_where_possible(address: str, wire: str) -> None:
    assert wire_address(address) == wire


@pytest.mark.parametrize(
    "address",
    [
        "", "@", "ada", "ada@", "@example.com", "a@b@c", "ada@exa mple.com", "ada @example.com", "ada@example.com\n",
        "ada@example.com\r\nBcc: eve@example.com", "<ada@example.com>", "Ada <ada@example.com>", '"a b"@example.com',
        "a,b@example.com", "ada@-example.com", "ada@example..com", ".ada@example.com", "ada.@example.com",
        "ada@[127.0.0.1]", "ada@example.com.", "a" * 65 + "@x.org", "a@" + "b" * 254, "ada\x00@example.com",
        "ada@example.com> SIZE=1",
    ],
)  # fmt: skip
def test_text_that_is_no_address_is_not_sent_to_a_mail_server(address: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        wire_address(address)


def compose(subject: str, body: str) -> tuple[EmailMessage, bytes]:
    sender = MailComposer("Cartwright <shop@cartwright.example>")
    wire = sender.compose(
        UUID("01890000-0000-7000-8000-000000000001"),
        datetime(2026, 1, 31, tzinfo=UTC),
        "ada@example.com",
        subject,
        body,
    )
    return email.message_from_bytes(wire, EmailMessage, policy=email.policy.default), wire


@given(subject=TEXT, body=TEXT)
@hypothesis.settings(max_examples=100, derandomize=True, deadline=None)
def test_no_text_makes_a_header_of_its_own_or_a_line_too_long(subject: str, body: str) -> None:
    message, wire = compose(subject, body)
    assert set(message) <= HEADERS
    assert message["To"] == "ada@example.com"
    assert max(len(line) for line in wire.splitlines()) <= 998


@given(subject=st.text(st.characters(exclude_categories=["C"]), max_size=300))
@hypothesis.settings(max_examples=200, derandomize=True, deadline=None)
def test_a_subject_arrives_as_it_was_written(subject: str) -> None:
    assert compose(subject, "text")[0]["Subject"] == " ".join(subject.split())


@pytest.mark.parametrize(
    "subject",
    [
        "x" * 998,
        "=?utf-8?q?Bcc=3A_eve=0D=0A?=",
        "=?utf-8?b?SGVsbG8=?= " * 9 + "end",
        "Grüße an alle " * 20 + "in Köln",
        # Python 3.11 itself makes one word of two in this one.
        "Ваш заказ подтверждён и скоро будет отправлен по указанному адресу доставки",
    ],
)
def test_a_long_subject_arrives_as_it_was_written(subject: str) -> None:
    message, wire = compose(subject, "text")
    assert message["Subject"] == subject
    assert max(len(line) for line in wire.splitlines()) <= 78


def test_a_body_arrives_as_it_was_written() -> None:
    body = "Zoë owes 5 €.\n\n.\nFrom here: " + "x" * 2_000 + "\n"
    message, wire = compose("Hello", body)
    assert message.get_content().replace("\r\n", "\n") == body
    assert max(len(line) for line in wire.splitlines()) <= 998


def test_the_same_notification_is_the_same_mail() -> None:
    _, once = compose("Hello", "text")
    _, again = compose("Hello", "text")
    assert once == again
    assert b"Message-ID: <01890000-0000-7000-8000-000000000001@cartwright.example>" in once


@pytest.mark.parametrize(
    ("setting", "header"),
    [
        ("shop@cartwright.example", "<shop@cartwright.example>"),
        ("Cartwright <shop@cartwright.example>", '"Cartwright" <shop@cartwright.example>'),
        ('"Cart, Wright" <shop@cartwright.example>', '"Cart, Wright" <shop@cartwright.example>'),
        ("Zoë <zoë@bücher.example>", "=?utf-8?q?Zo=C3=AB?= <zoë@bücher.example>"),
        ("Zoë <zoe@bücher.example>", "=?utf-8?q?Zo=C3=AB?= <zoe@xn--bcher-kva.example>"),
    ],
)
def test_an_address_without_an_ascii_form_is_utf_8_in_headers(setting: str, header: str) -> None:
    wire = MailComposer(setting).compose(
        uuid7(), datetime(2026, 1, 31, tzinfo=UTC), "zoë@bücher.example", "Hello", "text"
    )
    lines = wire.decode().split("\r\n")
    assert f"From: {header}" in lines
    assert "To: zoë@bücher.example" in lines


@pytest.mark.parametrize(
    "setting",
    [
        "",
        "Cartwright",
        "Cartwright <>",
        "shop@",
        "Shop (\nBcc: eve@example.com) <shop@example.com>",
        "x" * 61 + " <shop@example.com>",
    ],
)
def test_a_sender_without_an_address_ends_the_start(setting: str) -> None:
    with pytest.raises(ValueError, match="MAIL_FROM"):
        MailComposer(setting)
