"""`cartwright demo`: a purchase, told step by step, on the running system.

Everything is done as a client would do it, over the gateway; only the mailbox and the logs are looked at directly,
where they are at hand.
"""

from pathlib import Path

from rich.console import Console

from cartwright.demo_purchases import (
    ask_for_too_many,
    be_declined,
    buy_cart,
    fill_cart,
    find_products,
    lose_answer,
    register,
    repeat_purchase,
    restock,
    sign_in,
)
from cartwright.demo_story import Story
from cartwright.demo_traces import find_audit_record, find_in_logs, read_details, read_mail, read_timeline
from cartwright.launcher import api
from cartwright.launcher.system import System


def demo(data: Path, url: str | None = None) -> None:
    """Raises PromiseBroken at the first step that does not come out as promised.

    With `url`, `data` is the file that tells of the system whose gateway is there.
    """
    system = api.open_running(data, url)
    console = Console(highlight=False, soft_wrap=True)
    story = Story(console)

    gateway = api.gateway(system)
    buyer = register(story, gateway)
    customer = sign_in(story, gateway, buyer)
    products = find_products(story, customer)
    restock(story, system, products)

    fill_cart(story, customer, products)
    purchase = buy_cart(story, customer)
    repeat_purchase(story, customer, purchase)

    ask_for_too_many(story, customer, products)
    be_declined(story, customer, products)
    lose_answer(story, customer, products)

    read_details(story, customer, purchase)
    read_timeline(story, customer, purchase)
    if isinstance(system, System):
        read_mail(story, system, buyer, purchase)
    find_audit_record(story, system, purchase)
    if isinstance(system, System):
        find_in_logs(story, system, purchase)

    console.print("\nAll of it came out as promised.")
    if isinstance(system, System):
        _print_next_steps(console, system, data, purchase.correlation_id)


def _print_next_steps(console: Console, system: System, data: Path, correlation_id: str) -> None:
    console.print("Where to look next:")
    console.print(f"  the shop        {system.gateway_url}")
    console.print(f"  API reference   {system.gateway_url}/docs")
    console.print(f"  mail sent       {system.mailbox_url}")
    console.print(f"  this purchase   cartwright logs --data {data} --correlation-id {correlation_id}")
    console.print(f"  buy yourself    cartwright token --data {data} --email you@example.com")
