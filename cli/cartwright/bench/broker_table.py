"""The brokers' figures as people read them."""

from rich.console import Console
from rich.table import Table

from cartwright.bench.brokers import BrokerReport
from cartwright.bench.tables import BUSY_MAX


def print_brokers(report: BrokerReport, console: Console) -> None:
    where = report.machine
    console.print(
        f"\n{where.processor}, {where.cores} cores, {where.memory_gib:g} GiB, events of {report.event_bytes} bytes"
    )
    if where.busy > BUSY_MAX:
        console.print(f"[yellow]The machine was busy with {where.busy:g} other things: take no figure for its own.[/]")
    table = Table(box=None)
    table.add_column("events a second")
    table.add_column("")
    table.add_column("published", justify="right")
    table.add_column("consumed", justify="right")
    for figure in report.figures:
        table.add_row(figure.broker, figure.way, f"{figure.published:,.0f}", f"{figure.consumed:,.0f}")
    console.print(table)
    for sentence in report.missing:
        console.print(f"Not measured: {sentence}", soft_wrap=True)
