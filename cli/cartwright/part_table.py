"""Shows the state of each part as a table."""

from rich.table import Table

from cartwright.launcher.part_views import PartView

COLOURS = {"ready": "green", "starting": "yellow", "restarting": "yellow", "failed": "red", "stopped": "red"}


def part_table(views: list[PartView]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("part", "state", "address", "process", "up"):
        table.add_column(heading)
    for view in views:
        colour = COLOURS[view.state]
        table.add_row(
            view.name,
            f"[{colour}]{view.state}[/{colour}]",
            view.address,
            "" if view.pid is None else str(view.pid),
            "" if view.up_seconds is None else _duration(view.up_seconds),
        )
    return table


def _duration(seconds: int) -> str:
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
