"""The report as people read it: tables of what came of each load, and of what one order cost."""

from rich.console import Console
from rich.table import Table

from cartwright.bench.figures import Outcome
from cartwright.bench.report import Measured, Report
from cartwright.bench.requests import HOT_PURCHASES, PURCHASES


def tell(report: Report, console: Console) -> None:
    where = report.machine
    console.print(f"{where.processor}, {where.cores} cores, {where.memory_gib} GiB, {where.system}, load {where.busy}")
    console.print(", ".join(f"{name} {value}" for name, value in report.durability.items()))
    console.print(_outcomes(report))
    for load in report.loads:
        console.print(_costs(load))
    held = ", ".join(f"{name} {mib:g}" for name, mib in report.memory.held.items())
    console.print(f"Memory: {report.memory.held_total:g} MiB ({held})")
    warm = "" if report.starts.warm is None else f", {report.starts.warm:g} s on these data"
    console.print(f"Start: {report.starts.cold:g} s on nothing{warm}")
    console.print("All promises hold." if report.verification.holds else "[red]A promise is broken: see --json.[/]")


def _outcomes(report: Report) -> Table:
    table = Table(title=None, box=None)
    for heading in ("", "clients", "per second", "p50 ms", "p99 ms", "p99.9 ms", "errors", "of pgbench"):
        table.add_column(heading, justify="left" if not heading else "right")
    for load in report.loads:
        ratio = report.ratio(load.outcome.clients, load.kind) if load.kind in (PURCHASES, HOT_PURCHASES) else None
        table.add_row(load.kind, *_cells(load.outcome), "" if ratio is None else f"{ratio:.2f}")
    for outcome in report.yardstick:
        table.add_row("pgbench", *_cells(outcome), "")
    return table


def _cells(outcome: Outcome) -> tuple[str, ...]:
    latency = outcome.latency
    return (
        str(outcome.clients),
        f"{outcome.per_second:,.0f}",
        *(f"{ms:,.1f}" for ms in (latency.p50, latency.p99, latency.p999)),
        str(outcome.errors),
    )


def _costs(load: Measured) -> str:
    costs, lag = load.costs, load.lag
    by_process = ", ".join(f"{name} {ms:.2f}" for name, ms in sorted(costs.cpu_ms.items(), key=lambda item: -item[1]))
    sizes = ", ".join(f"{name} {size:g}" for name, size in load.batches.items())
    behind = ", ".join(f"{name} {count}" for name, count in lag.undelivered.items() if count)
    return (
        f"\n{load.kind}, {load.outcome.clients} clients, each:\n"
        f"  CPU {costs.cpu_ms_total:.2f} ms ({by_process}); load generator {load.load_generator_cpu_ms:.3f} ms\n"
        f"  {costs.commits_total:.2f} commits, {costs.wal_bytes:,} bytes of WAL; batches: {sizes}\n"
        f"  events behind at the end: {lag.unpublished_events} unpublished {behind}; "
        f"all consumed after {lag.seconds_until_consumed:g} s; answers {load.outcome.answers}"
    )
