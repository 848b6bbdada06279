"""Where the demo's purchase can be seen afterwards: with the customer, in her mail, in the record and in the logs."""

import urllib.parse

from cartwright.demo_purchases import Buyer, Purchase
from cartwright.demo_story import Story, await_promised, money, promised, promised_status
from cartwright.launcher import api
from cartwright.launcher.api import Answer, Api
from cartwright.launcher.remote_system import RemoteSystem
from cartwright.launcher.system import System
from cartwright.logs import GatewayClient, SystemLogs, of_correlation

# What a purchase leaves behind when all is done.
EVENTS = {"order.placed", "order.confirmed", "payment.authorized", "payment.captured", "notification.sent"}
LOGGED_BY = {"gateway", "orders", "catalog", "payments", "notifications", "audit"}


def read_details(story: Story, customer: Api, purchase: Purchase) -> None:
    story.step("One call shows the first order with its products, payments and messages.")
    path = f"/orders/{purchase.id}/details"

    def look() -> Answer | None:
        answer = customer.get(path)
        promised_status(answer, 200)
        # A part is without items while its service does not answer.
        payments = answer.json["payments"].get("items", [])
        messages = answer.json["messages"].get("items", [])
        is_done = [payment["status"] for payment in payments] == ["captured"] and len(messages) == 1
        return answer if is_done else None

    answer = await_promised(look, "The captured payment and the message")
    story.tell(customer, "GET", path, answer)
    story.show_lines(answer.json["order"]["items"])
    for payment in answer.json["payments"]["items"]:
        story.say(f"{money(payment['amount'])} {payment['status']} from {payment['payment_method']['brand']}")
    for message in answer.json["messages"]["items"]:
        story.say(f"{message['subject']} ({message['status']})")


def read_timeline(story: Story, customer: Api, purchase: Purchase) -> None:
    story.step("Its timeline.")
    answer = story.call(customer, "GET", f"/orders/{purchase.id}/timeline")
    promised_status(answer, 200)
    for entry in answer.json["items"]:
        story.say(f"{entry['at']}  {entry['event']}")
    events = [entry["event"] for entry in answer.json["items"]]
    promised(events == ["order.placed", "order.confirmed"], "the order was not placed once and confirmed once.")


def read_mail(story: Story, system: System, buyer: Buyer, purchase: Purchase) -> None:
    story.step("The confirmation has come by mail.")
    mailbox = Api(system.mailbox_url)
    path = f"/messages?to={urllib.parse.quote(buyer.email)}"

    def texts(answer: Answer) -> list[str]:
        return [message["text"] for message in answer.json["items"] if purchase.id in message["text"]]

    answer = await_promised(lambda: looked if texts(looked := mailbox.get(path)) else None, "The confirmation mail")
    story.tell(mailbox, "GET", path, answer)
    found = texts(answer)
    promised(len(found) == 1, f"{len(found)} mails tell of one order.")
    story.show_text(found[0].strip())


def find_audit_record(story: Story, system: System | RemoteSystem, purchase: Purchase) -> None:
    story.step("The administrator finds the whole purchase in the audit record, by its correlation id.")
    administrator = api.administrator(system)
    path = f"/audit/events?correlation_id={purchase.correlation_id}&limit=100"

    def look() -> Answer | None:
        answer = administrator.get(path)
        promised_status(answer, 200)
        return answer if {event["type"] for event in answer.json["items"]} >= EVENTS else None

    answer = await_promised(look, f"The record of {', '.join(sorted(EVENTS))}")
    story.tell(administrator, "GET", path, answer)
    events = answer.json["items"]
    for event in events:
        story.say(f"{event['position']:>6}  {event['time']}  {event['type']}")
    # The whole chain may be long; the part that this purchase is written in is enough to see how it is done.
    checked = story.call(administrator, "GET", f"/audit/verify?from_position={events[0]['position']}")
    promised_status(checked, 200)
    promised(checked.json["intact"], f"the hash chain is broken at {checked.json['first_broken']}.")
    story.say("The hash chain over these entries is intact.")


def find_in_logs(story: Story, system: System, purchase: Purchase) -> None:
    story.step("The same id finds the purchase in the logs of all services.")

    def look() -> list[GatewayClient] | None:
        lines = list(of_correlation(SystemLogs(system.layout).new_lines(), purchase.correlation_id))
        # Not by the part: any replica may have done it.
        return lines if {line.event["service"] for line in lines if line.event} >= LOGGED_BY else None

    for line in await_promised(look, f"Lines of {', '.join(sorted(LOGGED_BY))}"):
        story.say(f"{line.timestamp[11:23]}  {line.part:<15}  {line.event['event'] if line.event else line.text}")
