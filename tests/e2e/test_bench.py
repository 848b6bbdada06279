"""`cartwright bench` from beginning to end, as short as it can be: the figures are of no use, the report is whole."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import pytest

from cartwright.bench.growth import GrowthReport
from cartwright.bench.report import Report

pytestmark = [pytest.mark.matrix, pytest.mark.timeout(600)]
RUN_SECONDS_MAX = 500


def bench(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "cartwright", "bench", *arguments, "--seconds", "1", "--json"]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=RUN_SECONDS_MAX, check=False)


def test_a_bench_measures_everything_beside_pgbench_and_keeps_every_promise(tmp_path: Path) -> None:
    recorded, chart = tmp_path / "recorded.json", tmp_path / "chart.svg"
    recorded.write_bytes(b'{"ratios": [{"kind": "purchases", "clients": 2, "ratio": 1e-6}]}')
    completed = bench("--clients", "2", "--chart", str(chart), "--compare", str(recorded))
    assert completed.returncode == 0, completed.stderr.decode()
    report = msgspec.json.decode(completed.stdout, type=Report)

    assert [load.kind for load in report.loads] == ["purchases", "hot-purchases", "reads", "sign-ins"]
    for load in report.loads:
        assert load.outcome.errors == 0
        assert load.outcome.per_second > 0
        assert load.costs.cpu_ms["gateway"] > 0
        assert load.lag.still_under_way == {}
    bought = report.loads[0]
    assert set(bought.costs.commits) >= {"orders", "catalog", "payments", "notifications", "audit"}
    assert bought.costs.wal_bytes > 1_000
    assert bought.batches["orders: place order"] >= 1
    assert bought.load_generator_cpu_ms > 0
    assert report.baseline[0].per_second > 0
    assert report.durability == {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
    assert report.memory.held_total > 100
    assert report.verification.holds
    assert ET.parse(chart).getroot().tag.endswith("svg")


def test_a_fall_below_half_of_what_was_recorded_is_a_failure(tmp_path: Path) -> None:
    recorded = tmp_path / "recorded.json"
    recorded.write_bytes(b'{"ratios": [{"kind": "purchases", "clients": 1, "ratio": 1000.0}]}')
    completed = bench("--clients", "1", "--only", "purchases,pgbench", "--compare", str(recorded))
    assert completed.returncode == 1
    assert b"Slower than recorded: purchases at 1 clients" in completed.stderr


def test_promises_hold_on_orders_that_were_copied() -> None:
    completed = bench(
        *("growth", "--orders", "200,1500", "--products", "1200", "--lines", "3", "--replicas", "1", "--clients", "2")
    )
    assert completed.returncode == 0, completed.stderr.decode()
    report = msgspec.json.decode(completed.stdout, type=GrowthReport)
    assert [(stage.products, stage.lines) for stage in report.stages] == [
        *((1000, 1), (1000, 1), (1000, 1)),
        *((1200, 1), (1200, 3)),
    ]
    assert report.stages[2].orders >= 1500
    for stage in report.stages:
        assert stage.purchases.outcome.errors == stage.history.errors == stage.searches.errors == 0
