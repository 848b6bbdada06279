"""Makes the keys that services sign with, and signs with them.

Each service proves who it is with an ES256 key of its own; the public halves go to all as one JWKS.
"""

import base64
import json
import secrets
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence

from joserfc import jwt
from joserfc.jwk import ECKey

ALGORITHM = "ES256"
AUDIENCE = "cartwright"
SERVICE_TOKEN_SECONDS = 300
ACCESS_TOKEN_SECONDS = 900


def make_key(key_id: str) -> str:
    """A new private signing key as a JWK in JSON."""
    key = ECKey.generate_key("P-256", {"kid": key_id, "use": "sig", "alg": ALGORITHM})
    return json.dumps(key.as_dict(private=True))


def make_encryption_key() -> str:
    """A new key for KEY_ENCRYPTION_KEYS: its id and 32 bytes in base64, on a line."""
    return f"{uuid.uuid4()} {base64.b64encode(secrets.token_bytes(32)).decode()}"


def public_keys(private_keys: Iterable[str]) -> str:
    """The JWKS in JSON that holds the public halves of these private keys."""
    keys = [ECKey.import_key(json.loads(key)).as_dict(private=False) for key in private_keys]
    return json.dumps({"keys": keys})


def sign_service_token(private_key: str, service: str, audience: str) -> str:
    """A token by which `service` proves to the service `audience` who is calling."""
    claims = {"iss": f"service:{service}", "sub": service, "aud": audience, "typ": "service"}
    return _sign(private_key, claims, SERVICE_TOKEN_SECONDS)


def sign_access_token(
    private_key: str,
    user_id: str,
    roles: Sequence[str],
    issuer: str = "cartwright",
    seconds: int = ACCESS_TOKEN_SECONDS,
) -> str:
    """A user's access token as the users service makes them. `seconds` may be negative: a token that has expired."""
    claims = {
        "iss": issuer,
        "sub": user_id,
        "aud": AUDIENCE,
        "roles": list(roles),
        "sid": str(uuid.uuid4()),
        "ver": 1,
        "typ": "access",
    }
    return _sign(private_key, claims, seconds)


def _sign(private_key: str, claims: Mapping[str, object], seconds: int) -> str:
    key = ECKey.import_key(json.loads(private_key))
    now = int(time.time())
    stamped = {**claims, "iat": now, "exp": now + seconds, "jti": str(uuid.uuid4())}
    return jwt.encode({"alg": ALGORITHM, "kid": key.kid}, stamped, key, algorithms=[ALGORITHM])
