"""The life of a signing key: published, signing, retired.

A key is published a while before it signs, longer than any copy of the JWKS is cached. It stays published after its
successor has begun to sign, until the last token that it signed has expired.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

CLOCK_DIFFERENCE_S = 60
"""The largest difference between the clocks of replicas and verifiers that is tolerated."""


@dataclass(frozen=True, kw_only=True)
class SigningKey:
    """Without the private key, which only the key ring and the store hold."""

    key_id: str
    published_at: datetime
    signs_from: datetime
    retires_at: datetime | None
    """None until the key has a successor."""

    def is_published(self, now: datetime) -> bool:
        return self.retires_at is None or self.retires_at > now


@dataclass(frozen=True, kw_only=True)
class RotationSchedule:
    """Times in seconds."""

    rotation_s: float
    """The age at which a key gets a successor."""
    publish_ahead_s: float
    """How long a key is published before it signs."""
    token_lifetime_s: int

    @property
    def retirement_s(self) -> float:
        """How long a key stays published after its successor has begun to sign."""
        return self.token_lifetime_s + CLOCK_DIFFERENCE_S

    def next_key_signs_in_s(self, newest_age_s: float | None) -> float | None:
        """In how many seconds a key that is due now begins to sign; None while none is due.

        `newest_age_s` is the time for which the newest key has been signing, negative before it does. Without any key
        the first one signs immediately, since no verifier can hold a JWKS yet.
        """
        if newest_age_s is None:
            return 0.0
        return self.publish_ahead_s if newest_age_s >= self.rotation_s else None


def current_key(keys: Sequence[SigningKey], now: datetime) -> SigningKey:
    """The key that signs now, of keys in the order of `signs_from`."""
    signing = [key for key in keys if key.signs_from <= now]
    # With a clock behind the database's, the first key seems to begin a moment from now.
    return signing[-1] if signing else keys[0]
