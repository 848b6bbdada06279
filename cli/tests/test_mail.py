"""The mail sink: what a person or a test reads is what was sent."""

import asyncio
import contextlib
import smtplib
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path

import aiohttp
import pytest
from aiosmtpd.smtp import SMTP
from hypothesis import example, given
from hypothesis import strategies as st

from cartwright.embedded import mail
from cartwright.embedded.layout import LOOPBACK
from cartwright.embedded.mail import Mailbox, PlainAddresses
from cartwright.embedded.scratch import free_port


class RunningMail:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.smtp_port, self.http_port = free_port(), free_port()

    async def send(self, to: str, subject: str, text: str) -> None:
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = "shop@cartwright.example", to, subject
        message.set_content(text)

        def deliver() -> None:
            with smtplib.SMTP(LOOPBACK, self.smtp_port, timeout=5) as connection:
                connection.send_message(message)

        await asyncio.to_thread(deliver)

    async def get(self, path: str) -> str:
        address = f"http://{LOOPBACK}:{self.http_port}{path}"
        async with aiohttp.ClientSession() as http, http.get(address, timeout=aiohttp.ClientTimeout(5)) as answer:
            return await answer.text()

    async def messages(self, to: str) -> list[dict[str, str]]:
        address = f"http://{LOOPBACK}:{self.http_port}/messages"
        async with aiohttp.ClientSession() as http, http.get(address, params={"to": to}) as answer:
            items: list[dict[str, str]] = (await answer.json())["items"]
            return items


@pytest.fixture
async def running_mail(tmp_path: Path) -> AsyncIterator[RunningMail]:
    running = RunningMail(tmp_path)
    served = asyncio.create_task(mail.serve(tmp_path, running.smtp_port, running.http_port))
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                await running.get("/health")
                break
            await asyncio.sleep(0.01)
    yield running
    served.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await served


async def test_a_message_is_found_by_its_recipient(running_mail: RunningMail) -> None:
    await running_mail.send("ada@example.com", "Your order is confirmed", "2 keyboards für Ada")
    await running_mail.send("bob@example.com", "Another", "-")
    (message,) = await running_mail.messages("Ada@example.com")
    assert message["subject"] == "Your order is confirmed"
    assert "2 keyboards für Ada" in message["text"]


async def test_the_page_lists_messages_newest_first_and_trusts_none(running_mail: RunningMail) -> None:
    await running_mail.send("ada@example.com", "<script>alert(1)</script>", "first")
    await running_mail.send("ada@example.com", "second", "second")
    page = await running_mail.get("/")
    assert "<script>" not in page
    assert page.index("second") < page.index("&lt;script&gt;")


async def test_no_file_but_messages_can_be_read(running_mail: RunningMail) -> None:
    (running_mail.folder.parent / "credentials.json").write_text("secret")
    assert "secret" not in await running_mail.get("/messages/..%2Fcredentials.json")


def test_messages_are_still_there_after_a_restart(tmp_path: Path) -> None:
    Mailbox(tmp_path).keep(["ada@example.com"], b"Subject: kept\r\n\r\ntext")
    assert [summary.subject for summary in Mailbox(tmp_path).newest("ada@example.com", 10)] == ["kept"]


def test_only_the_newest_messages_are_kept(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path, messages_max=2)
    for number in range(4):
        mailbox.keep(["ada@example.com"], f"Subject: {number}\r\n\r\n".encode())
    assert [summary.subject for summary in mailbox.newest(None, 10)] == ["3", "2"]
    assert len(list(tmp_path.glob("*.eml"))) == 2


def test_a_message_cut_off_by_a_crash_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "1-a.unfinished").write_bytes(b"Subject: half")
    assert Mailbox(tmp_path).count() == 0
    assert not list(tmp_path.iterdir())


@example("<ada@example.com>")
@example("<ada@example.com> SIZE=100 BODY=8BITMIME")
@example("<ada@example..com>")
@example("")
@given(st.from_regex(r"<?[a-z.\"+ ]{0,3}@?[a-z.\[-]{0,4}>?( SIZE=1)?", fullmatch=True))
def test_an_address_that_is_read_at_a_glance_is_read_as_the_library_does(given_address: str) -> None:
    async def read(kind: type[SMTP]) -> object:
        try:
            return kind(None, hostname=LOOPBACK)._getaddr(given_address)
        except (IndexError, AttributeError) as error:  # Of what ends too early, by the library as it is.
            return type(error)

    assert asyncio.run(read(PlainAddresses)) == asyncio.run(read(SMTP))
