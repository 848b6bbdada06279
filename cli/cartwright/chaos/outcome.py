"""What a run came to: for people a page, for programs JSON."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
from rich.console import Console
from rich.markup import escape

from cartwright.chaos.history import InjectedFault
from cartwright.chaos.traffic import Health
from cartwright.verifier.printing import print_verdict
from cartwright.verifier.reads import Verdict

TRIES_MIN = 3


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """From the end of a fault until a purchase that began then was confirmed, in seconds.

    Faults overlap: those in which another fault made every purchase impossible do not count.
    """

    count: int
    median_s: float
    p99_s: float
    max_s: float
    slowest: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """`never_recovered` are faults after which nothing could be bought any more.

    `never_injected` are kinds of fault of which several were planned and none happened: the run says nothing of them.
    """

    holds: bool
    seed: int
    minutes: float
    seconds_under_load: float
    orders_accepted: int
    orders_confirmed: int
    faults: dict[str, int]
    faults_missed: dict[str, int]
    recovery: Recovery | None
    recovery_after_kills: Recovery | None
    never_recovered: list[str]
    never_injected: list[str]
    verdicts: list[Verdict]
    record: str | None = None
    repeat: str

    @classmethod
    def of(
        cls,
        seed: int,
        minutes: float,
        count: int,
        seconds: float,
        injected: Sequence[InjectedFault],
        health: Health,
        verdicts: list[Verdict],
    ) -> "Outcome":
        happened = [each for each in injected if not each.note]
        never_injected = kinds_never_injected(injected)
        times = recovery_times(injected, health.bought_s)
        return cls(
            holds=all(verdict.holds for verdict in verdicts) and not health.never and not never_injected,
            seed=seed,
            minutes=minutes,
            seconds_under_load=round(seconds, 1),
            orders_accepted=len(health.accepted),
            orders_confirmed=len(health.confirmed),
            faults=dict(Counter(each.fault.kind for each in happened).most_common()),
            faults_missed=dict(Counter(f"{each.fault.says}: {each.note}" for each in injected if each.note)),
            recovery=_recovery(happened, times),
            recovery_after_kills=_recovery([each for each in happened if each.fault.kind.startswith("kill")], times),
            never_recovered=[each.fault.says for each in injected if each.fault.number in health.never],
            never_injected=never_injected,
            verdicts=verdicts,
            repeat=f"cartwright chaos --seed {seed} --minutes {minutes:g} --faults {count}",
        )


def kinds_never_injected(injected: Sequence[InjectedFault]) -> list[str]:
    """Kinds that were tried `TRIES_MIN` times or more and never happened. Once or twice can be chance."""
    tried = Counter(each.fault.kind for each in injected)
    happened = {each.fault.kind for each in injected if not each.note}
    return [kind for kind, count in tried.items() if count >= TRIES_MIN and kind not in happened]


def recovery_times(injected: Sequence[InjectedFault], bought_s: Mapping[int, float]) -> dict[int, float]:
    """Seconds by the fault's number, for those after which something was bought at `bought_s`."""
    outages = sorted((each.began_s, each.ended_s) for each in injected if each.fault.is_outage)
    times = {}
    for each in injected:
        if each.fault.number in bought_s:
            at_s, until_s, waited_s = each.ended_s, bought_s[each.fault.number], 0.0
            for began_s, ended_s in outages:
                waited_s += max(min(began_s, until_s) - at_s, 0.0)
                at_s = max(at_s, min(ended_s, until_s))
            times[each.fault.number] = waited_s + until_s - at_s
    return times


def _recovery(injected: Sequence[InjectedFault], time_by_number: Mapping[int, float]) -> Recovery | None:
    times = sorted(
        (time_by_number[each.fault.number], each.fault.says) for each in injected if each.fault.number in time_by_number
    )
    if not times:
        return None
    return Recovery(
        count=len(times),
        median_s=round(times[(len(times) - 1) // 2][0], 3),
        p99_s=round(times[math.ceil(len(times) * 0.99) - 1][0], 3),
        max_s=round(times[-1][0], 3),
        slowest=times[-1][1],
    )


def tell(outcome: Outcome, console: Console) -> None:
    rate = outcome.orders_accepted / max(outcome.seconds_under_load, 1.0)
    console.print(f"{outcome.orders_accepted:,} orders accepted, {rate:.0f} a second", highlight=False)
    console.print(f"{sum(outcome.faults.values())} faults")
    for kind, count in outcome.faults.items():
        console.print(f"  {count:4}  {kind} ...")
    for missed, count in outcome.faults_missed.items():
        console.print(f"  {count:4}  not as planned: {escape(missed)}", style="dim")
    for what, recovery in (("every fault", outcome.recovery), ("a kill", outcome.recovery_after_kills)):
        if recovery is not None:
            console.print(
                f"to buy again after {what}: median {recovery.median_s:.2f} s, p99 {recovery.p99_s:.2f} s, "
                f"at most {recovery.max_s:.2f} s ({escape(recovery.slowest)})"
            )
    for fault in outcome.never_recovered:
        console.print(f"[red]nothing could be bought any more after: {escape(fault)}[/]")
    for kind in outcome.never_injected:
        console.print(f"[red]never happened, though it was planned: {escape(kind)} ...[/]")
    console.print()
    for verdict in outcome.verdicts:
        print_verdict(verdict, console)
    if outcome.holds:
        console.print("\nAll promises hold.")
    elif all(verdict.holds for verdict in outcome.verdicts) and not outcome.never_recovered:
        console.print("\n[red]The run proves too little.[/]")
    else:
        console.print("\n[red]A promise is broken.[/]")
    if outcome.record:
        console.print(f"The record: {outcome.record}", markup=False)
    console.print(f"The same again: {outcome.repeat}")
