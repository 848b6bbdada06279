"""The settings of users, beside those of every service."""

from typing import Annotated

import msgspec

from chassis.settings import ServiceSettings
from users.key_encryption import parse_encryption_keys


class Settings(ServiceSettings, frozen=True, kw_only=True):
    """Times are in seconds. The Argon2 parameters are OWASP's: 46 MiB, one pass, one lane."""

    port: int = 8091
    users_url: str = ""
    """Unused: this service is users."""
    admin_email: str = ""
    admin_password: str = ""
    """Of the first administrator. When empty, none is created."""

    access_token_lifetime_s: int = 900
    refresh_token_lifetime_s: int = 30 * 24 * 3600
    key_encryption_keys: str
    """The keys that encrypt the private signing keys: one a line, as its id, a space and 32 bytes in base64. The first
    one encrypts. The others decrypt, and the start encrypts their rows again under the first one."""
    key_rotation_s: float = 30 * 24 * 3600
    key_publish_ahead_s: float = 600
    """How long a key is published before it signs: longer than any verifier caches the JWKS."""

    device_lifetime_s: int = 180 * 24 * 3600
    """How long a device is known after its last sign-in."""

    argon2_time_cost: int = 1
    argon2_memory_kib: int = 46 * 1024
    argon2_parallelism: int = 1
    passwords_at_once: Annotated[int, msgspec.Meta(ge=1)] = 1
    """The passwords that are hashed at the same time. Each takes a processor, and the memory above."""
    password_wait_s_max: float = 10.0
    """How long a password may wait for its hash. Then the answer is 503, before the gateway times out."""

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_encryption_keys(self.key_encryption_keys)
        if bool(self.admin_email) != bool(self.admin_password):
            raise ValueError("ADMIN_EMAIL and ADMIN_PASSWORD have to be set together")
