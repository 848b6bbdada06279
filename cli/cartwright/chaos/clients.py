"""The clients: each call is bounded, recorded with its answer, and repeated while its outcome is unknown."""

import asyncio
import random
import secrets
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgspec

from cartwright.chaos.history import NOTHING, Call, HistoryWriter
from cartwright.launcher.errors import CannotGoOn

CALL_S_MAX = 8.0
PAUSE_S_MIN, PAUSE_S_MAX = 0.1, 2.0
# An access token lives for 15 minutes.
TOKEN_LEFT_S_MIN = 180.0
REGISTER_S_MAX = 60.0
CONNECTIONS_MAX = 400

_encode = msgspec.json.Encoder().encode


class GatewayClient:
    """The way to the gateway, shared by all clients; writes down whatever passes. An async context manager."""

    def __init__(self, url: str, recorder: HistoryWriter) -> None:
        self.url = url
        self._recorder = recorder
        self._began = time.monotonic()

    async def __aenter__(self) -> "GatewayClient":
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX, keepalive_timeout=20),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    def begin(self) -> None:
        """Now is second 0 of the record."""
        self._began = time.monotonic()

    def now_s(self) -> float:
        return time.monotonic() - self._began

    async def call(
        self,
        account: "Account",
        what: str,
        method: str,
        path: str,
        *,
        body: Any = None,
        key: str | None = None,
        meant: list[tuple[str, int]] | None = None,
        subject: str | None = None,
        cart: str | None = None,
        prefer: str | None = None,
        timeout_s: float = CALL_S_MAX,
    ) -> Call:
        """One call and its answer, whatever comes of it: the status is 0 when no answer came."""
        id_ = str(uuid.uuid4())
        headers = {"x-request-id": id_}
        if account.token:
            headers["authorization"] = f"Bearer {account.token}"
        if key is not None:
            headers["idempotency-key"] = key
        if prefer is not None:
            headers["prefer"] = prefer
        content = None if body is None else _encode(body)
        at_s = self.now_s()
        status, answer, trouble = await self.send(method, path, content, headers, timeout_s)
        call = Call(
            id=id_,
            at_s=round(at_s, 4),
            took_s=round(self.now_s() - at_s, 4),
            who=account.id,
            what=what,
            path=path,
            key=key,
            body=NOTHING if content is None else msgspec.Raw(content),
            meant=meant,
            subject=subject,
            cart=cart,
            status=status,
            answer=_one_line(answer),
            trouble=trouble,
        )
        self._recorder.write(call)
        return call

    async def send(
        self, method: str, path: str, content: bytes | None, headers: Mapping[str, str], timeout_s: float = CALL_S_MAX
    ) -> tuple[int, bytes, str]:
        """A call that is not recorded: its status or 0, its answer, and the trouble when none came."""
        if content is not None:
            headers = {"content-type": "application/json", **headers}
        try:
            async with self._http.request(
                method, self.url + path, data=content, headers=headers, timeout=aiohttp.ClientTimeout(total=timeout_s)
            ) as response:
                # An answer that breaks off says nothing.
                return response.status, await response.read(), ""
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return 0, b"", f"{type(error).__name__}: {error}"


class Account:
    """A user with an access token, which is renewed in time."""

    def __init__(self, line: GatewayClient, email: str, password: str) -> None:
        self._line = line
        self.email = email
        self._password = password
        self.id = ""
        self.token = ""
        self._renew_at = 0.0
        self._renewing = asyncio.Lock()
        self.cart = asyncio.Lock()
        """A cart is filled and bought by one at a time."""
        self.cart_is_doubtful_until = 0.0
        """On the monotonic clock: a change that was not answered may still take effect, when a frozen replica wakes."""

    async def register(self) -> None:
        """Raises CannotGoOn when the system does not take new customers."""
        body = _encode({"email": self.email, "name": "Ada Lovelace", "password": self._password})
        deadline = time.monotonic() + REGISTER_S_MAX
        while True:
            status, answer, trouble = await self._line.send("POST", "/users", body, {})
            if status == 201:
                self.id = str(msgspec.json.decode(answer)["id"])
                return
            # A busy machine checks passwords one after the other, and says so.
            if status not in {0, 503} or time.monotonic() > deadline:
                raise CannotGoOn(f"{self.email} could not be registered: {status} {trouble or answer.decode()}")
            await asyncio.sleep(PAUSE_S_MAX)

    async def sign_in(self) -> None:
        """Raises CannotGoOn when it is not let in."""
        deadline = time.monotonic() + REGISTER_S_MAX
        await self._renew()
        while not self.token:
            if time.monotonic() > deadline:
                raise CannotGoOn(f"{self.email} could not sign in.")
            await asyncio.sleep(PAUSE_S_MAX)
            await self._renew()

    async def keep_signed_in(self) -> None:
        """While users is away the old token has to do."""
        if time.monotonic() < self._renew_at or self._renewing.locked():
            return
        async with self._renewing:
            self._renew_at = time.monotonic() + PAUSE_S_MAX
            await self._renew()

    def token_was_refused(self) -> None:
        self._renew_at = 0.0

    async def _renew(self) -> None:
        form = urlencode({"grant_type": "password", "username": self.email, "password": self._password})
        headers = {"content-type": "application/x-www-form-urlencoded"}
        status, answer, _ = await self._line.send("POST", "/auth/token", form.encode(), headers)
        if status == 200:
            tokens = msgspec.json.decode(answer)
            self.token = str(tokens["access_token"])
            self._renew_at = time.monotonic() + float(tokens["expires_in"]) - TOKEN_LEFT_S_MIN


def _one_line(answer: bytes) -> msgspec.Raw:
    """The answer as it came, but for the end of line that Envoy adds; nothing where it is no JSON."""
    try:
        msgspec.json.decode(answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return NOTHING
    return msgspec.Raw(answer.strip())


def new_key() -> str:
    return secrets.token_hex(12)


async def until_known(
    account: Account, ask: Callable[[], Awaitable[Call]], give_up: Callable[[], bool], draw: random.Random
) -> Call:
    """Asks the same again, with the same key, until there is a definite answer; the last one when it is given up."""
    pause_s = PAUSE_S_MIN
    while True:
        await account.keep_signed_in()
        call = await ask()
        if call.status == 401:
            account.token_was_refused()
        elif not call.is_unknown and call.code != "key_in_progress":
            return call
        if give_up():
            return call
        await asyncio.sleep(pause_s * draw.uniform(0.5, 1.5))
        pause_s = min(pause_s * 2, PAUSE_S_MAX)
