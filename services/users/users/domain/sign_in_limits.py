"""Rate limits of sign-in attempts. Times are in seconds since 1970.

Each limit is a GCRA (generic cell rate algorithm): a budget of attempts that refills steadily. The stored state is the
time at which the budget is full again. An attempt from a known device counts against that device alone. Any other
attempt counts three times: against the source, against the account from this source, and against the account.

An exhausted account budget does not lock further sources out. A further source gets a slot: a time from which one
attempt is open to it. Slots are given in the order of the requests, one to each source, as fast as the budget refills.
"""

from dataclasses import dataclass, replace

SLOT_S = 60.0
"""How long a slot stays open for its source."""
SLOT_AHEAD_S_MAX = 600.0
"""How far ahead a slot may be."""
ALWAYS_FULL = float("-inf")


@dataclass(frozen=True)
class RateLimit:
    """`burst` attempts immediately, then one in each `interval_s`."""

    burst: int
    interval_s: float

    def wait_s(self, full_at: float, now: float) -> float:
        """The time until the next attempt is open; zero when it is open now."""
        return max(0.0, full_at - now - (self.burst - 1) * self.interval_s)

    def count(self, full_at: float, now: float) -> float:
        """`full_at` after an attempt."""
        return max(full_at, now) + self.interval_s

    def uncount(self, full_at: float) -> float:
        """`full_at` after the count of an attempt was undone."""
        return full_at - self.interval_s


DEVICE_LIMIT = RateLimit(10, 60.0)
PAIR_LIMIT = RateLimit(10, 60.0)
"""Of an account from one source."""
SOURCE_LIMIT = RateLimit(100, 10.0)
ACCOUNT_LIMIT = RateLimit(100, 10.0)


@dataclass(frozen=True)
class Budgets:
    """The budgets of an attempt from an unknown device: for each the time at which it is full again."""

    source: float = ALWAYS_FULL
    pair: float = ALWAYS_FULL
    account: float = ALWAYS_FULL
    slot_at: float | None = None
    """The slot of this source at this account."""


@dataclass(frozen=True)
class Decision:
    """`wait_s` is zero when the attempt is open. `budgets` is the new state; None when nothing changes."""

    wait_s: float
    budgets: Budgets | None = None
    used_slot_at: float | None = None
    """The slot that the attempt used."""


def decide(budgets: Budgets, now: float) -> Decision:
    """Whether an attempt from an unknown device is open now."""
    wait_s = max(SOURCE_LIMIT.wait_s(budgets.source, now), PAIR_LIMIT.wait_s(budgets.pair, now))
    if wait_s > 0:
        return Decision(wait_s)
    counted = replace(
        budgets, source=SOURCE_LIMIT.count(budgets.source, now), pair=PAIR_LIMIT.count(budgets.pair, now), slot_at=None
    )
    slot_at = budgets.slot_at
    if slot_at is not None and now < slot_at:
        return Decision(slot_at - now)
    if slot_at is not None and now <= slot_at + SLOT_S:
        return Decision(0.0, counted, used_slot_at=slot_at)
    wait_s = ACCOUNT_LIMIT.wait_s(budgets.account, now)
    if wait_s > SLOT_AHEAD_S_MAX:
        return Decision(wait_s - SLOT_AHEAD_S_MAX)
    account = ACCOUNT_LIMIT.count(budgets.account, now)
    if wait_s > 0:
        return Decision(wait_s, replace(budgets, account=account, slot_at=now + wait_s))
    return Decision(0.0, replace(counted, account=account))


def uncount(budgets: Budgets, used_slot_at: float | None) -> Budgets:
    """Undo the count of an attempt: its password was right, or was not checked."""
    uncounted = replace(budgets, source=SOURCE_LIMIT.uncount(budgets.source), pair=PAIR_LIMIT.uncount(budgets.pair))
    if used_slot_at is not None:
        return replace(uncounted, slot_at=used_slot_at)
    return replace(uncounted, account=ACCOUNT_LIMIT.uncount(budgets.account))
