"""The use of refresh tokens, and the life of signing keys. No I/O."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from users.domain.account import CUSTOMER
from users.domain.session import RefreshToken, Session, SessionRevoked, TokenUse
from users.domain.signing_key import RotationSchedule, SigningKey, current_key

SESSION = Session(id=UUID(int=1), account_id=UUID(int=2), account_version=1, roles=CUSTOMER)
REUSED = SessionRevoked(SESSION.account_id, SESSION.id, "refresh_token_reused")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SCHEDULE = RotationSchedule(rotation_s=3600, publish_ahead_s=600, token_lifetime_s=900)


@pytest.mark.parametrize(
    ("successor_hash", "is_expired", "is_revoked", "use", "events"),
    [
        (None, False, False, TokenUse.ROTATED, []),
        (b"this request", False, False, TokenUse.REPEATED, []),
        (b"another request", False, False, TokenUse.REUSED, [REUSED]),
        (None, True, False, TokenUse.INVALID, []),
        (None, False, True, TokenUse.INVALID, []),
        (b"another request", True, False, TokenUse.INVALID, []),
        (b"another request", False, True, TokenUse.INVALID, []),
    ],
)
def test_only_the_first_use_of_a_refresh_token_is_good(
    successor_hash: bytes | None,
    is_expired: bool,
    is_revoked: bool,
    use: TokenUse,
    events: list[SessionRevoked],
) -> None:
    token = RefreshToken(session=SESSION, successor_hash=successor_hash, is_expired=is_expired, is_revoked=is_revoked)
    assert token.use(b"this request") == (use, events)


@pytest.mark.parametrize(
    ("newest_age_s", "signs_in_s"), [(None, 0.0), (-60.0, None), (0.0, None), (3599.0, None), (3600.0, 600)]
)
def test_the_first_key_signs_immediately_and_the_next_one_is_published_ahead(
    newest_age_s: float | None, signs_in_s: float | None
) -> None:
    assert SCHEDULE.next_key_signs_in_s(newest_age_s) == signs_in_s


def key(name: str, signs_in_s: float, retires_in_s: float | None = None) -> SigningKey:
    retires_at = None if retires_in_s is None else NOW + timedelta(seconds=retires_in_s)
    signs_from = NOW + timedelta(seconds=signs_in_s)
    return SigningKey(key_id=name, published_at=NOW, signs_from=signs_from, retires_at=retires_at)


def test_the_newest_key_that_has_begun_signs_and_all_are_published_until_they_retire() -> None:
    old, current, following = key("old", -3600, 0), key("current", -1, 1500), key("following", 600)
    assert current_key([old, current, following], NOW) == current
    assert current_key([following], NOW) == following, "the clock of this replica is behind"
    assert [key.is_published(NOW) for key in (old, current, following)] == [False, True, True]
