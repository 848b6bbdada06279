"""Signs the end of the chain again and again, so that a chain which was rewritten with its head is found out.

The key is the service's own, which is in a file and not in the database: who can write to the database alone can
recompute every hash, and sign none. Each head is kept three times: in a table that the service's login only adds to, in
a file beside the JSON lines, and wherever an operator stores what `GET /audit/heads` answers (decision 24).
"""

import asyncio
import os
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

from audit import store
from audit.chain import Head
from chassis.lifecycle import Loop
from chassis.persistence.database import Connection, Database

SIGN_S = 60.0
"""How often a head is signed while the chain grows: what was recorded since the last one is not protected yet."""
SIGN_AGAIN_AFTER = timedelta(days=1)
"""A chain that does not grow is signed once a day, to show that it was whole then."""
TYPE = "audit-head"
"""In the header, so that no token and no event that the same key signs can be taken for a head."""
ALGORITHM = "ES256"
_WHOLE = re.compile(r"[\w-]+\.[\w-]+\.[\w-]{86}", re.ASCII)
"""A statement: header, payload, and the 64 bytes of an ES256 signature (RFC 7518, 3.4), each in base64url."""


class HeadForged(Exception):
    """A statement is no head that the audit service has signed."""


class SignedHead(msgspec.Struct, frozen=True):
    """`hash` is hexadecimal."""

    position: int
    hash: str
    signed_at: datetime


class HeadSigner:
    """Signs with the service's private key, and verifies by the public keys of the audit service."""

    def __init__(self, service_key: str, service_keys: str) -> None:
        self._key = ECKey.import_key(msgspec.json.decode(service_key))
        own = [key for key in msgspec.json.decode(service_keys)["keys"] if key.get("kid") == self._key.kid]
        self.public_keys: Mapping[str, Any] = {"keys": own}
        self._public = KeySet.import_key_set({"keys": own})

    def sign(self, head: Head) -> str:
        signed = SignedHead(head.position, head.hash.hex(), datetime.now(UTC))
        header = {"alg": ALGORITHM, "kid": self._key.kid, "typ": TYPE}
        return jws.serialize_compact(header, msgspec.json.encode(signed), self._key, algorithms=[ALGORITHM])

    def read(self, statement: str) -> SignedHead:
        """What a statement says. Raises `HeadForged`."""
        try:
            signed = jws.deserialize_compact(statement, self._public, algorithms=[ALGORITHM])
            head = msgspec.json.decode(signed.payload, type=SignedHead)
        except (JoseError, msgspec.MsgspecError, ValueError) as error:
            raise HeadForged("it is not signed by the audit service") from error
        if signed.headers().get("typ") != TYPE:
            raise HeadForged("it is no signed head")
        return head


class HeadsFile:
    """One statement a line. Replicas that share a folder add to one file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, statement: str) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            # A line that a crash or a full disk cut off ends here.
            remaining = memoryview(f"\n{statement}\n".encode())
            while remaining:
                remaining = remaining[os.write(file, remaining) :]
            os.fsync(file)
        finally:
            os.close(file)

    def pages(self, size: int) -> Iterator[list[str]]:
        """The statements, so many at a time. A line that was cut off is none: another one follows it."""
        if not self._path.exists():
            return
        with self._path.open() as lines:
            statements = filter(_WHOLE.fullmatch, map(str.strip, lines))
            while page := list(islice(statements, size)):
                yield page


class SignedHeads:
    """A `Part`. Signs the head at intervals."""

    def __init__(self, database: Database, signer: HeadSigner, file: HeadsFile) -> None:
        self._database = database
        self._signer = signer
        self._file = file
        self._loop = Loop("signed heads", self._turn, rest_s=SIGN_S)

    async def start(self) -> None:
        await self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()

    async def _turn(self) -> bool:
        await self.sign()
        return False

    async def sign(self) -> None:
        """Sign the present head, unless that was done."""
        if not await self._database.read(self._is_due):
            return
        statement = await self._database.run(self._sign)
        if statement is not None:
            await asyncio.to_thread(self._file.append, statement)

    async def _sign(self, connection: Connection) -> str | None:
        # Only one replica at a time signs, and no entry is added meanwhile.
        head = await store.lock_head(connection)
        if not await self._is_due(connection):
            return None
        statement = self._signer.sign(head)
        await store.insert_statement(connection, head.position, statement)
        return statement

    async def _is_due(self, connection: Connection) -> bool:
        head = await store.read_head(connection)
        latest = await store.read_latest_statement(connection)
        if latest is None or head.position == 0:
            return head.position > 0
        try:
            signed = self._signer.read(latest)
        except HeadForged:
            return True  # `GET /audit/verify` says so. What is recorded from now on is to be protected all the same.
        return signed.position < head.position or datetime.now(UTC) - signed.signed_at >= SIGN_AGAIN_AFTER
