"""The limits on attempts to sign in, on a clock that the test turns: who is kept out, and who is not."""

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
    refund,
)

HOUR_S = 3600.0
OWNER = "the owner's network"


class Door:
    """The attempts of strangers at one account, as the service counts them."""

    def __init__(self) -> None:
        self.now = 0.0
        self.tried: list[float] = []
        self._account = ALWAYS_FULL
        self._sources: dict[str, float] = {}
        self._pairs: dict[str, tuple[float, float | None]] = {}

    def attempt(self, source: str, *, right: bool = False) -> float:
        """The seconds to wait; zero when the password was looked at."""
        pair, slot_at = self._pairs.get(source, (ALWAYS_FULL, None))
        decision = decide(Budgets(self._sources.get(source, ALWAYS_FULL), pair, self._account, slot_at), self.now)
        kept = decision.budgets
        if decision.wait_s == 0:
            self.tried.append(self.now)
            if right:
                assert kept is not None
                kept = refund(kept, decision.used_slot_at)
        if kept is not None:
            self._account, self._sources[source] = kept.account, kept.source
            self._pairs[source] = kept.pair, kept.slot_at
        return decision.wait_s

    def rate_of(self, source: str, *, every_s: float, for_s: float) -> int:
        """How many guesses one source gets that goes on without a pause."""
        until, count = self.now + for_s, 0
        while self.now < until:
            count += self.attempt(source) == 0
            self.now += every_s
        return count


def test_wrong_passwords_from_elsewhere_do_not_keep_the_owner_out() -> None:
    door = Door()
    refused = 0
    for tick in range(400):  # 4 a second for 100 s.
        door.attempt("a guesser")
        if tick % 12 == 0:
            refused += door.attempt(OWNER, right=True) > 0
        door.now += 0.25
    assert refused == 0


def test_one_source_gets_69_guesses_in_its_first_hour_and_60_in_each_that_follows() -> None:
    door = Door()
    assert door.rate_of("a guesser", every_s=0.25, for_s=HOUR_S) == 69
    assert door.rate_of("a guesser", every_s=0.25, for_s=HOUR_S) == 60


def test_all_sources_together_get_460_guesses_in_the_first_hour_and_360_in_each_that_follows() -> None:
    door = Door()
    names = [f"source {number}" for number in range(200)]
    chance = random.Random(7)

    def guesses_of_an_hour() -> int:
        before, until = len(door.tried), door.now + HOUR_S
        while door.now < until:
            door.attempt(chance.choice(names))
            door.now += 0.25
        return len(door.tried) - before

    assert guesses_of_an_hour() <= ACCOUNT_LIMIT.burst + HOUR_S / ACCOUNT_LIMIT.interval_s
    assert guesses_of_an_hour() <= HOUR_S / ACCOUNT_LIMIT.interval_s + 1


def test_a_source_that_tries_many_accounts_is_held_back_at_all_of_them() -> None:
    tried, now, source = 0, 0.0, ALWAYS_FULL
    while now < HOUR_S:
        decision = decide(Budgets(source=source), now)  # Each attempt is at an account of its own.
        if decision.budgets is not None:
            source = decision.budgets.source
            tried += 1
        now += 0.1
    assert tried == SOURCE_LIMIT.burst + HOUR_S / SOURCE_LIMIT.interval_s - 1


def test_the_owner_on_a_new_device_gets_a_turn_though_many_sources_guess_on() -> None:
    door = Door()
    names = [f"source {number}" for number in range(30)]

    def rush(seconds: float) -> None:
        until = door.now + seconds
        while door.now < until:
            for name in names:
                door.attempt(name)
            door.now += 1.0

    rush(120)
    wait_s = door.attempt(OWNER, right=True)
    assert 0 < wait_s <= SLOT_AHEAD_S_MAX
    rush(wait_s)
    assert door.attempt(OWNER, right=True) == 0, "as it was promised"


def test_asking_again_before_its_turn_neither_helps_nor_harms() -> None:
    door = Door()
    for number in range(ACCOUNT_LIMIT.burst):
        assert door.attempt(f"source {number}") == 0
    wait_s = door.attempt(OWNER)
    door.now += 1
    assert door.attempt(OWNER) == wait_s - 1
    assert door.attempt("another") == wait_s - 1 + ACCOUNT_LIMIT.interval_s


def test_a_turn_that_is_not_used_is_lost() -> None:
    door = Door()
    for number in range(ACCOUNT_LIMIT.burst):
        door.attempt(f"source {number}")
    door.now += door.attempt(OWNER) + SLOT_S + 1
    for number in range(ACCOUNT_LIMIT.burst):
        door.attempt(f"other {number}")
    assert door.attempt(OWNER) > 0


def test_no_turn_is_further_ahead_than_the_queue_is_long() -> None:
    door = Door()
    waits = [door.attempt(f"source {number}") for number in range(1000)]
    assert max(waits) <= SLOT_AHEAD_S_MAX + ACCOUNT_LIMIT.interval_s
    door.now += 2 * SLOT_AHEAD_S_MAX
    assert door.attempt(OWNER) == 0


def test_right_passwords_use_nothing_up() -> None:
    door = Door()
    assert [door.attempt(OWNER, right=True) for _ in range(1000)] == [0.0] * 1000
    assert [door.attempt(OWNER) for _ in range(PAIR_LIMIT.burst)] == [0.0] * PAIR_LIMIT.burst


def test_a_turn_comes_back_when_the_password_was_not_looked_at() -> None:
    door = Door()
    for number in range(ACCOUNT_LIMIT.burst):
        door.attempt(f"source {number}")
    door.now += door.attempt(OWNER)
    assert [door.attempt(OWNER, right=True), door.attempt(OWNER)] == [0, 0]
