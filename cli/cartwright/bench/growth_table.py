"""The growth report as people read it: a row for each stage."""

from rich.console import Console
from rich.table import Table

from cartwright.bench.figures import Outcome
from cartwright.bench.growth import GrowthReport, Stage

HEADINGS = (
    *("orders\nbefore", "products", "lines", "replicas"),
    *("purchases\na second", "p50\nms", "p99\nms", "CPU\nms", "WAL\nKiB", "commits"),
    *("history\np50 ms", "p99\nms", "search\np50 ms", "p99\nms", "verify\ns", "memory\nMiB"),
)


def print_growth(report: GrowthReport, console: Console) -> None:
    table = Table(box=None, padding=(0, 1))
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    for stage in report.stages:
        table.add_row(*_cells(stage))
    console.print(table)
    console.print("All promises hold." if report.holds else "[red]A promise is broken.[/]")


def _cells(stage: Stage) -> tuple[str, ...]:
    bought, costs, verified = stage.purchases.outcome, stage.purchases.costs, stage.verified
    return (
        *(f"{count:,}" for count in (stage.orders, stage.products, stage.lines, stage.replicas)),
        *(f"{bought.per_second:,.0f}", f"{bought.latency.p50:,.1f}", f"{bought.latency.p99:,.1f}"),
        *(f"{costs.cpu_ms_total:.2f}", f"{costs.wal_bytes / 1024:.1f}", f"{costs.commits_total:.2f}"),
        *_latency(stage.history),
        *_latency(stage.searches),
        *(("", "") if verified is None else (f"{verified.seconds:.1f}", f"{verified.memory_mib:.0f}")),
    )


def _latency(outcome: Outcome) -> tuple[str, str]:
    return f"{outcome.latency.p50:,.1f}", f"{outcome.latency.p99:,.1f}"
