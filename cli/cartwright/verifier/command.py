"""`cartwright verify` itself: finds the system, has it checked, and tells the outcome promise by promise."""

import asyncio
from pathlib import Path

import asyncpg
import msgspec
from rich.console import Console
from rich.markup import escape

from cartwright import api
from cartwright.errors import CannotGoOn
from cartwright.launcher.layout import SERVICES_WITH_DATABASE
from cartwright.verifier.reads import Report, Verdict, verify

SHOWN_MAX = 10


def verify_system(data: Path, wait_s: float, *, as_json: bool) -> bool:
    """Checks and tells; answers whether all promises hold. Raises CannotGoOn when they could not be checked."""
    system = api.open_running(data)
    urls = {service: system.reader_url(service) for service in SERVICES_WITH_DATABASE}
    try:
        report = asyncio.run(verify(urls, head_keys=system.head_keys, wait_s=wait_s))
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CannotGoOn(
            f"The data could not be read: {error or type(error).__name__}. See: cartwright status"
        ) from error
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(report)).decode())
    else:
        tell(report, Console(highlight=False, soft_wrap=True))
    return report.holds


def tell(report: Report, console: Console) -> None:
    for verdict in report.verdicts:
        tell_verdict(verdict, console)
    if report.in_flight:
        console.print(f"\nIn flight, and given a minute: {_told(report.in_flight)}.")
    else:
        console.print("\nThe system was quiet: nothing was in flight.")
    console.print("All promises hold." if report.holds else "[red]A promise is broken.[/]")


def tell_verdict(verdict: Verdict, console: Console) -> None:
    if verdict.holds:
        outcome = "[green]holds[/]"
    else:
        outcome = f"[red]broken {len(verdict.violations)}{'+' if verdict.are_more else ''} times[/]"
    console.print(f"{verdict.promise}  {verdict.says}: {outcome}  [dim]{_told(verdict.checked)}[/]")
    for violation in verdict.violations[:SHOWN_MAX]:
        detail = f" ({violation.detail})" if violation.detail else ""
        console.print(f"     {escape(f'{violation.rule}: {violation.id}{detail}')}")
    if len(verdict.violations) > SHOWN_MAX:
        console.print(f"     and {len(verdict.violations) - SHOWN_MAX}{'+' if verdict.are_more else ''} more")


def _told(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {things}" for things, count in counts.items() if count)
