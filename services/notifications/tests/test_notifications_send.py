"""Sending by a real SMTP server that accepts, refuses, defers, hangs and dies."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from prometheus_client import REGISTRY
from uuid_utils.compat import uuid7

from notifications.clients import mail_server
from notifications.clients.mail_server import MailServer
from notifications.domain.notification import ATTEMPTS_MAX, Kind, Notification, State
from notifications.store import notifications
from notifications.templates import Templates
from notifications.workers import mail_sender
from notifications.workers.backlog_monitor import measure_backlog
from notifications.workers.mail_sender import MailSender


@pytest.fixture
def sender(database: Any, settings: Any, payments: Any) -> MailSender:
    return MailSender(database, MailServer(settings), payments, Templates())


@pytest.fixture
def put(database: Any) -> Callable[..., Any]:
    """Pending notifications, one to each address."""

    async def insert(*addresses: str) -> list[Notification]:
        put = [
            Notification(
                id=uuid7(), kind=Kind.ORDER_SHIPPED, subject_key=str(uuid7()), order_id=uuid7(), user_id=uuid7(),
                toaddr=address, subject="On its way", body="Hello", state=State.PENDING, code=None,
                correlation_id="purchase-1", traceparent=None,
            )
            for address in addresses
        ]  # fmt: skip
        await database.run(lambda c: notifications.insert(c, put))
        return put

    return insert


async def states(query: Any) -> dict[str, tuple[str, str | None]]:
    rows = await query("SELECT toaddr, state, code FROM notifications")
    return {row["toaddr"]: (row["state"], row["code"]) for row in rows}


async def journal(query: Any) -> list[dict[str, Any]]:
    rows = await query("SELECT type, correlation_id, data::text FROM journal ORDER BY position")
    return [{"type": r["type"], "correlation": r["correlation_id"], **msgspec.json.decode(r["data"])} for r in rows]


async def test_a_message_is_sent_once_and_emits_one_event(
    sender: MailSender, put: Any, mailbox: Any, query: Any
) -> None:
    (notification,) = await put("ada@example.com")
    assert not await sender.run_once(), "there may be no more than the one"
    await sender.run_once()
    (mail,) = mailbox.mails
    assert mail["Message-ID"] == f"<{notification.id}@cartwright.example>"
    assert mail["From"] == "Cartwright <shop@cartwright.example>"
    assert mail.get_content() == "Hello\r\n"
    assert await states(query) == {"ada@example.com": ("sent", None)}
    (event,) = await journal(query)
    assert event == {
        "type": "notification.sent",
        "correlation": "purchase-1",
        "notification_id": str(notification.id),
        "order_id": str(notification.order_id),
        "user_id": str(notification.user_id),
        "kind": "order_shipped",
        "toaddr": "ada@example.com",
        "code": None,
    }


async def test_hundreds_of_messages_share_a_few_connections(
    sender: MailSender, put: Any, mailbox: Any, query: Any
) -> None:
    await put(*(f"ada{number}@example.com" for number in range(300)))
    while await sender.run_once():
        pass
    assert len(mailbox.mails) == 300
    assert mailbox.connections <= 2 * mail_sender.CONNECTIONS
    assert len(await journal(query)) == 300


async def test_several_senders_send_each_message_once(
    database: Any, settings: Any, payments: Any, put: Any, mailbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail_sender, "BATCH_MAX", 10)
    pending = await put(*(f"ada{number}@example.com" for number in range(100)))
    senders = [MailSender(database, MailServer(settings), payments, Templates()) for _ in range(5)]

    async def drain(sender: MailSender) -> None:
        while await sender.run_once():
            pass

    await asyncio.gather(*(drain(sender) for sender in senders))
    assert sorted(mail["To"] for mail in mailbox.mails) == sorted(n.toaddr for n in pending)


async def test_the_failure_of_one_recipient_does_not_affect_others(
    sender: MailSender, put: Any, mailbox: Any, query: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail_sender, "CONNECTIONS", 1)
    monkeypatch.setattr(mail_server, "ANSWER_MAX_S", 0.5)
    addresses = ["refused@example.com", "later@example.com", "dies@example.com", "slow@example.com", "no address"]
    await put(*(address for number, bad in enumerate(addresses) for address in (bad, f"ada{number}@example.com")))
    await sender.run_once()
    found = await states(query)
    assert {address: found[address] for address in addresses} == {
        "refused@example.com": ("failed", "recipient_refused"),
        "later@example.com": ("pending", "smtp_451"),
        "dies@example.com": ("pending", "smtp_disconnected"),
        "slow@example.com": ("pending", "smtp_timeout"),
        "no address": ("failed", "undeliverable_address"),
    }
    assert len(mailbox.mails) == 5
    failed = [event["toaddr"] for event in await journal(query) if event["type"] == "notification.failed"]
    assert sorted(failed) == ["no address", "refused@example.com"]


@pytest.mark.parametrize(
    ("answer", "ended"),
    [("554 Spam", ("failed", "message_refused")), ("452 Full", ("pending", "smtp_452"))],
)
async def test_the_reply_to_the_data_decides_the_outcome(
    sender: MailSender, put: Any, mailbox: Any, query: Any, answer: str, ended: tuple[str, str]
) -> None:
    mailbox.answer_to_data = answer
    await put("ada@example.com")
    await sender.run_once()
    assert await states(query) == {"ada@example.com": ended}


async def test_an_unreachable_server_is_tried_again_later(
    database: Any, settings: Any, payments: Any, put: Any, mailbox: Any, query: Any, sender: MailSender
) -> None:
    await put("ada@example.com")
    unreachable = MailServer(msgspec.structs.replace(settings, smtp_port=1))
    away = MailSender(database, unreachable, payments, Templates())
    assert not await away.run_once()
    assert await states(query) == {"ada@example.com": ("pending", "smtp_unavailable")}
    assert not await sender.run_once(), "it is not due yet"
    await query("UPDATE notifications SET next_attempt_at = now()")
    await sender.run_once()
    assert await states(query) == {"ada@example.com": ("sent", None)}


async def test_a_message_fails_after_the_last_attempt(sender: MailSender, put: Any, mailbox: Any, query: Any) -> None:
    await put("later@example.com")
    await query("UPDATE notifications SET attempts = $1", ATTEMPTS_MAX - 1)
    await sender.run_once()
    assert await states(query) == {"later@example.com": ("failed", "attempts_exhausted")}
    assert [event["code"] for event in await journal(query)] == ["attempts_exhausted"]


async def test_the_metrics_report_outcomes_and_the_age_of_pending_mails(
    database: Any, sender: MailSender, put: Any, mailbox: Any, query: Any
) -> None:
    def count(outcome: str) -> float:
        return REGISTRY.get_sample_value("cartwright_mails_total", {"outcome": outcome}) or 0.0

    before = [count(outcome) for outcome in ("sent", "put_off", "given_up")]
    await put("ada@example.com", "later@example.com", "refused@example.com")
    await query("UPDATE notifications SET created_at = created_at - interval '2 h' WHERE toaddr LIKE 'later%'")
    await sender.run_once()
    await measure_backlog(database)
    assert [count(outcome) for outcome in ("sent", "put_off", "given_up")] == [number + 1 for number in before]
    assert REGISTRY.get_sample_value("cartwright_mails_pending") == 1
    assert 7200 < (REGISTRY.get_sample_value("cartwright_mails_oldest_pending_seconds") or 0) < 7300


async def test_the_mails_of_a_crashed_sender_are_sent_when_its_lease_expires(
    database: Any, sender: MailSender, put: Any, mailbox: Any, query: Any
) -> None:
    await put("ada@example.com")
    claimed = await database.run(lambda c: notifications.claim_due(c, 10, 60.0))
    assert len(claimed) == 1
    await sender.run_once()
    assert mailbox.mails == []
    await query("UPDATE notifications SET next_attempt_at = now()")
    await sender.run_once()
    assert len(mailbox.mails) == 1


async def test_a_server_that_scans_a_mail_for_long_is_waited_for(
    sender: MailSender, put: Any, mailbox: Any, query: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail_sender, "CONNECTIONS", 1)
    monkeypatch.setattr(mail_server, "COMMAND_MAX_S", 0.3)
    monkeypatch.setattr(mail_server, "BEGIN_MAX_S", 0.5)
    mailbox.scan_s = 0.6
    await put("ada@example.com", "eve@example.com")
    await sender.run_once()
    # The second is not begun after the first has taken so long.
    assert sorted((await states(query)).values()) == [("pending", None), ("sent", None)]
    await sender.run_once()
    assert sorted(mail["To"] for mail in mailbox.mails) == ["ada@example.com", "eve@example.com"]


async def test_a_batch_that_takes_too_long_releases_the_mails_that_were_not_tried(
    sender: MailSender, put: Any, mailbox: Any, query: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail_sender, "CONNECTIONS", 1)
    monkeypatch.setattr(mail_server, "BATCH_MAX_S", 0.5)
    await put("slow@example.com")
    await sender.run_once()
    await put("slow2@example.com", "ada@example.com")
    await query("UPDATE notifications SET next_attempt_at = now() - interval '1 hour' WHERE toaddr LIKE 'slow2%'")
    await sender.run_once()
    rows = await query("SELECT toaddr, attempts, state FROM notifications ORDER BY toaddr")
    assert [(row["toaddr"], row["attempts"], row["state"]) for row in rows] == [
        ("ada@example.com", 0, "pending"),
        ("slow2@example.com", 1, "pending"),
        ("slow@example.com", 1, "pending"),
    ]


async def test_a_database_failure_after_the_sending_causes_no_second_mail(
    database: Any, sender: MailSender, put: Any, mailbox: Any, query: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put("ada@example.com")
    real_record = mail_sender.record_deliveries

    async def fail(*_: Any) -> None:
        raise ConnectionError

    monkeypatch.setattr(mail_sender, "record_deliveries", fail)
    with pytest.raises(Exception):  # noqa: B017, PT011
        await sender.run_once()
    await query("UPDATE notifications SET next_attempt_at = now()")
    monkeypatch.setattr(mail_sender, "record_deliveries", real_record)
    await sender.run_once()
    await sender.run_once()
    assert len(mailbox.mails) == 1
    assert await states(query) == {"ada@example.com": ("sent", None)}
    assert len(await journal(query)) == 1


async def test_a_late_sender_does_not_end_a_message_twice(
    database: Any, sender: MailSender, settings: Any, payments: Any, put: Any, query: Any
) -> None:
    await put("ada@example.com")
    late = MailSender(database, MailServer(settings), payments, Templates())
    late._unrecorded = await late._deliver(await database.run(lambda c: notifications.claim_due(c, 10, 0.0)))
    await sender.run_once()
    await late.run_once()
    assert len(await journal(query)) == 1


async def test_characters_beyond_ascii_arrive(sender: MailSender, put: Any, mailbox: Any, query: Any) -> None:
    await put("zoë@bücher.example")
    await query("UPDATE notifications SET subject = $1, body = $2", "Grüße 北京", "5 €\n.\n")
    await sender.run_once()
    (mail,) = mailbox.mails
    assert mail["Subject"] == "Grüße 北京"
    assert mail.get_content().replace("\r\n", "\n") == "5 €\n.\n"


async def test_a_server_without_smtputf8_gets_the_domain_in_punycode_and_no_local_part_beyond_ascii(
    sender: MailSender, put: Any, mailbox: Any, query: Any
) -> None:
    mailbox.has_smtputf8 = False
    await put("user@bücher.example", "zoë@bücher.example", "ada@example.com")
    await sender.run_once()
    assert await states(query) == {
        "user@bücher.example": ("sent", None),
        "zoë@bücher.example": ("failed", "address_not_supported"),
        "ada@example.com": ("sent", None),
    }
    assert sorted(mail["To"] for mail in mailbox.mails) == ["ada@example.com", "user@xn--bcher-kva.example"]
    failed = [event for event in await journal(query) if event["type"] == "notification.failed"]
    assert [(event["toaddr"], event["code"]) for event in failed] == [("zoë@bücher.example", "address_not_supported")]
