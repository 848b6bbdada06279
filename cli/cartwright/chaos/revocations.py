"""Takes rights away while things break: sessions end, an administrator is demoted. Their tokens must be worth nothing.

Promise 14. The tokens are kept, and are tried at each service when all is healed: none of them has expired by then, and
each replica is called. The two seconds of the promise cannot be checked while a network is down.
"""

import asyncio
import secrets
import time
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec

from cartwright.chaos.clients import PAUSE_S_MAX, Account, GatewayClient
from cartwright.verifier.findings import Findings

RIGHTS_GONE = 14
REST_S = 8.0
TRIES = 4
"""At each service: it has two replicas, which take turns."""
TOKEN_LEFT_S_MIN = 30.0
_SAYS_NOTHING = frozenset({0, 502, 503, 504})
FORM = {"content-type": "application/x-www-form-urlencoded"}
_OF_CUSTOMERS = (("GET", "/users/me"), ("GET", "/orders?limit=1"), ("GET", "/payment-methods"))
_OF_ADMINISTRATORS = (("GET", "/users?limit=1"), ("GET", "/audit/events?limit=1"), ("POST", "/products"))


class Revoked(msgspec.Struct, frozen=True):
    """An access token whose right was taken away, which was answered."""

    how: str
    token: str
    expires_at: float
    """On the monotonic clock."""


class Revocations:
    """`run` until cancelled; then `judge`."""

    def __init__(self, line: GatewayClient, administrator: Account) -> None:
        self._line = line
        self._administrator = administrator
        self._email = f"leaver-{secrets.token_hex(6)}@example.com"
        self._password = secrets.token_urlsafe(18)
        self._id = ""
        self._revoked: list[Revoked] = []

    async def run(self) -> None:
        body = {"email": self._email, "name": "Ada Lovelace", "password": self._password}
        self._id = str(
            (await self._insist("POST", "/users", body, headers={"idempotency-key": str(uuid.uuid4())}))["id"]
        )
        while True:
            await self._sign_out()
            await self._demote()
            await asyncio.sleep(REST_S)

    async def judge(self) -> Findings:
        """Tries each token that was revoked and has not expired."""
        findings = Findings(0.0)
        alive = [kept for kept in self._revoked if kept.expires_at > time.monotonic()]
        for kept in alive:
            for method, path in (*_OF_CUSTOMERS, *_OF_ADMINISTRATORS):
                for _ in range(TRIES):
                    status, answer, trouble = await self._send(method, path, None, {}, kept.token)
                    if status != 401 and status not in _SAYS_NOTHING:
                        told = f"{method} {path} was answered {status} {trouble or answer.decode()[:100]}"
                        findings.violated("a revoked token was accepted", kept.how, told)
                        break
        findings.checked_so_many("revoked tokens", len(alive))
        return findings

    async def _sign_out(self) -> None:
        tokens, began = await self._sign_in()
        await self._insist("POST", "/auth/sign-out", {"refresh_token": tokens["refresh_token"]})
        self._keep("signed out", tokens, began)

    async def _demote(self) -> None:
        await self._set_roles("customer", "admin")
        tokens, began = await self._sign_in()
        await self._set_roles("customer")
        self._keep("demoted", tokens, began)

    def _keep(self, how: str, tokens: Mapping[str, Any], began: float) -> None:
        expires_at = began + float(tokens["expires_in"]) - TOKEN_LEFT_S_MIN
        self._revoked.append(Revoked(how, str(tokens["access_token"]), expires_at))

    async def _sign_in(self) -> tuple[dict[str, Any], float]:
        form = urlencode({"grant_type": "password", "username": self._email, "password": self._password})
        began = time.monotonic()
        return await self._insist("POST", "/auth/token", form.encode(), headers=FORM), began

    async def _set_roles(self, *roles: str) -> None:
        path = f"/users/{self._id}/roles"
        await self._insist("PUT", path, {"roles": roles}, by=self._administrator)

    async def _insist(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | bytes,
        *,
        headers: Mapping[str, str] | None = None,
        by: Account | None = None,
    ) -> Any:
        """What is answered in the end. Each of these calls may be repeated."""
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        while True:
            if by is not None:
                await by.keep_signed_in()
            status, answer, _ = await self._send(method, path, content, headers or {}, by.token if by else "")
            if 200 <= status < 300:
                return msgspec.json.decode(answer) if answer else None
            if status == 401 and by is not None:
                by.token_was_refused()
            await asyncio.sleep(PAUSE_S_MAX)

    async def _send(
        self, method: str, path: str, content: bytes | None, headers: Mapping[str, str], token: str
    ) -> tuple[int, bytes, str]:
        if token:
            headers = {**headers, "authorization": f"Bearer {token}"}
        return await self._line.send(method, path, content, headers)
