"""What an operator sees and mends by hand: orders that are stuck, dead letters, a broker that lost its store.

The gateway has no routes to these: the services are asked at their own addresses, with the token of the administrator
who acts. Each act is recorded by audit, with who and why.
"""

import urllib.parse
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cartwright import api
from cartwright.api import Api, require
from cartwright.errors import CannotGoOn
from cartwright.launcher.system import System
from cartwright.remote_system import Elsewhere

LISTENERS = ("catalog", "orders", "payments", "notifications", "audit")
PUBLISHERS = ("users", "catalog", "orders", "payments", "notifications")


def show_stuck_orders(data: Path, older_than_s: float) -> None:
    orders = _service(api.open_running(data), "orders")
    table = Table("order", "status", "age", "attempts", "trouble", box=None)
    for order in _items(orders, "/orders/stuck", older_than_s=older_than_s):
        trouble = escape(order["last_trouble"] or "")
        table.add_row(order["id"], order["status"], f"{order['age_s']:.0f} s", str(order["attempts"]), trouble)
    _show(table, f"No order has been on its way for longer than {older_than_s:g} s.")


def retry_order(data: Path, order_id: str, why: str) -> str:
    _act(_service(api.open_running(data), "orders"), f"/orders/{order_id}/retry", {"reason": why})
    return f"Order {order_id} is tried again now."


def cancel_order(data: Path, order_id: str, why: str) -> str:
    orders = _service(api.open_running(data), "orders")
    order = _act(orders, f"/orders/{order_id}/cancel-for-operator", {"reason": why})
    return f"Order {order_id} is {order['status']}."


def show_dead_letters(data: Path) -> None:
    system = api.open_running(data)
    token = api.administrator(system).access_token
    table = Table("service", "event", "type", "subject", "failed at", "reason", box=None)
    for service in LISTENERS:
        for letter in _items(_service(system, service, token), "/dead-letters"):
            reason = escape(f"{letter['reason']} ({letter['attempts']} attempts)")
            columns = (letter[name] for name in ("event_id", "type", "subject", "failed_at"))
            table.add_row(service, *columns, reason)
    _show(table, "There are no dead letters.")


def redrive_dead_letter(data: Path, service: str, event_id: str, why: str) -> str:
    if service not in LISTENERS:
        raise CannotGoOn(f"{service} listens to no events. Those that do: {', '.join(LISTENERS)}.")
    _act(_service(api.open_running(data), service), f"/dead-letters/{event_id}/redrive", {"reason": why})
    return f"Event {event_id} has had its effect in {service}."


def replay_events(data: Path, since: datetime, why: str) -> str:
    """A time without a zone is one of this machine."""
    system = api.open_running(data)
    body = {"since": since.astimezone().isoformat(), "reason": why}
    token = api.administrator(system).access_token
    counts = {
        service: _act(_service(system, service, token), "/journal/replay", body)["events"] for service in PUBLISHERS
    }
    told = ", ".join(f"{count} of {service}" for service, count in counts.items())
    return f"{sum(counts.values())} events or so are published again: {told}. Whoever had one leaves it at that."


def _service(system: System | Elsewhere, name: str, token: str | None = None) -> Api:
    """A replica of the service, asked as the first administrator: one that is ready, if any is."""
    replicas = [Api(url) for url in system.service_urls(name)]
    asked = next((replica for replica in replicas if _is_ready(replica)), replicas[0])
    return Api(asked.url, token or api.administrator(system).access_token)


def _is_ready(replica: Api) -> bool:
    try:
        return replica.get("/ready").status == 200
    except CannotGoOn:
        return False


def _items(service: Api, path: str, **parameters: Any) -> Iterator[dict[str, Any]]:
    """All items of a list, page by page."""
    cursor: str | None = None
    while True:
        query = parameters | {"limit": 100} | ({"cursor": cursor} if cursor else {})
        answer = service.get(f"{path}?{urllib.parse.urlencode(query)}")
        require(answer, f"{service.url}{path} could not be read")
        yield from answer.json["items"]
        cursor = answer.json["next_cursor"]
        if cursor is None:
            return


def _act(service: Api, path: str, body: dict[str, str]) -> Any:
    answer = service.post(path, body)
    require(answer, "It was not done")
    return answer.json if answer.content else None


def _show(table: Table, nothing: str) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(table if table.row_count else nothing)
