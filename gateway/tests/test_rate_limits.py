"""Rate limits: per user, per address for clients without a token, and lower for guesses of passwords."""

import pytest

from cartwright.launcher.envoy import Limits

SLOW = Limits(guesses_per_second=1)


@pytest.fixture(scope="module")
def limited(start_gateway, eventually):
    gateway = start_gateway(rate_limit=2, limits=SLOW)
    eventually(lambda: gateway.ask("GET", "/api/orders", token=gateway.issuer.token(sub="the first")).status == 200)
    return gateway


def refused(gateway, path, attempts=200, method="GET", **options):
    """The first answer that says no: tokens come back while a test asks, so it asks more than the bucket holds."""
    found = (gateway.ask(method, path, **options) for _ in range(attempts))
    return next((answer for answer in found if answer.status != 200), None)


def answers(gateway, count, method, path, **options):
    return [gateway.ask(method, path, **options) for _ in range(count)]


def test_a_user_who_asks_too_often_is_told_to_slow_down(limited):
    token = limited.issuer.token(sub="hasty")
    last = refused(limited, "/api/orders", token=token)

    assert (last.status, last.json["status"], last.json["code"]) == (429, 429, "rate_limited")
    assert last.headers["content-type"] == "application/problem+json"
    assert last.headers["retry-after"] == "1"
    assert (last.headers["ratelimit-limit"], last.headers["ratelimit-remaining"]) == ("4", "0")


def test_a_user_may_ask_twice_the_rate_at_once(limited):
    statuses = [
        answer.status for answer in answers(limited, 4, "GET", "/api/orders", token=limited.issuer.token(sub="burst"))
    ]

    assert statuses == [200] * 4


def test_what_is_left_is_told_with_every_answer(limited):
    first, second = answers(limited, 2, "GET", "/api/orders", token=limited.issuer.token(sub="counting"))

    assert (first.headers["ratelimit-limit"], first.headers["ratelimit-remaining"]) == ("4", "3")
    assert second.headers["ratelimit-remaining"] == "2"
    assert int(first.headers["ratelimit-reset"]) <= 1
    assert not [name for name in first.headers if name.startswith("x-ratelimit")]


def test_a_hasty_user_slows_no_other_user(limited):
    hasty = refused(limited, "/api/orders", token=limited.issuer.token(sub="hasty too"))

    assert hasty.status == 429
    assert limited.ask("GET", "/api/orders", token=limited.issuer.token(sub="patient")).status == 200


def test_a_hasty_user_is_not_forgotten_when_many_others_come_by(limited):
    hasty = limited.issuer.token(sub="hasty again")
    refused(limited, "/api/orders", token=hasty)
    for number in range(25):
        limited.ask("GET", "/api/orders", token=limited.issuer.token(sub=f"passer-by {number}"))

    # A bucket that was thrown away would come back full, for four requests at once.
    assert 429 in [answer.status for answer in answers(limited, 4, "GET", "/api/orders", token=hasty)]


def test_an_address_may_ask_ten_times_as_often_as_a_user(limited):
    found = answers(limited, 40, "GET", "/api/products")

    assert found[0].headers["ratelimit-limit"] == "40"
    assert [answer.status for answer in found] == [200] * 40
    assert refused(limited, "/api/products").status == 429


def test_a_user_has_the_limit_of_a_user_where_no_token_is_needed(limited):
    answer = limited.ask("GET", "/api/products", token=limited.issuer.token(sub="browsing"))

    assert answer.headers["ratelimit-limit"] == "4"


@pytest.mark.parametrize("path", ["/api/auth/token", "/api/users"])
def test_signing_in_and_registering_have_a_limit_of_their_own(limited, path):
    first, second = answers(limited, 2, "POST", path, body=b"{}")

    assert (first.status, second.status) == (200, 200)
    assert first.headers["ratelimit-limit"] == "2"
    assert refused(limited, path, method="POST", body=b"{}").status == 429


def test_a_token_or_a_forwarded_address_does_not_help_a_guesser(limited):
    statuses = [
        limited.ask(
            "POST",
            "/api/auth/token",
            token=limited.issuer.token(sub=f"guesser {number}"),
            x_forwarded_for=f"10.0.0.{number}",
        ).status
        for number in range(6)
    ]

    assert 429 in statuses


def test_switched_off_means_no_limit_at_all(gateway):
    found = answers(gateway, 60, "POST", "/api/auth/token", body=b"{}")

    assert {answer.status for answer in found} == {200}
    assert "ratelimit-limit" not in found[0].headers
