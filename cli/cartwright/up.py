"""`cartwright up`: starts everything at once, shows what is ready, and stops all on Ctrl-C."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.live import Live

from cartwright.launcher import listening, processes, tls
from cartwright.launcher.errors import AlreadyRunning, CannotGoOn, StartFailed, SystemGone
from cartwright.launcher.launch import launch
from cartwright.launcher.layout import Layout, Ports
from cartwright.launcher.lock import only_one
from cartwright.launcher.part_views import PartView
from cartwright.launcher.stop import stop, stop_at_once, stop_orphans
from cartwright.launcher.system import PLAIN_ENTRY, Entry, System, make_data_folder, make_system, open_system
from cartwright.part_table import part_table

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def up(
    data: Path,
    port: int,
    rate_limit: int | None,
    replicas: int = 1,
    events_url: str | None = None,
    entry: Entry = PLAIN_ENTRY,
    *,
    detach: bool,
) -> None:
    """Starts the system at `data`. With `detach` returns once all is ready, else when it has been stopped.

    A start that fails, or is interrupted, leaves nothing running; a system that ran before is left alone. Raises
    AlreadyRunning, PortInUse, StartFailed.
    """
    console = Console(highlight=False, soft_wrap=True)
    if entry.tls is not None:
        tls.check(entry.tls)
    layout = make_data_folder(data)
    with only_one(layout):
        runs_already = processes.is_supervised(layout.data)
        system = (
            open_system(data)
            if runs_already
            else _start(layout, port, rate_limit, replicas, events_url, entry, console)
        )
    if runs_already and not detach:
        raise AlreadyRunning(
            f"The system at {data} runs already, at {system.gateway_url}. "
            f"See it: cartwright status --data {data}. Stop it: cartwright down --data {data}"
        )
    if runs_already:
        # A script that asks for a running system has one.
        console.print(f"The system at {data} runs already.")
        _wait_for_another_s(system, console)
    else:
        _accompany(system, console, detach=detach)


def _wait_for_another_s(system: System, console: Console) -> None:
    """Waits until a system is ready that another `up` has started, and stops nothing of it."""
    try:
        asyncio.run(_wait(system, console))
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise StartFailed("The waiting was interrupted; the system goes on.") from None


def _accompany(system: System, console: Console, *, detach: bool) -> None:
    """Waits for the system that was just started, or shows it to its end."""
    try:
        asyncio.run(_wait(system, console) if detach else _show(system, console))
    except SystemGone:
        _stop_what_was_left(system)
        if detach:
            raise
        console.print("The system was stopped by somebody else.")
    except StartFailed:
        stop(system)
        raise
    except (KeyboardInterrupt, asyncio.CancelledError):
        _stop(system, console)
        if detach:
            raise StartFailed("The start was interrupted; nothing runs.") from None


def _stop_what_was_left(system: System) -> None:
    """A killed supervisor leaves its parts; after `cartwright down` there is nothing left. After another `up` all
    that runs belongs to that one, which has stopped the leftovers itself."""
    with contextlib.suppress(CannotGoOn), only_one(system.layout):
        if not processes.is_supervised(system.layout.data):
            stop_orphans(system.layout.data)


def _start(
    layout: Layout,
    port: int,
    rate_limit: int | None,
    replicas: int,
    events_url: str | None,
    entry: Entry,
    console: Console,
) -> System:
    stop_orphans(layout.data)
    listening.require_free_ports(Ports(port, replicas))
    system = make_system(layout, port, rate_limit, replicas, events_url, entry)
    try:
        launch(system, console.print)
    except KeyboardInterrupt:
        stop(system)
        raise StartFailed("The start was interrupted; nothing runs.") from None
    except BaseException:
        stop(system)
        raise
    return system


async def _wait(system: System, console: Console) -> None:
    # Imported here and not before the parts were started: it takes as long as they do to load.
    from cartwright.launcher.watch import wait_until_ready

    _cancel_on_signals()
    with _table(console) as show:
        await wait_until_ready(system, show)
    _print_addresses(system, console)


async def _show(system: System, console: Console) -> None:
    """Shows the table until cancelled. A part that fails is named once, with what it said last."""
    from cartwright.launcher.watch import failure, read_repeatedly

    _cancel_on_signals()
    named: set[str] = set()
    were_addresses_printed = False
    with _table(console) as show:
        async with contextlib.aclosing(read_repeatedly(system)) as snapshots:
            async for look in snapshots:
                show(look.parts)
                for name in set(look.failing) - named:
                    console.print(failure(system.layout, name), markup=False)
                named |= set(look.failing)
                if not look.waiting and not were_addresses_printed:
                    were_addresses_printed = True
                    _print_addresses(system, console)
                    console.print("Ctrl-C stops all.")


def _cancel_on_signals() -> None:
    task = asyncio.current_task()
    assert task is not None
    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)


@contextlib.contextmanager
def _table(console: Console) -> Iterator[Callable[[list[PartView]], None]]:
    """A table that is redrawn in place on a terminal; elsewhere a line for each part that becomes ready."""
    if not console.is_terminal:
        said: set[str] = set()

        def say(views: list[PartView]) -> None:
            ready = {view.name for view in views if view.state == "ready"}
            for name in sorted(ready - said):
                console.print(f"{name} is ready")
            said.update(ready)

        yield say
        return
    with Live(console=console, auto_refresh=False) as live:
        yield lambda views: live.update(part_table(views), refresh=True)


def _stop(system: System, console: Console) -> None:
    console.print("Stopping. Ctrl-C once more stops at once.")
    try:
        stop(system)
    except KeyboardInterrupt:
        stop_at_once(system)
    console.print("Stopped. The data stays.")


def _print_addresses(system: System, console: Console) -> None:
    administrator = system.credentials.administrator_email
    console.print(f"\nCartwright is ready at {system.gateway_url}")
    console.print(f"  API reference   {system.gateway_url}/docs")
    console.print(f"  mail sent       {system.mailbox_url}")
    console.print(f"  data and logs   {system.layout.data}")
    console.print(f"  administrator   {administrator}, with the password in {system.layout.credentials}")
