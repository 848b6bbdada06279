"""A broker whose messages are signed: an event has an effect only if it comes from the service that owns its type.

Each message is signed with the key of the service that publishes it (ECDSA with P-256 and SHA-256, over all of its
events at once), and the signature travels in a header. Consumers check it against the public key, and the type of each
event against a table of owners. So the origin holds whatever a broker login allows, over copies of a history, deferred
messages, and a broker to which an attacker has written. A message that fails is acknowledged and dropped: it
is counted and logged, and its ids stay free for the events that have them by right.
"""

import time
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import structlog
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.jwk import ECKey

from chassis.messaging.broker import Broker, Delivery, Message, Subscription, is_among
from chassis.messaging.brokers import broker_for
from chassis.security.tokens import keys_by_id
from chassis.telemetry import metrics

SAID_BY_ALL = frozenset({"operator"})
"""The families of types that the chassis says for every service, each under its own name."""
REASONS = UNSIGNED, BAD_SIGNATURE, NOT_THE_OWNER, ANOTHER_TYPE = (
    "unsigned",
    "bad signature",
    "not the owner",
    "another type",
)
LOG_PAUSE_S = 10.0
"""Between two lines about refused messages of a group, so that a flood of them is no flood of lines."""
_PREFIX = b"cartwright events 1\n"
"""Part of what is signed, so that no signature over anything else can stand for one over events."""
_ALGORITHM = ECDSA(SHA256())
_log = structlog.get_logger()


class _Origin(msgspec.Struct):
    source: str
    type: str


_decode_origins = msgspec.json.Decoder(list[_Origin]).decode
_decode_origin = msgspec.json.Decoder(_Origin).decode


class Signer:
    """Signs as one service."""

    def __init__(self, service: str, key: str) -> None:
        """`key` is the private key of the service: a JWK in JSON."""
        self._service = service
        private = ECKey.import_key(msgspec.json.decode(key)).private_key
        assert isinstance(private, EllipticCurvePrivateKey), "the key of a service is a private one"
        self._key = private

    def sign(self, body: bytes) -> str:
        """The service's name, a colon, and the signature in base64."""
        return f"{self._service}:{b64encode(self._key.sign(_PREFIX + body, _ALGORITHM)).decode()}"


class Origins:
    """Knows the services' public keys, and which service owns which types."""

    def __init__(self, keys: str, owners: Mapping[str, str]) -> None:
        """`keys` is a JWKS in JSON; `owners` names a service by the first part of a type: `order.placed` by `order`."""
        self.owners = owners
        self._keys = {name: _public(key) for name, key in keys_by_id(msgspec.json.decode(keys)).items()}

    def refusal(self, signature: str, body: bytes, types: Sequence[str]) -> str | None:
        """Why a message may have no effect for a group that asked for `types`; None for one that may."""
        service, _, encoded = signature.partition(":")
        if not signature:
            return UNSIGNED
        key = self._keys.get(service)
        if key is None or not _is_valid(key, encoded, body):
            return BAD_SIGNATURE
        try:
            events = _decode_origins(body) if body.startswith(b"[") else [_decode_origin(body)]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None  # It is from that service, and the consumer tells that it is no event.
        for event in events:
            family = event.type.partition(".")[0]
            if event.source != f"/{service}" or (family not in SAID_BY_ALL and self.owners.get(family) != service):
                return NOT_THE_OWNER
            # A message that is right under another type would reach a handler that does not expect it.
            if not is_among(event.type, types):
                return ANOTHER_TYPE
        return None


def _public(key: ECKey) -> EllipticCurvePublicKey:
    public = key.public_key
    assert isinstance(public, EllipticCurvePublicKey)
    return public


def _is_valid(key: EllipticCurvePublicKey, encoded: str, body: bytes) -> bool:
    try:
        key.verify(b64decode(encoded, validate=True), _PREFIX + body, _ALGORITHM)
    except (InvalidSignature, ValueError):
        return False
    return True


class SignedBroker:
    """A `Broker` over another one."""

    def __init__(self, broker: Broker, signer: Signer, origins: Origins) -> None:
        self._broker = broker
        self._signer = signer
        self._origins = origins

    async def start(self) -> None:
        await self._broker.start()

    async def stop(self) -> None:
        await self._broker.stop()

    async def publish(self, messages: Sequence[Message]) -> None:
        await self._broker.publish(
            [
                # Under an id of its own: to a broker it is no repetition of one that was published unsigned.
                Message(f"signed-{message.id}", message.type, message.body, self._signer.sign(message.body))
                for message in messages
            ]
        )

    async def subscribe(self, group: str, types: Sequence[str]) -> Subscription:
        return _SignedSubscription(await self._broker.subscribe(group, types), self._origins, group, types)


class _SignedSubscription:
    """A `Subscription` that hands out what is from its owner, and drops the rest."""

    def __init__(self, subscription: Subscription, origins: Origins, group: str, types: Sequence[str]) -> None:
        self._subscription = subscription
        self._origins = origins
        self._group = group
        self._types = types
        self._refused: Counter[str] = Counter()
        self._logged_at = float("-inf")
        for reason in REASONS:
            # A counter that begins at one has not increased, to an alert.
            metrics.EVENTS_REFUSED.labels(group, reason)

    async def fetch(self, size_max: int, wait_s: float) -> Sequence[Delivery]:
        accepted: list[Delivery] = []
        for delivery in await self._subscription.fetch(size_max, wait_s):
            reason = self._origins.refusal(delivery.signature, delivery.body, self._types)
            if reason is None:
                accepted.append(delivery)
                continue
            metrics.EVENTS_REFUSED.labels(self._group, reason).inc()
            self._refused[reason] += 1
            self._tell(delivery)
            await delivery.acknowledge()
        return accepted

    def _tell(self, delivery: Delivery) -> None:
        if time.monotonic() - self._logged_at < LOG_PAUSE_S:
            return
        self._logged_at = time.monotonic()
        told: dict[str, Any] = {"signed_as": delivery.signature.partition(":")[0], "begins": repr(delivery.body[:200])}
        _log.error(
            "messages were refused: not from the owner of their events",
            group=self._group,
            reasons=dict(self._refused),
            **told,
        )
        self._refused.clear()

    async def pending(self) -> int:
        return await self._subscription.pending()


def signed_broker(events_url: str, service: str, *, key: str, keys: str, owners: Mapping[str, str]) -> SignedBroker:
    """The broker of `service` at `events_url`. Raises `ValueError` for a scheme that is none of a broker."""
    return SignedBroker(broker_for(events_url, service), Signer(service, key), Origins(keys, owners))
