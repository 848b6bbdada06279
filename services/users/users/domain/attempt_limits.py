"""How often a password may be tried: rules on numbers alone, with the standard library. Times are in seconds.

Each limit is a budget of attempts that fills up again steadily (GCRA): kept is only the moment at which it is full.
An attempt from a device that the account knows is counted for that device alone. Any other is counted three times: for
the source, for the account from this source, and for the account.

When strangers have used up the account's budget, a further source is not refused for good. It gets a turn: a moment
from which on one attempt is open to it. Turns are given in the order of the requests, one to each source, as fast as
the budget fills up.
"""

from dataclasses import dataclass, replace

TURN_S = 60.0
"""How long a turn is kept for its source."""
QUEUE_S_MAX = 600.0
"""No turn is further ahead than this."""
NEVER = float("-inf")


@dataclass(frozen=True)
class Limit:
    """`burst` attempts at once, and then one in `interval_s`."""

    burst: int
    interval_s: float

    def wait_s(self, full_at: float, now: float) -> float:
        """Until the next attempt is open; zero when it is now."""
        return max(0.0, full_at - now - (self.burst - 1) * self.interval_s)

    def taken(self, full_at: float, now: float) -> float:
        return max(full_at, now) + self.interval_s

    def given_back(self, full_at: float) -> float:
        return full_at - self.interval_s


DEVICE = Limit(10, 60.0)
PAIR = Limit(10, 60.0)
"""An account from one source."""
SOURCE = Limit(100, 10.0)
ACCOUNT = Limit(100, 10.0)


@dataclass(frozen=True)
class Budgets:
    """Of a stranger's attempt: when each budget is full again, and the turn of this source at this account."""

    source: float = NEVER
    pair: float = NEVER
    account: float = NEVER
    turn_at: float | None = None


@dataclass(frozen=True)
class Decision:
    """`wait_s` is zero when the attempt is open. `budgets` are to be kept; None when nothing changes."""

    wait_s: float
    budgets: Budgets | None = None
    used_turn_at: float | None = None
    """The turn that was used for it."""


def decide(budgets: Budgets, now: float) -> Decision:
    """Whether a stranger may try a password now."""
    wait_s = max(SOURCE.wait_s(budgets.source, now), PAIR.wait_s(budgets.pair, now))
    if wait_s > 0:
        return Decision(wait_s)
    counted = replace(
        budgets, source=SOURCE.taken(budgets.source, now), pair=PAIR.taken(budgets.pair, now), turn_at=None
    )
    turn_at = budgets.turn_at
    if turn_at is not None and now < turn_at:
        return Decision(turn_at - now)
    if turn_at is not None and now <= turn_at + TURN_S:
        return Decision(0.0, counted, used_turn_at=turn_at)
    wait_s = ACCOUNT.wait_s(budgets.account, now)
    if wait_s > QUEUE_S_MAX:
        return Decision(wait_s - QUEUE_S_MAX)
    account = ACCOUNT.taken(budgets.account, now)
    if wait_s > 0:
        return Decision(wait_s, replace(budgets, account=account, turn_at=now + wait_s))
    return Decision(0.0, replace(counted, account=account))


def give_back(budgets: Budgets, used_turn_at: float | None) -> Budgets:
    """Take an attempt back that was counted: its password was right, or was not looked at."""
    uncounted = replace(budgets, source=SOURCE.given_back(budgets.source), pair=PAIR.given_back(budgets.pair))
    if used_turn_at is not None:
        return replace(uncounted, turn_at=used_turn_at)
    return replace(uncounted, account=ACCOUNT.given_back(budgets.account))
