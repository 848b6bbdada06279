"""The pure parts of `cartwright bench`: percentiles, sums, goals, the comparison with an earlier run, tables, chart."""

import io
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from cartwright.bench import batches, chart, comparison
from cartwright.bench.baseline import outcome_of
from cartwright.bench.command import parse_plan
from cartwright.bench.costs import Costs, Reading, costs_of
from cartwright.bench.figures import Latency, Outcome, latency_of, percentile
from cartwright.bench.growth import GrowthReport, Stage, Verified
from cartwright.bench.growth_table import print_growth
from cartwright.bench.lag import Lag
from cartwright.bench.memory import Memory
from cartwright.bench.report import Ratio, Report, make_report
from cartwright.bench.results import LoadResult, Machine, Starts
from cartwright.bench.tables import tell
from cartwright.launcher.errors import CannotGoOn
from cartwright.verifier.findings import Violation
from cartwright.verifier.reads import Report as Verification
from cartwright.verifier.reads import Verdict


def outcome(clients: int, per_second: float, p50: float = 10.0) -> Outcome:
    return Outcome(
        clients=clients,
        seconds=10.0,
        per_second=per_second,
        latency=Latency(p50, p50 * 3, p50 * 5),
        errors=0,
        answers={"201": int(per_second * 11)},
    )


def measured(kind: str, clients: int, per_second: float, p50: float = 10.0, consumed_s: float = 1.0) -> LoadResult:
    return LoadResult(
        kind=kind,
        outcome=outcome(clients, per_second, p50),
        load_generator_cpu_ms=0.02,
        costs=Costs(
            cpu_ms={"orders": 0.4, "postgres": 0.2},
            postgres_cpu_ms={"orders": 0.15, "walwriter": 0.05},
            cpu_ms_total=0.6,
            commits={"orders": 0.1},
            commits_total=0.1,
            wal_bytes=9_000,
        ),
        batches={"orders: place order": 30.0},
        lag=Lag(unpublished_events=12, undelivered={"audit": 7}, seconds_until_consumed=consumed_s, still_under_way={}),
    )


def a_report(
    *loads: LoadResult,
    baseline: tuple[Outcome, ...] = (),
    held_mib: float = 500.0,
    warm_s: float | None = 4.0,
    violations: tuple[Violation, ...] = (),
) -> Report:
    verdict = Verdict(
        promise=3,
        says="stock is conserved",
        holds=not violations,
        checked={"products": 3},
        in_flight={},
        violations=list(violations),
        are_more=False,
    )
    return make_report(
        machine=Machine(processor="A", cores=2, memory_gib=4.0, system="Linux", python="3.11", busy=0.1),
        replicas=1,
        durability={"fsync": "on"},
        idle_cpu_ms={"orders": 4.0},
        loads=loads,
        baseline=baseline,
        memory=Memory(held={"orders": held_mib}, peak={"orders": held_mib + 50}, held_total=held_mib),
        starts=Starts(cold=9.0, warm=warm_s),
        verification=Verification(holds=not violations, in_flight={}, verdicts=[verdict]),
    )


def told(report: Report) -> str:
    console = Console(file=io.StringIO(), width=160)
    tell(report, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@given(st.lists(st.floats(0, 1e6), min_size=1), st.sampled_from([0.5, 0.9, 0.99, 0.999, 1.0]))
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(values: list[float], share: float) -> None:
    found = percentile(sorted(values), share)
    assert sum(value <= found for value in values) >= share * len(values)
    assert sum(value < found for value in values) < share * len(values)


def test_latency_is_in_milliseconds_and_zero_of_nothing() -> None:
    assert latency_of([number / 1000 for number in range(1, 1001)]) == Latency(500.0, 990.0, 999.0)
    assert latency_of([]) == Latency(0.0, 0.0, 0.0)


def test_pgbench_is_read_from_its_log_with_failures_apart() -> None:
    lines = ["0 1 1500 0 1 1", "0 2 2500 0 1 2", "1 1 failed 0 1 3", "1 2 3500 0 1 4"]
    found = outcome_of(2, 2.0, iter(lines))
    assert (found.per_second, found.errors, found.latency.p50) == (1.5, 1, 2.5)


def test_costs_are_the_difference_of_two_readings_for_each_order() -> None:
    before = Reading(
        {"orders": 1.0, "postgres: orders": 2.0, "postgres: ended": 0.5}, {"orders": 100, "postgres": 5}, 1_000
    )
    after = Reading(
        {"orders": 1.5, "postgres: orders": 2.1, "postgres: ended": 0.5, "postgres: io worker": 0.1, "nats": 0.2},
        {"orders": 150, "postgres": 5},
        501_000,
    )
    costs = costs_of(before, after, 100)
    assert costs.cpu_ms == {"orders": 5.0, "postgres": 2.0, "nats": 2.0}
    assert costs.postgres_cpu_ms == {"orders": 1.0, "io worker": 1.0}
    assert costs.cpu_ms_total == 9.0
    assert (costs.commits, costs.commits_total, costs.wal_bytes) == ({"orders": 0.5}, 0.5, 5_000)


def test_a_part_that_was_started_anew_is_counted_from_zero() -> None:
    assert costs_of(Reading({"orders": 9.0}, {}, 0), Reading({"orders": 0.5}, {}, 0), 100).cpu_ms == {"orders": 5.0}


def test_batch_sizes_are_those_between_two_readings() -> None:
    before = {"orders: place order": (100.0, 50.0), "idle": (5.0, 5.0)}
    after = {"orders: place order": (400.0, 60.0), "idle": (5.0, 5.0), "new": (8.0, 2.0)}
    assert batches.mean_sizes(before, after) == {"new": 4.0, "orders: place order": 30.0}


def test_the_ratio_is_to_pgbench_at_its_best_whatever_clients_that_takes() -> None:
    report = a_report(
        measured("purchases", 64, 900.0),
        measured("reads", 64, 5000.0),
        baseline=(outcome(1, 300.0), outcome(64, 1000.0), outcome(256, 800.0)),
    )
    assert report.ratios == [Ratio("purchases", 64, 0.9)]


GOOD = (
    measured("purchases", 1, 200.0, p50=5.0),
    measured("purchases", 256, 800.0),
    measured("hot-purchases", 256, 790.0),
)
BASELINE = (outcome(1, 500.0, p50=1.25), outcome(64, 1000.0), outcome(256, 900.0))


def test_every_goal_is_told_beside_what_was_measured() -> None:
    goals = a_report(*GOOD, baseline=BASELINE).goals
    assert [goal.measured for goal in goals] == [0.8, 0.889, 1.0, 0.988, 4.0, 500.0, 4.0]
    assert all(goal.is_reached for goal in goals)


@pytest.mark.parametrize(
    ("report", "missed"),
    [
        (a_report(measured("purchases", 256, 650.0), baseline=BASELINE), 0.65),
        (a_report(measured("purchases", 256, 800.0), baseline=(outcome(256, 1_250.0), outcome(16, 900.0))), 0.64),
        (a_report(measured("purchases", 256, 800.0, consumed_s=5.5)), 5.5),
        (a_report(measured("purchases", 256, 800.0), measured("hot-purchases", 256, 700.0)), 0.875),
        (a_report(measured("purchases", 1, 100.0, p50=8.0), baseline=BASELINE), 6.4),
        (a_report(held_mib=701.0), 701.0),
        (a_report(warm_s=6.5), 6.5),
    ],
)
def test_a_goal_that_is_missed_is_said_to_be(report: Report, missed: float) -> None:
    assert {goal.measured for goal in report.goals if not goal.is_reached} == {missed}
    assert "missed" in told(report)


def test_what_was_not_measured_is_no_goal() -> None:
    assert [goal.measured for goal in a_report(warm_s=None).goals] == [500.0]


def test_less_than_half_of_the_recorded_ratio_is_slower() -> None:
    recorded = [Ratio("purchases", 64, 0.8), Ratio("purchases", 256, 1.0)]
    assert comparison.slower(recorded, [Ratio("purchases", 64, 0.4), Ratio("purchases", 1, 0.01)]) == []
    (sentence,) = comparison.slower(recorded, [Ratio("purchases", 64, 0.39), Ratio("purchases", 256, 0.6)])
    assert sentence == "purchases at 64 clients: 0.39 of pgbench, and it was 0.8"


def test_a_comparison_with_nothing_is_refused() -> None:
    with pytest.raises(CannotGoOn):
        comparison.slower([Ratio("purchases", 64, 0.8)], [Ratio("purchases", 16, 0.8)])


def test_a_report_is_a_record_for_later_runs(tmp_path: Path) -> None:
    report = a_report(*GOOD, baseline=BASELINE)
    file = tmp_path / "recorded.json"
    file.write_bytes(msgspec.json.encode(report))
    assert comparison.read(file).ratios == report.ratios
    file.write_text("{}")
    with pytest.raises(CannotGoOn):
        comparison.read(file)


def test_the_tables_tell_figures_costs_goals_and_the_verdict() -> None:
    text = told(a_report(*GOOD, baseline=BASELINE))
    for told_part in (
        "800",
        "0.80",
        "orders 0.40",
        "walwriter 0.05",
        "12 unpublished and 7 undelivered",
        "8.8 KiB",
        "All promises hold.",
    ):
        assert told_part in text


def test_a_broken_promise_is_told_with_its_ids() -> None:
    text = told(a_report(violations=(Violation("oversold", "product-7", "11 of 10"),)))
    assert "product-7" in text
    assert "All promises hold." not in text


def test_the_chart_has_every_point_of_every_curve() -> None:
    root = ET.fromstring(chart.draw(a_report(*GOOD, baseline=BASELINE)))
    circles = root.findall("{http://www.w3.org/2000/svg}circle")
    # Each in throughput, median and 99 of 100.
    assert len(circles) == 3 * (2 + 1 + 3)
    assert all(0 <= float(circle.attrib["cy"]) <= 340 for circle in circles)
    texts = {text.text for text in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"1", "64", "256", "purchases", "hot-purchases", "pgbench"} <= texts


def test_the_chart_of_a_run_without_purchases_is_empty_and_sound() -> None:
    ET.fromstring(chart.draw(a_report()))


@given(st.floats(0.001, 1e9))
def test_a_scale_reaches_its_largest_value_in_few_round_steps(largest: float) -> None:
    steps = chart.round_steps(largest)
    assert steps[0] == 0
    assert steps[-1] >= largest * (1 - 1e-9)
    assert 2 <= len(steps) <= 7


@given(st.floats(0.001, 1e9), st.floats(1, 1e6))
def test_powers_of_ten_hold_the_range(smallest: float, factor: float) -> None:
    powers = chart.powers_of_ten(smallest, smallest * factor)
    assert powers[0] <= smallest * (1 + 1e-9)
    assert powers[-1] >= smallest * factor * (1 - 1e-9)


def test_a_plan_is_read_from_words() -> None:
    plan = parse_plan(5.0, "64, 1,64", "purchases,pgbench", 2)
    assert (plan.kinds, plan.clients, plan.with_baseline, plan.replicas) == (("purchases",), (64, 1), True, 2)
    everything = parse_plan(5.0, "1", "", 1)
    assert everything.kinds == ("purchases", "hot-purchases", "reads", "sign-ins")


@pytest.mark.parametrize("wrong", [{"clients": "many"}, {"clients": "0"}, {"clients": ""}, {"only": "purchase"}])
def test_a_plan_that_makes_no_sense_is_refused(wrong: Mapping[str, str]) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_plan(5.0, **({"clients": "1", "only": ""} | dict(wrong)), replicas=1)


def test_growth_is_told_stage_by_stage() -> None:
    stage = Stage(
        orders=10_000,
        products=1_000,
        lines=1,
        replicas=2,
        purchases=measured("purchases", 64, 700.0),
        history=outcome(64, 900.0, p50=3.0),
        searches=outcome(64, 90.0, p50=30.0),
        verified=Verified(holds=True, seconds=2.5, memory_mib=81.0),
    )
    unverified = msgspec.structs.replace(stage, orders=20_000, verified=None)
    report = GrowthReport(machine=a_report().machine, stages=[stage, unverified])
    console = Console(file=io.StringIO(), width=160)
    print_growth(report, console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    for told_part in ("10,000", "20,000", "700", "3.0", "30.0", "2.5", "81", "All promises hold."):
        assert told_part in text
    assert report.holds
    broken = msgspec.structs.replace(stage, verified=Verified(holds=False, seconds=1.0, memory_mib=80.0))
    assert not GrowthReport(machine=report.machine, stages=[broken, unverified]).holds
