"""The report as people read it: tables of what came of each load, and of what one order cost."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from cartwright.bench.figures import Outcome
from cartwright.bench.report import Report
from cartwright.bench.results import LoadResult
from cartwright.verifier.printing import print_report

BUSY_MAX = 0.5


def tell(report: Report, console: Console) -> None:
    where = report.machine
    console.print(
        f"\n{where.processor}, {where.cores} cores, {where.memory_gib:g} GiB, {where.system}, Python {where.python}, "
        f"{report.replicas} of each service"
    )
    console.print(", ".join(f"{name} {value}" for name, value in report.durability.items()))
    if where.busy > BUSY_MAX:
        console.print(f"[yellow]The machine was busy with {where.busy:g} other things: take no figure for its own.[/]")
    console.print(_outcomes(report))
    for load in report.loads:
        _print_costs(load, console)
    _print_system(report, console)
    for goal in report.goals:
        mark = "[green]reached[/]" if goal.is_reached else "[red]missed[/]"
        console.print(f"  {mark}  {goal.says}: {goal.measured:g}", soft_wrap=True)
    if report.verification.holds:
        console.print("\nAll promises hold.")
    else:
        print_report(report.verification, console)


def _outcomes(report: Report) -> Table:
    table = Table(box=None)
    for heading in ("", "clients", "per second", "p50 ms", "p99 ms", "p99.9 ms", "errors", "of pgbench"):
        table.add_column(heading, justify="right" if heading else "left")
    ratios = {(ratio.kind, ratio.clients): f"{ratio.ratio:.2f}" for ratio in report.ratios}
    for load in report.loads:
        table.add_row(load.kind, *_cells(load.outcome), ratios.get((load.kind, load.outcome.clients), ""))
    for outcome in report.baseline:
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


def _print_costs(load: LoadResult, console: Console) -> None:
    costs, lag = load.costs, load.lag
    behind = sum(lag.undelivered.values())
    lines = [
        f"\n[bold]{load.kind}, {load.outcome.clients} clients[/], for each, until its last event was consumed",
        f"  CPU       {costs.cpu_ms_total:.2f} ms: {_told(costs.cpu_ms)}",
        f"            of PostgreSQL: {_told(costs.postgres_cpu_ms)}",
        f"            besides, the load generator: {load.load_generator_cpu_ms:.3f} ms",
        f"  commits   {costs.commits_total:.2f}: {_told(costs.commits)}",
        f"  WAL       {costs.wal_bytes / 1024:,.1f} KiB",
        f"  batches   {_told(load.batches, '.1f')}",
        f"  events    {lag.unpublished_events:,} unpublished and {behind:,} undelivered at the end",
        f"            all consumed after {lag.seconds_until_consumed:g} s",
    ]
    if load.others is not None:
        quiet, loaded = load.others.quiet, load.others.loaded
        lines.append(
            f"  others    read a product in {loaded.p50:g} ms (p50) and {loaded.p99:g} ms (p99) meanwhile, "
            f"in {quiet.p50:g} ms and {quiet.p99:g} ms before"
        )
    later = load.outcome.answers.get("202", 0)
    if later:
        lines.append(f"  answered before their end (202): {later:,}")
    if lag.still_under_way:
        lines.append(f"  [red]still under way: {_told(lag.still_under_way, ',')}[/]")
    console.print("\n".join(lines), soft_wrap=True)


def _print_system(report: Report, console: Console) -> None:
    memory, starts = report.memory, report.starts
    warm = "" if starts.warm is None else f", and again on these data in {starts.warm:g} s"
    console.print(
        f"\nMemory    {memory.held_total:g} MiB of services, gateway and stores: {_told(memory.held, '.0f')}\n"
        f"          at the peak: {_told(memory.peak, '.0f')}\n"
        f"Idle      {sum(report.idle_cpu_ms.values()):.1f} ms of CPU a second: {_told(report.idle_cpu_ms, '.1f')}\n"
        f"Start     in {starts.cold:g} s on nothing{warm}\n",
        soft_wrap=True,
    )


def _told(figures: Mapping[str, float], form: str = ".2f") -> str:
    """What rounds to nothing is left out."""
    told = {name: format(figure, form) for name, figure in figures.items()}
    return ", ".join(f"{name} {text}" for name, text in told.items() if text.strip("0.")) or "nothing"
