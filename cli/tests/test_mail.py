"""The mail sink: what a person or a test reads is what was sent."""

import asyncio
import contextlib
import smtplib
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import aiohttp
import pytest
from aiosmtpd.smtp import SMTP
from hypothesis import example, given
from hypothesis import strategies as st

from cartwright.launcher import mail
from cartwright.launcher.layout import LOOPBACK
from cartwright.launcher.mail import PlainAddresses
from cartwright.launcher.mailbox import Mailbox
from cartwright.testkit.servers import free_port


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


async def test_a_message_to_a_domain_in_punycode_is_found_by_its_name_in_unicode(running_mail: RunningMail) -> None:
    await running_mail.send("ada@xn--bcher-kva.example", "Hello", "-")
    for form in ("Ada@BÜCHER.example", "ada@xn--bcher-kva.example"):
        assert [message["to"] for message in await running_mail.messages(form)] == [["ada@xn--bcher-kva.example"]]


@pytest.mark.parametrize("field", ["Subject", "To", "X-Other"])
async def test_a_header_that_takes_long_to_parse_is_refused(running_mail: RunningMail, field: str) -> None:
    content = f"{field}: " + "=?utf-8?q?a?=\r\n " * 2_000 + "\r\n\r\ntext\r\n"

    def deliver() -> None:
        with smtplib.SMTP(LOOPBACK, running_mail.smtp_port, timeout=5) as connection:
            connection.sendmail("shop@cartwright.example", ["ada@example.com"], content)

    with pytest.raises(smtplib.SMTPDataError) as refused:
        await asyncio.to_thread(deliver)
    assert refused.value.smtp_code == 554
    assert await running_mail.messages("ada@example.com") == []


async def test_a_message_that_is_larger_than_any_of_the_shop_is_refused(running_mail: RunningMail) -> None:
    with pytest.raises(smtplib.SMTPResponseException) as refused:
        await running_mail.send("ada@example.com", "Large", "word " * mail.MESSAGE_BYTES_MAX)
    assert refused.value.smtp_code == 552


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
    mailbox = Mailbox(tmp_path, messages_max=4)
    for number in range(7):
        mailbox.keep(["ada@example.com"], f"Subject: {number}\r\n\r\n".encode())
    assert [summary.subject for summary in mailbox.newest(None, 10)] == ["6", "5", "4"]
    assert [summary.subject for summary in Mailbox(tmp_path).newest(None, 10)] == ["6", "5", "4"]
    assert len(list(tmp_path.iterdir())) == 2


def test_an_id_stays_that_of_its_message_after_a_restart(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path, messages_max=4)
    for number in range(3):
        mailbox.keep(["ada@example.com"], f"Subject: {number}\r\n\r\ntext {number}".encode())
    ids = {summary.subject: summary.id for summary in mailbox.newest(None, 10)}
    mailbox.keep(["ada@example.com"], b"Subject: more\r\n\r\n")
    after = Mailbox(tmp_path, messages_max=4)
    assert all(f"text {number}" in (after.text(ids[f"{number}"]) or "") for number in range(3))


@pytest.mark.parametrize("message_id", ["", "1", "1-9", "9-0", "x-0", "1--1", "../1-0", "1-" + "1" * 5_000])
def test_a_message_that_is_not_there_has_no_text(message_id: str, tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path)
    mailbox.keep(["ada@example.com"], b"Subject: kept\r\n\r\ntext")
    assert mailbox.text(message_id) is None


@pytest.mark.parametrize(
    "text",
    [
        "From here on\n",
        ">From here on\n>>From there\n",
        "\n\nFrom ada Sat Nov 21 15:50:22 2026\nSubject: another\n\nFrom\n",
        "no line end",
    ],
)
def test_a_text_is_read_as_it_was_sent(text: str, tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path)
    for _ in range(2):
        mailbox.keep(["ada@example.com"], b"Subject: one\r\n\r\n" + text.replace("\n", "\r\n").encode())
    for read in (mailbox, Mailbox(tmp_path)):
        newest = read.newest(None, 10)
        assert [summary.subject for summary in newest] == ["one", "one"]
        assert {read.text(summary.id) for summary in newest} == {f"Subject: one\n\n{text.rstrip()}\n"}


def test_a_message_cut_off_by_a_crash_spoils_no_other(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path)
    mailbox.keep(["ada@example.com"], b"Subject: first\r\n\r\ntext")
    (file,) = tmp_path.iterdir()
    whole = file.stat().st_size
    mailbox.keep(["ada@example.com"], b"Subject: second\r\n\r\nA text.\r\n\r\nFrom here on more.")
    content = file.read_bytes()
    for size in range(whole, len(content)):
        file.write_bytes(content[:size])
        after = Mailbox(tmp_path)
        subjects = [summary.subject for summary in after.newest(None, 10)]
        assert subjects in (["first"], ["second", "first"])
        after.keep(["ada@example.com"], b"Subject: third\r\n\r\ntext")
        assert [summary.subject for summary in Mailbox(tmp_path).newest(None, 10)] == ["third", *subjects]


def test_a_message_that_finds_no_room_is_refused_and_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    keeping = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from cartwright.launcher.mailbox import Mailbox\n"
        "mailbox = Mailbox(Path(sys.argv[1]))\n"
        "mailbox.keep(['ada@example.com'], b'Subject: first\\r\\n\\r\\ntext')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200, resource.RLIM_INFINITY))\n"
        "try:\n"
        "    mailbox.keep(['ada@example.com'], b'Subject: second\\r\\n\\r\\n' + b'x' * 1000)\n"
        "except OSError as error:\n"
        "    print('refused', [summary.subject for summary in mailbox.newest(None, 10)])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "mailbox.keep(['ada@example.com'], b'Subject: third\\r\\n\\r\\ntext')\n"
        "for read in (mailbox, Mailbox(Path(sys.argv[1]))):\n"
        "    print([(summary.id, summary.subject) for summary in read.newest(None, 10)])\n"
    )

    told = subprocess.run(
        [sys.executable, "-c", keeping, str(tmp_path)], capture_output=True, text=True, timeout=30, check=True
    ).stdout.splitlines()

    assert told == ["refused ['first']", *["[('1-1', 'third'), ('1-0', 'first')]"] * 2]


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "saved.mbox").write_bytes(b"From ada Sat Nov 21 15:50:22 2026\n\n\n")
    assert Mailbox(tmp_path).count() == 0


def test_when_a_message_arrived_is_told_in_utc(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path)
    before = datetime.now(UTC).replace(microsecond=0)
    mailbox.keep(["ada@example.com"], b"Subject: now\r\n\r\ntext")
    (summary,) = mailbox.newest(None, 1)
    assert before <= datetime.fromisoformat(summary.arrived) <= datetime.now(UTC)


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
