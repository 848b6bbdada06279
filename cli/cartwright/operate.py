"""What an operator sees and repairs by hand: stuck orders, dead letters, a broker that lost its store."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cartwright.launcher import api
from cartwright.launcher.errors import CannotGoOn
from cartwright.launcher.layout import CONSUMERS
from cartwright.launcher.operator_calls import act, items, open_service


def show_stuck_orders(data: Path, older_than_s: float) -> None:
    orders = open_service(api.open_running(data), "orders")
    table = Table("order", "status", "age", "attempts", "trouble", box=None)
    for order in items(orders, "/orders/stuck", older_than_s=older_than_s):
        trouble = escape(order["last_trouble"] or "")
        table.add_row(order["id"], order["status"], f"{order['age_s']:.0f} s", str(order["attempts"]), trouble)
    _show(table, f"No order has been on its way for longer than {older_than_s:g} s.")


def retry_order(data: Path, order_id: str, why: str) -> str:
    act(open_service(api.open_running(data), "orders"), f"/orders/{order_id}/retry", {"reason": why})
    return f"Order {order_id} is tried again now."


def cancel_order(data: Path, order_id: str, why: str) -> str:
    orders = open_service(api.open_running(data), "orders")
    order = act(orders, f"/orders/{order_id}/cancel-for-operator", {"reason": why})
    return f"Order {order_id} is {order['status']}."


def show_dead_letters(data: Path) -> None:
    system = api.open_running(data)
    token = api.administrator(system).access_token
    table = Table("service", "event", "type", "subject", "failed at", "reason", box=None)
    for service in CONSUMERS:
        for letter in items(open_service(system, service, token), "/dead-letters"):
            reason = escape(f"{letter['reason']} ({letter['attempts']} attempts)")
            columns = (letter[name] for name in ("event_id", "type", "subject", "failed_at"))
            table.add_row(service, *columns, reason)
    _show(table, "There are no dead letters.")


def redrive_dead_letter(data: Path, service: str, event_id: str, why: str) -> str:
    if service not in CONSUMERS:
        raise CannotGoOn(f"{service} listens to no events. Those that do: {', '.join(CONSUMERS)}.")
    act(open_service(api.open_running(data), service), f"/dead-letters/{event_id}/redrive", {"reason": why})
    return f"Event {event_id} has had its effect in {service}."


def _show(table: Table, nothing: str) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(table if table.row_count else nothing)
