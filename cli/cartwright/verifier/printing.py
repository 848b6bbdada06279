"""Prints the verdicts of a verification for people."""

from rich.console import Console
from rich.markup import escape

from cartwright.verifier.reads import Report, Verdict

SHOWN_MAX = 10


def print_report(report: Report, console: Console) -> None:
    for verdict in report.verdicts:
        print_verdict(verdict, console)
    if report.in_flight:
        console.print(f"\nIn flight, and given a minute: {_listed(report.in_flight)}.")
    else:
        console.print("\nThe system was quiet: nothing was in flight.")
    console.print("All promises hold." if report.holds else "[red]A promise is broken.[/]")


def print_verdict(verdict: Verdict, console: Console) -> None:
    if verdict.holds:
        outcome = "[green]holds[/]"
    else:
        outcome = f"[red]broken {len(verdict.violations)}{'+' if verdict.are_more else ''} times[/]"
    console.print(f"{verdict.promise}  {verdict.says}: {outcome}  [dim]{_listed(verdict.checked)}[/]")
    for violation in verdict.violations[:SHOWN_MAX]:
        detail = f" ({violation.detail})" if violation.detail else ""
        console.print(f"     {escape(f'{violation.rule}: {violation.id}{detail}')}")
    if len(verdict.violations) > SHOWN_MAX:
        console.print(f"     and {len(verdict.violations) - SHOWN_MAX}{'+' if verdict.are_more else ''} more")


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {things}" for things, count in counts.items() if count)
