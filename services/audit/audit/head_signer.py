"""Signs heads of the chain, and verifies signed heads.

The key is the service's own. It is in a file and not in the database: an attacker who can write to the database alone
can recompute every hash, but cannot sign a head (decision 24).
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

from audit.domain.chain import Head

TYPE = "audit-head"
"""`typ` in the header. It tells a signed head from the tokens and events that the same key signs."""
ALGORITHM = "ES256"


class HeadForged(Exception):
    """A statement is not a head that the audit service signed."""


class SignedHead(msgspec.Struct, frozen=True):
    """The payload of a statement. `hash` is hexadecimal."""

    position: int
    hash: str
    signed_at: datetime


class HeadSigner:
    """Signs with the private key of the service, and verifies with the public keys of the audit service."""

    def __init__(self, service_key: str, service_keys: str) -> None:
        self._key = ECKey.import_key(msgspec.json.decode(service_key))
        own = [key for key in msgspec.json.decode(service_keys)["keys"] if key.get("kid") == self._key.kid]
        self.public_keys: Mapping[str, Any] = {"keys": own}
        self._public = KeySet.import_key_set({"keys": own})

    def sign(self, head: Head) -> str:
        """The statement: a JWS (RFC 7515) in compact form."""
        signed = SignedHead(head.position, head.hash.hex(), datetime.now(UTC))
        header = {"alg": ALGORITHM, "kid": self._key.kid, "typ": TYPE}
        return jws.serialize_compact(header, msgspec.json.encode(signed), self._key, algorithms=[ALGORITHM])

    def read(self, statement: str) -> SignedHead:
        """The signed head in a statement. Raises `HeadForged`."""
        try:
            signed = jws.deserialize_compact(statement, self._public, algorithms=[ALGORITHM])
            head = msgspec.json.decode(signed.payload, type=SignedHead)
        except (JoseError, msgspec.MsgspecError, ValueError) as error:
            raise HeadForged("it is not signed by the audit service") from error
        if signed.headers().get("typ") != TYPE:
            raise HeadForged("it is not a signed head")
        return head
