"""Decides which fault happens when: pure, and by the seed alone, so that a run can be repeated.

Faults are dealt from a deck that holds every kind and every target, so that a long run meets them all.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

SECONDS_BETWEEN_FAULTS = 5.0
CALM_S = 3.0
"""Before the first fault, so that the clients have begun."""

SINGLE_PARTS = ("postgres", "nats", "gateway", "mail")
CRITICAL_LINKS = ("orders > postgres", "catalog > postgres", "payments > postgres", "clients > gateway")


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One fault. `at_s` counts from the start of the traffic; one that `lasts_s` 0 is over at once.

    `target` is a part (`orders-2`), a way (`orders > postgres`), a database or a publisher, as its kind needs.
    """

    number: int
    at_s: float
    kind: str
    target: str
    lasts_s: float = 0.0
    delay_s: float = 0.0
    """What a slowed way adds to everything that passes."""

    @property
    def is_outage(self) -> bool:
        """Whether no client can buy while it lasts: there is no other replica, and no other path."""
        return self.target in ("postgres", "gateway", *CRITICAL_LINKS)

    @property
    def says(self) -> str:
        lasting = f" for {self.lasts_s:.1f} s" if self.lasts_s else ""
        return f"{self.kind} {self.target}{lasting}"


@dataclass(frozen=True)
class Targets:
    """What there is to break. `replicas` are the processes of services, `ways` the connections that can be broken."""

    replicas: Sequence[str]
    databases: Sequence[str]
    publishers: Sequence[str]
    links: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True)
class _Card:
    """A target, and in which way it is broken; `lasts` draws for how long."""

    kinds: Sequence[str]
    target: str
    lasts: Callable[[random.Random], float] = lambda _: 0.0


def schedule(seed: int, seconds: float, count: int, targets: Targets) -> list[Fault]:
    """`count` faults in the order of time, all of them over after `seconds`. The same arguments, the same faults."""
    draw = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret.
    deck = _deck(targets)
    hand: list[_Card] = []
    calm_s = min(CALM_S, seconds / 10)
    step_s = (seconds - calm_s) / max(count, 1)
    faults = []
    for number in range(count):
        if not hand:
            hand = draw.sample(deck, len(deck))
        card = hand.pop()
        kind = draw.choice(card.kinds)
        at_s = calm_s + step_s * (number + draw.random())
        faults.append(
            Fault(
                number=number,
                at_s=round(at_s, 3),
                kind=kind,
                target=card.target,
                lasts_s=round(min(card.lasts(draw), seconds - at_s), 3),
                delay_s=round(draw.uniform(0.02, 0.25), 3) if kind == "slow" else 0.0,
            )
        )
    return faults


def _deck(targets: Targets) -> list[_Card]:
    """Every fault there is. What is there twice is twice as frequent."""
    return [
        *(2 * [_Card(["kill"], replica) for replica in targets.replicas]),
        *(3 * [_Card(["kill"], part) for part in SINGLE_PARTS]),
        *(_Card(["kill a backend of"], database) for database in targets.databases),
        *(_Card(["freeze"], replica, _frozen_s) for replica in targets.replicas),
        _Card(["freeze"], "nats", _between(1.0, 12.0)),
        # No client can buy meanwhile: long enough for time-outs, short enough to go on testing.
        *(_Card(["freeze"], part, _between(0.5, 4.0)) for part in ("postgres", "gateway")),
        *(_Card(["cut", "hang", "slow"], link, _between(0.5, 12.0)) for link in targets.links),
        *(_Card(["redelivered events of"], publisher) for publisher in targets.publishers),
        *(_Card(["forged events of"], publisher) for publisher in targets.publishers),
        _Card(["fill the disk of"], "postgres", _between(0.5, 2.0)),
        _Card(["fill the disk of"], "nats", _between(1.0, 8.0)),
        _Card(["lose the store of"], "nats"),
        _Card(["set back the store of"], "nats", _between(2.0, 10.0)),
    ]


def _between(least: float, most: float) -> Callable[[random.Random], float]:
    return lambda draw: draw.uniform(least, most)


def _frozen_s(draw: random.Random) -> float:
    """Mostly a hiccup; also across the lease of a saga (5 s), and across the broker's wait for an acknowledgement."""
    shortest, longest = draw.choices([(0.5, 4.0), (6.0, 12.0), (31.0, 45.0)], weights=[5, 3, 2])[0]
    return draw.uniform(shortest, longest)
