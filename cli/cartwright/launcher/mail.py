"""Takes the mail of an embedded system by SMTP, and shows it on a page: nothing leaves the machine."""

import argparse
import asyncio
import contextlib
import re
import signal
from dataclasses import asdict
from html import escape
from pathlib import Path

import uvloop
from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope, Session

from cartwright.launcher.layout import LOOPBACK
from cartwright.launcher.mailbox import Mailbox

MESSAGES_SHOWN_MAX = 200
MESSAGE_BYTES_MAX = 256 * 1024
HEAD_BYTES_MAX = 16 * 1024
"""To parse a long header takes the square of its length, and the page parses those of all messages that it shows."""

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Mail</title>
<style>body{{font:16px system-ui;margin:2rem}}td,th{{padding:.3rem 1rem;text-align:left}}</style></head>
<body><h1>Mail</h1><p>{count} messages, newest first.</p>
<table><tr><th>Arrived</th><th>To</th><th>Subject</th></tr>{rows}</table></body></html>"""
ROW = '<tr><td>{arrived}</td><td>{to}</td><td><a href="/messages/{id}">{subject}</a></td></tr>'


_PLAIN_ADDRESS = re.compile(r"<([\w.!#$%&'*+/=?^`{|}~-]+@[\w-]+(?:\.[\w-]+)*)>\s*(.*)", re.ASCII)


class PlainAddresses(SMTP):
    """Reads a plain address at a glance. The general way makes a class for each, which is a third of a mail's cost."""

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        plain = _PLAIN_ADDRESS.fullmatch(arg)
        return (plain[1], plain[2]) if plain is not None else super()._getaddr(arg)


class Sink:
    """What aiosmtpd calls for each message."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802
        content = envelope.content
        assert isinstance(content, bytes), "aiosmtpd decodes only when told to"
        if len(content.partition(b"\r\n\r\n")[0]) > HEAD_BYTES_MAX:
            return f"554 The header fields have more than {HEAD_BYTES_MAX} bytes"
        try:
            self._mailbox.keep(envelope.rcpt_tos, content)
        except OSError as error:
            # Temporary, so that the sender tries again: a full disk is no fault of the message.
            return f"452 {error.strerror}"
        return "250 Kept"


def page(mailbox: Mailbox) -> web.Application:
    async def show_list(_: web.Request) -> web.Response:
        rows = "".join(
            ROW.format(
                arrived=summary.arrived,
                to=escape(", ".join(summary.to)),
                id=summary.id,
                subject=escape(summary.subject or "(no subject)"),
            )
            for summary in mailbox.newest(None, MESSAGES_SHOWN_MAX)
        )
        return web.Response(text=PAGE.format(count=mailbox.count(), rows=rows), content_type="text/html")

    async def list_messages(request: web.Request) -> web.Response:
        summaries = mailbox.newest(request.query.get("to"), MESSAGES_SHOWN_MAX)
        return web.json_response(
            {"items": [asdict(summary) | {"text": mailbox.text(summary.id)} for summary in summaries]}
        )

    async def show_message(request: web.Request) -> web.Response:
        text = mailbox.text(request.match_info["id"])
        # As plain text whatever it holds: a message is not trusted to be a page.
        return (
            web.Response(text=text, headers={"X-Content-Type-Options": "nosniff"}) if text else web.Response(status=404)
        )

    async def health(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    application = web.Application()
    application.router.add_get("/", show_list)
    application.router.add_get("/messages", list_messages)
    application.router.add_get("/messages/{id}", show_message)
    application.router.add_get("/health", health)
    return application


async def serve(folder: Path, smtp_port: int, http_port: int, host: str = LOOPBACK) -> None:
    """Serves until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    mailbox = Mailbox(folder)
    # The name is given because aiosmtpd would otherwise ask the resolver for it, which may take long.
    smtp = await loop.create_server(
        lambda: PlainAddresses(
            Sink(mailbox), hostname="localhost", data_size_limit=MESSAGE_BYTES_MAX, enable_SMTPUTF8=True
        ),
        host,
        smtp_port,
    )
    runner = web.AppRunner(page(mailbox), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, http_port).start()
    await stopped.wait()
    smtp.close()
    await runner.cleanup()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--host", default=LOOPBACK)
    arguments.add_argument("--smtp-port", type=int, required=True)
    arguments.add_argument("--http-port", type=int, required=True)
    arguments.add_argument("--folder", type=Path, required=True)
    given = arguments.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve(given.folder, given.smtp_port, given.http_port, given.host))
