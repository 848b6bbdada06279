"""Revocations: which access tokens users has taken back. Each service follows them, and checks without a call.

Guarantee: with users in reach, a token is refused `POLL_S` after the commit that revoked it, in every replica, also in
one that has just started. Decision 21 says what holds while users is out of reach.
"""

import asyncio
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import structlog

from chassis.lifecycle import Loop
from chassis.problems import TokenRevoked, Unavailable
from chassis.security.tokens import Caller, UserKeys
from chassis.telemetry import metrics
from chassis.web.client import ServiceClient

PATH = "/revocations"
REVOCATIONS_MAX = 50_000
"""In one answer. In memory there are up to twice as many: 20 MB."""
POLL_S = 1.0
PAUSE_S_MAX = 0.5
"""After failed polls. A service that starts before users has an answer within that time of users' start."""
REREAD_S = 60.0
"""After so long everything is read anew, which drops what has expired."""
FIRST_ANSWER_S_MAX = 3.0
ADMINISTRATORS_S_MAX = 10.0
"""When the last answer of users is older, requests of administrators get 503. Customers go on to buy."""
_log = structlog.get_logger()


class RightsUnknown(Unavailable):
    code, title = "rights_unknown", "It cannot be told at the moment whether this access token was revoked."


class Revocation(msgspec.Struct, frozen=True):
    """Either the tokens of a session, or those of an account that were issued before `version` of the account."""

    session_id: str | None = None
    user_id: UUID | None = None
    version: int | None = None


class Revocations(msgspec.Struct, frozen=True):
    """What users answers: the revocations after a cursor, or all of which a token may still be alive.

    `cursor` stands for everything up to this answer. When there are more than an answer holds, the oldest are left out,
    and tokens that were issued before `issued_before` are refused in their stead.
    """

    items: list[Revocation]
    cursor: str
    issued_before: datetime | None = None


class RevocationFollower:
    """A `Part`, and the `Rights` of every service but users: polls users and keeps its revocations in memory.

    `keys` are the signing keys of users, which are read anew at times as well.
    """

    def __init__(self, users: ServiceClient) -> None:
        self.keys = UserKeys(self._fetch_keys)
        self._users = users
        self._loop = Loop("revocations", self._turn, rest_s=POLL_S, pause_s_max=PAUSE_S_MAX)
        self._known = asyncio.Event()
        self._read_at = time.monotonic()
        self._reread_at = float("-inf")
        self._cursor = ""
        self._sessions: set[str] = set()
        self._versions: dict[UUID, int] = {}
        self._issued_before = 0.0
        metrics.REVOCATIONS_AGE.set_function(lambda: time.monotonic() - self._read_at)

    async def start(self) -> None:
        await self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()

    async def confirm(self, caller: Caller) -> None:
        """Raises `TokenRevoked`; `RightsUnknown` before the first answer, and for administrators without a recent one.

        Waits for the first answer, which a service needs as much as it needs the keys, and for nothing after that.
        """
        if not self._known.is_set():
            await self._first_answer()
        assert caller.user_id is not None, "services have rights of their own"
        if (
            caller.session_id in self._sessions
            or caller.account_version < self._versions.get(caller.user_id, 0)
            or caller.issued_at < self._issued_before
        ):
            raise TokenRevoked
        if caller.is_administrator and time.monotonic() - self._read_at > ADMINISTRATORS_S_MAX:
            raise RightsUnknown

    async def _first_answer(self) -> None:
        try:
            async with asyncio.timeout(FIRST_ANSWER_S_MAX):
                await self._known.wait()
        except TimeoutError:
            raise RightsUnknown from None

    async def _turn(self) -> bool:
        asked_at = time.monotonic()
        anew = asked_at >= self._reread_at or self._kept > 2 * REVOCATIONS_MAX
        query = None if anew else {"after": self._cursor}
        try:
            # The breaker is for calls that requests wait for: these polls, which fail until users has started, would
            # open it for them.
            answer = await self._users.call(
                "GET", PATH, Revocations, query=query, idempotent=True, attempts=1, by_breaker=False
            )
            if anew:
                await self.keys.refresh()
        except Exception:
            # The database of users may be failing over to one that lacks the latest revocations.
            self._reread_at = float("-inf")
            raise
        if anew:
            self._sessions, self._versions, self._issued_before = set(), {}, 0.0
            self._reread_at = asked_at + REREAD_S
        self._add(answer)
        self._read_at = asked_at
        self._known.set()
        return False

    @property
    def _kept(self) -> int:
        return len(self._sessions) + len(self._versions)

    def _add(self, answer: Revocations) -> None:
        for item in answer.items:
            if item.session_id is not None:
                self._sessions.add(item.session_id)
            if item.user_id is not None and item.version is not None:
                self._versions[item.user_id] = max(item.version, self._versions.get(item.user_id, 0))
        if answer.issued_before is not None:
            self._issued_before = max(self._issued_before, answer.issued_before.timestamp())
        self._cursor = answer.cursor

    async def _fetch_keys(self) -> Mapping[str, Any]:
        return await self._users.call("GET", "/.well-known/jwks.json", dict[str, Any], idempotent=True)
