"""The checkout in any order that hypothesis can think of: what is promised holds after every step and in the end."""

from collections.abc import Sequence
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from services.orders.tests.checkout_invariants import check_always, check_when_quiet
from services.orders.tests.checkout_simulation import DEADLINE_S, LEASE_S, Client, Fate, Question, World

from orders.domain.order import Line

ThingT = TypeVar("ThingT")
FATES = [*[Fate.ANSWERED] * 6, *list(Fate)[1:]]
METHODS = [*["pm_card_visa"] * 3, "pm_card_chargeDeclined", "pm_unheard_of", "pm_never_answers"]
PAUSES_S = [0.3, 2.5, LEASE_S + 1, DEADLINE_S]
QUIET_S_MAX = 60.0
CLIENTS_MAX = 8


def numbers(*sizes: int) -> st.SearchStrategy[tuple[int, ...]]:
    """One number below each of `sizes`, all from one draw, since draws are what a run costs. Zero is the simplest."""
    count = len(sizes)
    return st.binary(min_size=count, max_size=count).map(
        lambda drawn: tuple(byte * size >> 8 for byte, size in zip(drawn, sizes, strict=True))
    )


DECISIONS = numbers(7, *[4, len(FATES)] * 6)
"""How many, then for each which of the open questions, and its fate. Part of each rule: things go on in between."""


class Checkout(RuleBasedStateMachine):
    """Clients, replicas, the network and time, each of which may go on next."""

    @initialize(numbers=numbers(3, 4, *[2, 2, len(METHODS)] * 3))
    def open_shop(self, numbers: tuple[int, ...]) -> None:
        stock, count, *purchases = numbers
        count = [1, 1, 2, 3][count]
        self.world = World(stock=stock + 1)
        self.frozen: set[int] = set()
        for first in range(0, 3 * count, 3):
            self.buy(*purchases[first : first + 3])

    def buy(self, replica: int, more: int, method: int) -> None:
        line, key = Line(self.world.product, 1 + more), f"key {len(self.world.clients)}"
        client = Client(self.world.new_order(key, line, payment_method=METHODS[method]))
        self.world.clients.append(client)
        self.world.buy(replica, client)

    def teardown(self) -> None:
        world = self.world
        try:
            self.run_to_quiet()
            check_when_quiet(world)
            assert not world.loop.broken, world.loop.broken
        finally:
            world.close()

    @invariant()
    def what_is_promised_holds(self) -> None:
        check_always(self.world)

    # Clients

    @rule(numbers=numbers(2, CLIENTS_MAX, 11), then=DECISIONS)
    def act_on_an_order(self, numbers: tuple[int, int, int], then: tuple[int, ...]) -> None:
        replica, which, act = numbers
        replica = self.awake(replica)
        client = _of(self.world.clients, which)
        match act:
            case 0:
                self.world.delete_account()
            case 1 | 2:
                self.world.buy(replica, client)  # Again, with the same key.
            case _ if not self.world.is_placed(client):
                pass
            case 3 | 4:
                self.world.capture_by_hand(client)
            case 5 | 6:
                self.world.ship(replica, client)
            case _:
                self.world.cancel(replica, client)
        self.decide(then)

    @rule(numbers=numbers(2, 4), then=DECISIONS)
    def use_the_cart(self, numbers: tuple[int, int], then: tuple[int, ...]) -> None:
        replica, act = numbers
        if act == 3:
            self.world.empty_cart()
        else:
            self.world.fill_cart()
            for _ in range(act):
                self.buy_cart(self.awake(replica))
        self.decide(then)

    def buy_cart(self, replica: int) -> None:
        """With a key of its own."""
        if len(self.world.clients) < CLIENTS_MAX:
            client = Client(self.world.new_order(f"key {len(self.world.clients)}"))
            self.world.clients.append(client)
            self.world.buy(replica, client)

    def awake(self, replica: int) -> int:
        """That replica, or the other one where it is frozen."""
        return replica if replica not in self.frozen else 1 - replica

    # The network, and what replicas wait for

    @rule(decisions=DECISIONS)
    def decide(self, decisions: tuple[int, ...]) -> None:
        count, *rest = decisions
        for which, fate in list(zip(rest[::2], rest[1::2], strict=True))[:count]:
            if questions := self.open_questions():
                self.world.decide(_of(questions, which), FATES[fate])

    @precondition(lambda self: self.world.strays)
    @rule(which=numbers(8), then=DECISIONS)
    def arrive_late_or_again(self, which: tuple[int], then: tuple[int, ...]) -> None:
        _of(self.world.strays, which[0])()
        self.decide(then)

    @precondition(lambda self: self.world.table.journal)
    @rule(numbers=numbers(2, 8), then=DECISIONS)
    def hear(self, numbers: tuple[int, int], then: tuple[int, ...]) -> None:
        peer, which = numbers
        self.world.say(["catalog", "payments"][peer], which % len(self.world.table.journal))
        self.decide(then)

    # Replicas and time

    @rule(numbers=numbers(2, 2), then=DECISIONS)
    def crash(self, numbers: tuple[int, int], then: tuple[int, ...]) -> None:
        replica, commits = numbers
        self.frozen.discard(replica)
        self.world.crash(replica, commits=bool(commits))
        self.decide(then)

    @rule(numbers=numbers(2, 2), then=DECISIONS)
    def freeze_past_its_leases(self, numbers: tuple[int, int], then: tuple[int, ...]) -> None:
        """And maybe past the deadline of its orders. The other replica takes them up."""
        replica, longer = numbers
        self.frozen = {replica}
        self.pass_time_and_sweep((2 + longer, 1 - replica), then)

    @precondition(lambda self: self.frozen)
    @rule(then=DECISIONS)
    def wake(self, then: tuple[int, ...]) -> None:
        self.frozen = set()
        self.decide(then)

    @rule(numbers=numbers(len(PAUSES_S), 2), then=DECISIONS)
    def pass_time_and_sweep(self, numbers: tuple[int, int], then: tuple[int, ...]) -> None:
        pause, replica = numbers
        self.world.loop.run_for(PAUSES_S[pause])
        self.world.sweep(replica)
        self.decide(then)

    # The shop

    @rule(then=DECISIONS)
    def put_one_more_in_stock(self, then: tuple[int, ...]) -> None:
        self.world.catalog.stock[self.world.product] += 1
        self.world.put_in += 1
        self.decide(then)

    @rule(then=DECISIONS)
    def add_payment_method(self, then: tuple[int, ...]) -> None:
        self.world.payments.unheard_of.clear()
        self.decide(then)

    def open_questions(self) -> list[Question]:
        frozen = [self.world.replicas[which] for which in self.frozen]
        return [question for question in self.world.questions if question.replica not in frozen]

    def run_to_quiet(self) -> None:
        """No faults, and both replicas sweep. All calls arrive in the end, also those without a waiting request."""
        world = self.world
        for turn in range(int((DEADLINE_S + QUIET_S_MAX) / 3.0)):
            while world.questions:
                world.decide(world.questions[0], Fate.ANSWERED)
            if turn and not world.on_their_way():
                break
            world.loop.run_for(3.0)
            world.sweep(turn % 2)
        world.loop.run_for(QUIET_S_MAX)
        check_always(world)
        for position in range(len(world.table.journal)):
            world.say("catalog", position)
            world.say("payments", position)
        for arrive in world.strays:
            arrive()


def _of(things: Sequence[ThingT], which: int) -> ThingT:
    return things[which % len(things)]


def runs(count: int) -> settings:
    """So many for each hundred that the profile asks for."""
    return settings(
        max_examples=settings.default.max_examples * count // 100,
        stateful_step_count=12,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


@pytest.mark.timeout(3_600)
@pytest.mark.usefixtures("silence")
def test_whatever_happens_in_whatever_order_the_promises_hold() -> None:
    run_state_machine_as_test(Checkout, settings=runs(2_000))
