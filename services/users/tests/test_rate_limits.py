"""The sign-in limits on a clock of the test: they hold guessers back, and never the owner for long. No I/O."""

import random

from users.domain.sign_in_limits import (
    ACCOUNT_LIMIT,
    ALWAYS_FULL,
    PAIR_LIMIT,
    SLOT_AHEAD_S_MAX,
    SLOT_S,
    SOURCE_LIMIT,
    Budgets,
    decide,
    uncount,
)

HOUR_S = 3600.0
OWNER = "the owner's network"


class Account:
    """The attempts of unknown devices at one account, as the service counts them."""

    def __init__(self) -> None:
        self.now = 0.0
        self.tried: list[float] = []
        self._account = ALWAYS_FULL
        self._sources: dict[str, float] = {}
        self._pairs: dict[str, tuple[float, float | None]] = {}

    def attempt(self, source: str, *, right: bool = False) -> float:
        """The seconds to wait; zero when the password was verified."""
        pair, slot_at = self._pairs.get(source, (ALWAYS_FULL, None))
        decision = decide(Budgets(self._sources.get(source, ALWAYS_FULL), pair, self._account, slot_at), self.now)
        budgets = decision.budgets
        if decision.wait_s == 0:
            self.tried.append(self.now)
            if right:
                assert budgets is not None
                budgets = uncount(budgets, decision.used_slot_at)
        if budgets is not None:
            self._account, self._sources[source] = budgets.account, budgets.source
            self._pairs[source] = budgets.pair, budgets.slot_at
        return decision.wait_s

    def guesses_of(self, source: str, *, every_s: float, for_s: float) -> int:
        """The guesses that one source gets when it tries without a pause."""
        until, count = self.now + for_s, 0
        while self.now < until:
            count += self.attempt(source) == 0
            self.now += every_s
        return count


def test_wrong_passwords_of_another_source_do_not_keep_the_owner_out() -> None:
    account = Account()
    refused = 0
    for tick in range(400):  # 4 a second for 100 s.
        account.attempt("a guesser")
        if tick % 12 == 0:
            refused += account.attempt(OWNER, right=True) > 0
        account.now += 0.25
    assert refused == 0


def test_one_source_gets_69_guesses_in_its_first_hour_and_60_in_each_that_follows() -> None:
    account = Account()
    assert account.guesses_of("a guesser", every_s=0.25, for_s=HOUR_S) == 69
    assert account.guesses_of("a guesser", every_s=0.25, for_s=HOUR_S) == 60


def test_all_sources_together_get_460_guesses_in_the_first_hour_and_360_in_each_that_follows() -> None:
    account = Account()
    names = [f"source {number}" for number in range(200)]
    chance = random.Random(7)

    def guesses_of_an_hour() -> int:
        before, until = len(account.tried), account.now + HOUR_S
        while account.now < until:
            account.attempt(chance.choice(names))
            account.now += 0.25
        return len(account.tried) - before

    assert guesses_of_an_hour() <= ACCOUNT_LIMIT.burst + HOUR_S / ACCOUNT_LIMIT.interval_s
    assert guesses_of_an_hour() <= HOUR_S / ACCOUNT_LIMIT.interval_s + 1


def test_a_source_that_tries_many_accounts_is_throttled_at_all_of_them() -> None:
    tried, now, source = 0, 0.0, ALWAYS_FULL
    while now < HOUR_S:
        decision = decide(Budgets(source=source), now)  # Each attempt is at an account of its own.
        if decision.budgets is not None:
            source = decision.budgets.source
            tried += 1
        now += 0.1
    assert tried == SOURCE_LIMIT.burst + HOUR_S / SOURCE_LIMIT.interval_s - 1


def test_the_owner_on_a_new_device_gets_a_slot_while_many_sources_guess() -> None:
    account = Account()
    names = [f"source {number}" for number in range(30)]

    def rush(seconds: float) -> None:
        until = account.now + seconds
        while account.now < until:
            for name in names:
                account.attempt(name)
            account.now += 1.0

    rush(120)
    wait_s = account.attempt(OWNER, right=True)
    assert 0 < wait_s <= SLOT_AHEAD_S_MAX
    rush(wait_s)
    assert account.attempt(OWNER, right=True) == 0, "the slot that was promised"


def test_a_repeated_attempt_before_its_slot_changes_nothing() -> None:
    account = Account()
    for number in range(ACCOUNT_LIMIT.burst):
        assert account.attempt(f"source {number}") == 0
    wait_s = account.attempt(OWNER)
    account.now += 1
    assert account.attempt(OWNER) == wait_s - 1
    assert account.attempt("another") == wait_s - 1 + ACCOUNT_LIMIT.interval_s


def test_an_unused_slot_is_lost() -> None:
    account = Account()
    for number in range(ACCOUNT_LIMIT.burst):
        account.attempt(f"source {number}")
    account.now += account.attempt(OWNER) + SLOT_S + 1
    for number in range(ACCOUNT_LIMIT.burst):
        account.attempt(f"other {number}")
    assert account.attempt(OWNER) > 0


def test_no_slot_is_further_ahead_than_the_maximum() -> None:
    account = Account()
    waits = [account.attempt(f"source {number}") for number in range(1000)]
    assert max(waits) <= SLOT_AHEAD_S_MAX + ACCOUNT_LIMIT.interval_s
    account.now += 2 * SLOT_AHEAD_S_MAX
    assert account.attempt(OWNER) == 0


def test_right_passwords_use_up_no_budget() -> None:
    account = Account()
    assert [account.attempt(OWNER, right=True) for _ in range(1000)] == [0.0] * 1000
    assert [account.attempt(OWNER) for _ in range(PAIR_LIMIT.burst)] == [0.0] * PAIR_LIMIT.burst


def test_a_slot_returns_when_the_password_was_not_verified() -> None:
    account = Account()
    for number in range(ACCOUNT_LIMIT.burst):
        account.attempt(f"source {number}")
    account.now += account.attempt(OWNER)
    assert [account.attempt(OWNER, right=True), account.attempt(OWNER)] == [0, 0]
