"""Keys and tokens for tests: what the launcher makes for a system, under the name by which tests may import it."""

from cartwright.launcher.keys import (
    make_encryption_key,
    make_key,
    public_keys,
    sign_access_token,
    sign_service_token,
)

__all__ = ["make_encryption_key", "make_key", "public_keys", "sign_access_token", "sign_service_token"]
