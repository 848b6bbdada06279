"""What the users service is told at its start, beside what every service is told."""

from typing import Annotated

import msgspec

from chassis.settings import ServiceSettings
from users.key_encryption import parse_encryption_keys


class Settings(ServiceSettings, frozen=True, kw_only=True):
    """Times are in seconds. The Argon2 parameters are OWASP's: 46 MiB, one pass, one lane."""

    port: int = 8091
    users_url: str = ""
    """Of no use here: this is users."""
    admin_email: str = ""
    admin_password: str = ""
    """The first administrator; empty: none is made."""

    access_token_lifetime_s: int = 900
    refresh_token_lifetime_s: int = 30 * 24 * 3600
    key_encryption_keys: str
    """What encrypts the private signing keys: a line for each key, of its id and 32 bytes in base64. The first one
    encrypts; with the others rows of theirs are decrypted, and encrypted anew."""
    key_rotation_s: float = 30 * 24 * 3600
    key_publish_ahead_s: float = 600
    """How long a key is published before it signs: longer than anybody keeps a copy of the JWKS."""

    device_lifetime_s: int = 180 * 24 * 3600
    """How long after its last sign-in a device is known."""

    argon2_time_cost: int = 1
    argon2_memory_kib: int = 46 * 1024
    argon2_parallelism: int = 1
    passwords_at_once: Annotated[int, msgspec.Meta(ge=1)] = 1
    """How many passwords are hashed at once: each takes a processor, and the memory above."""
    password_wait_s_max: float = 10.0
    """How long a password may wait to be hashed. The answer is 503 after that, before the gateway gives up."""

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_encryption_keys(self.key_encryption_keys)
        if bool(self.admin_email) != bool(self.admin_password):
            raise ValueError("ADMIN_EMAIL and ADMIN_PASSWORD go together")
