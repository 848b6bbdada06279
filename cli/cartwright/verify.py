"""`cartwright verify` itself: finds the system, has it checked, and tells the outcome promise by promise."""

import asyncio
from pathlib import Path

import asyncpg
import msgspec
from rich.console import Console

from cartwright.launcher import api
from cartwright.launcher.errors import CannotGoOn
from cartwright.launcher.layout import SERVICES_WITH_DATABASE
from cartwright.verifier.printing import print_report
from cartwright.verifier.reads import verify


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
        print_report(report, Console(highlight=False, soft_wrap=True))
    return report.holds
