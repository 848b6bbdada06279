"""The options of `cartwright bench` and `cartwright bench growth`, and the one call behind each."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from cartwright.launcher.layout import REPLICAS_MAX

PlanT = TypeVar("PlanT")
bench = typer.Typer(invoke_without_command=True)

Seconds = Annotated[float, typer.Option(min=1, help="For how long each load is measured.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]


@bench.callback()
def measure(
    context: typer.Context,
    seconds: Seconds = 10.0,
    clients: Annotated[str, typer.Option(metavar="N,...", help="So many at once.")] = "1,16,64,256",
    only: Annotated[
        str, typer.Option(metavar="PART,...", help="Of purchases, hot-purchases, reads, sign-ins, pgbench.")
    ] = "",
    replicas: Annotated[int, typer.Option(min=1, max=REPLICAS_MAX, help="How many of each service run.")] = 1,
    chart: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw what came of it, as SVG.")] = None,
    compare: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="An earlier --json: to be but half as fast beside pgbench fails."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a system of its own, beside pgbench in the same run, then check every promise on what came of it."""
    if context.invoked_subcommand is not None:
        return
    from cartwright.bench import command

    plan = _sound(lambda: command.parse_plan(seconds, clients, only, replicas))
    if not command.bench(plan, chart_file=chart, compare_file=compare, as_json=as_json):
        raise typer.Exit(1)


@bench.command()
def growth(
    orders: Annotated[str, typer.Option(metavar="N,...", help="So many in the tables already.")] = "10000,1000000",
    products: Annotated[str, typer.Option(metavar="N,...", help="So many in the shop.")] = "100000",
    lines: Annotated[str, typer.Option(metavar="N,...", help="So many products an order.")] = "10,100",
    replicas: Annotated[str, typer.Option(metavar="N,...", help="So many of each service.")] = "1,2",
    clients: Annotated[int, typer.Option(min=1, help="So many at once.")] = 64,
    seconds: Seconds = 10.0,
    as_json: AsJson = False,
) -> None:
    """Measure how the cost of a purchase grows with what is there already. Takes long, and some 20 GB of disk."""
    from cartwright.bench import command

    plan = _sound(lambda: command.parse_growth(orders, products, lines, replicas, clients, seconds))
    if not command.growth(plan, as_json=as_json):
        raise typer.Exit(1)


@bench.command()
def brokers(
    seconds: Annotated[float, typer.Option(min=0.1, help="For how long is published in each way.")] = 5.0,
    as_json: AsJson = False,
) -> None:
    """Measure how many events a second go by NATS and by RabbitMQ, where that is installed."""
    from cartwright.bench import command

    command.brokers(seconds, as_json=as_json)


def _sound(parse: Callable[[], PlanT]) -> PlanT:
    try:
        return parse()
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
