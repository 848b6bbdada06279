"""Which user a token identifies, and every token that identifies none."""

import base64
import hmac
import json
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry

from cartwright.testkit import keys
from cartwright.testkit.service import NothingRevoked
from chassis.problems import Unauthenticated, Unavailable
from chassis.security.tokens import AUDIENCE, Caller, ServiceTokens, TokenVerifier, UserKeys, access_claims

ES256 = JWSRegistry.algorithms["ES256"]
USER = UUID("0197f0c8-0000-7000-8000-000000000001")


class KeyServer:
    """The users service's JWKS, which counts how often it is asked."""

    def __init__(self, jwks: str) -> None:
        self.jwks: str | None = jwks
        self.asked = 0

    async def fetch(self) -> dict[str, Any]:
        self.asked += 1
        if self.jwks is None:
            raise OSError("users is away")
        return json.loads(self.jwks)  # type: ignore[no-any-return]


@pytest.fixture
def key_server(user_jwks: str) -> KeyServer:
    return KeyServer(user_jwks)


@pytest.fixture
def verifier(key_server: KeyServer, service_jwks: str) -> TokenVerifier:
    return TokenVerifier(
        service="orders",
        issuer="cartwright",
        user_keys=UserKeys(key_server.fetch),
        rights=NothingRevoked(),
        service_keys=service_jwks,
    )


def claims_of(*roles: str) -> dict[str, Any]:
    return access_claims(
        issuer="cartwright", user_id=USER, account_version=2, roles=[*roles], session_id="s", lifetime_s=900
    )


@pytest.fixture
def sign(user_key: str) -> Callable[..., str]:
    """`sign(exp=...)` signs good claims with some of them changed; None takes one away."""

    def sign(header: dict[str, Any] | None = None, key: str | None = None, **changes: Any) -> str:
        claims = claims_of("customer") | changes
        signing_key = ECKey.import_key(json.loads(key or user_key))
        present = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode({"alg": "ES256", "kid": signing_key.kid, **(header or {})}, present, signing_key)

    return sign


async def test_an_access_token_stands_for_a_person(verifier: TokenVerifier, sign: Callable[..., str]) -> None:
    issued_at = int(time.time()) - 5
    caller = await verifier.verify(sign(roles=["customer", "admin"], iat=issued_at, exp=issued_at + 900))
    assert caller == Caller(
        user_id=USER,
        roles=frozenset({"customer", "admin"}),
        session_id="s",
        account_version=2,
        issued_at=issued_at,
        expires_at=issued_at + 900,
    )
    assert caller.is_administrator


async def test_a_service_token_stands_for_a_service(verifier: TokenVerifier, service_keys: dict[str, str]) -> None:
    token = ServiceTokens("storefront", service_keys["storefront"]).token_for("orders")
    caller = await verifier.verify(token)
    assert caller == Caller(service="storefront", expires_at=caller.expires_at)
    assert caller.expires_at > time.time()


def _part(value: dict[str, Any] | bytes) -> str:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


async def test_an_unsigned_token_is_refused(verifier: TokenVerifier, sign: Callable[..., str]) -> None:
    claims = claims_of("admin")
    with pytest.raises(Unauthenticated, match="only ES256"):
        await verifier.verify(f"{_part({'alg': 'none', 'kid': 'test-users'})}.{_part(claims)}.")
    head, body, _ = sign().split(".")
    with pytest.raises(Unauthenticated):
        await verifier.verify(f"{head}.{body}.")


@pytest.mark.parametrize("form", ["jwk", "pem"])
async def test_a_token_signed_with_the_public_key_as_a_secret_is_refused(
    verifier: TokenVerifier, user_jwks: str, form: str
) -> None:
    public = json.loads(user_jwks)["keys"][0]
    secret = json.dumps(public).encode() if form == "jwk" else ECKey.import_key(public).as_pem(private=False)
    claims = claims_of("admin")
    for algorithm in ("HS256", "ES256"):
        # In the second round the header does not say what was done.
        signed = f"{_part({'alg': algorithm, 'kid': 'test-users'})}.{_part(claims)}"
        token = f"{signed}.{_part(hmac.digest(secret, signed.encode(), 'sha256'))}"
        with pytest.raises(Unauthenticated):
            await verifier.verify(token)


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "another"},
        {"aud": None},
        {"aud": ["cartwright"]},
        {"iss": "somebody"},
        {"iss": "service:orders"},
        {"typ": "refresh"},
        {"typ": "service"},
        {"typ": None},
        {"exp": 1_000_000_000},  # In 2001.
        {"exp": None},
        {"exp": "never"},
        {"exp": True},
        {"iat": 4_102_444_800},  # In 2100.
        {"iat": None},
        {"sub": "nobody"},
        {"sub": None},
        {"sub": 7},
    ],
    ids=str,
)
async def test_a_token_with_a_claim_that_is_wrong_is_refused(
    verifier: TokenVerifier, sign: Callable[..., str], changes: dict[str, Any]
) -> None:
    with pytest.raises(Unauthenticated):
        await verifier.verify(sign(**changes))


@pytest.mark.parametrize(
    "header",
    [{"kid": 7}, {"kid": None}, {"kid": ["test-users"]}, {"kid": ""}, {"crit": ["b64"], "b64": False}],
    ids=str,
)
async def test_a_token_with_a_header_that_is_wrong_is_refused(
    verifier: TokenVerifier, user_key: str, header: dict[str, Any]
) -> None:
    claims = claims_of()
    signed = f"{_part({'alg': 'ES256', 'kid': 'test-users', **header})}.{_part(claims)}"
    key = ECKey.import_key(json.loads(user_key))
    signature = ES256.sign(signed.encode(), key)
    with pytest.raises(Unauthenticated):
        await verifier.verify(f"{signed}.{_part(signature)}")


async def test_the_hand_made_token_with_nothing_wrong_is_accepted(verifier: TokenVerifier, user_key: str) -> None:
    claims = claims_of()
    signed = f"{_part({'alg': 'ES256', 'kid': 'test-users'})}.{_part(claims)}"
    signature = ES256.sign(signed.encode(), ECKey.import_key(json.loads(user_key)))
    assert (await verifier.verify(f"{signed}.{_part(signature)}")).user_id == USER


@pytest.mark.parametrize(
    "token",
    [
        *("", ".", "..", "a.b.c", "x" * 5_000, "é.é.é", "bnVsbA.e30.e30", "W10.e30.e30", "e30.e30.e30", "\x00"),
        pytest.param(base64.urlsafe_b64encode(b'{"a":' * 3_000).decode() + ".e30.e30", id="deeply nested"),
        pytest.param(base64.urlsafe_b64encode(b"[" * 760).decode() + ".e30.e30", id="as deeply as is read"),
    ],
)
async def test_what_is_no_token_is_refused(verifier: TokenVerifier, token: str) -> None:
    with pytest.raises(Unauthenticated):
        await verifier.verify(token)


async def test_a_token_whose_content_was_changed_is_refused(verifier: TokenVerifier, sign: Callable[..., str]) -> None:
    head, _, signature = sign().split(".")
    _, body, _ = sign(roles=["admin"]).split(".")
    with pytest.raises(Unauthenticated):
        await verifier.verify(f"{head}.{body}.{signature}")


async def test_a_service_token_for_another_target_is_refused(
    verifier: TokenVerifier, service_token: Callable[[str, str], str]
) -> None:
    with pytest.raises(Unauthenticated, match="another use"):
        await verifier.verify(service_token("storefront", "payments"))
    with pytest.raises(Unauthenticated):
        await verifier.verify(service_token("storefront", AUDIENCE))


async def test_a_service_cannot_make_a_token_of_a_person_nor_of_another_service(
    verifier: TokenVerifier, service_keys: dict[str, str], sign: Callable[..., str]
) -> None:
    with pytest.raises(Unauthenticated):
        await verifier.verify(sign(key=service_keys["storefront"]))
    forged = keys.sign_service_token(service_keys["storefront"], "payments", "orders")
    with pytest.raises(Unauthenticated):
        await verifier.verify(forged)


async def test_users_cannot_make_a_token_of_a_service(verifier: TokenVerifier, user_key: str) -> None:
    with pytest.raises(Unauthenticated):
        await verifier.verify(keys.sign_service_token(user_key, "storefront", "orders"))


async def test_a_remembered_token_is_forgotten_when_it_expires(
    verifier: TokenVerifier, sign: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    token = sign(exp=int(time.time()) + 60)
    await verifier.verify(token)
    later = time.time() + 60.5
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(Unauthenticated):
        await verifier.verify(token)


async def test_a_remembered_token_is_not_checked_again(
    verifier: TokenVerifier, sign: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    token = sign()
    first = await verifier.verify(token)
    monkeypatch.setattr(jwt, "decode", lambda *_, **__: pytest.fail("the signature was checked again"))
    assert await verifier.verify(token) is first


async def test_only_so_many_tokens_are_remembered(
    verifier: TokenVerifier, sign: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.security.tokens._REMEMBERED_MAX", 3)
    for _ in range(5):
        await verifier.verify(sign())
    assert len(verifier._remembered) == 3


async def test_a_new_signing_key_is_fetched_when_it_is_met(
    key_server: KeyServer, service_jwks: str, sign: Callable[..., str], user_key: str
) -> None:
    verifier = TokenVerifier(
        service="orders",
        issuer="cartwright",
        user_keys=UserKeys(key_server.fetch, refetch_s_min=0),
        rights=NothingRevoked(),
        service_keys=service_jwks,
    )
    await verifier.verify(sign())
    rotated = keys.make_key("rotated")
    key_server.jwks = keys.public_keys([user_key, rotated])
    await verifier.verify(sign(key=rotated))
    await verifier.verify(sign())
    assert key_server.asked == 2


async def test_a_remembered_token_is_refused_once_its_key_is_withdrawn(
    verifier: TokenVerifier, key_server: KeyServer, sign: Callable[..., str]
) -> None:
    token = sign(exp=int(time.time()) + 10 * 365 * 24 * 3600)
    await verifier.verify(token)
    key_server.jwks = keys.public_keys([keys.make_key("the next")])
    await verifier._user_keys.refresh()
    with pytest.raises(Unauthenticated, match="not known"):
        await verifier.verify(token)


async def test_made_up_key_ids_do_not_make_a_hammer(
    verifier: TokenVerifier, key_server: KeyServer, sign: Callable[..., str]
) -> None:
    await verifier.verify(sign())
    for number in range(50):
        with pytest.raises(Unauthenticated, match="not known"):
            await verifier.verify(sign(key=keys.make_key(f"made-up-{number}")))
    assert key_server.asked == 1


async def test_keys_go_on_to_serve_while_users_is_away(
    key_server: KeyServer, service_jwks: str, sign: Callable[..., str]
) -> None:
    verifier = TokenVerifier(
        service="orders",
        issuer="cartwright",
        user_keys=UserKeys(key_server.fetch, refetch_s_min=0),
        rights=NothingRevoked(),
        service_keys=service_jwks,
    )
    await verifier.verify(sign())
    key_server.jwks = None
    with pytest.raises(Unauthenticated, match="not known"):
        await verifier.verify(sign(key=keys.make_key("made-up")))
    assert (await verifier.verify(sign())).user_id == USER


async def test_without_any_keys_verification_is_unavailable_and_users_is_not_hammered(
    verifier: TokenVerifier, key_server: KeyServer, sign: Callable[..., str]
) -> None:
    key_server.jwks = None
    for _ in range(5):
        with pytest.raises(Unavailable):
            await verifier.verify(sign())
    assert key_server.asked <= 2


async def test_a_service_token_is_made_again_before_it_expires(
    service_keys: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = ServiceTokens("orders", service_keys["orders"])
    first = tokens.token_for("catalog")
    assert tokens.token_for("catalog") == first
    assert tokens.token_for("payments") != first
    later = time.monotonic() + 200
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert tokens.token_for("catalog") != first
