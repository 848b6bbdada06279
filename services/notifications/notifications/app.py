"""Puts the notifications service together."""

from pathlib import Path

from litestar import Litestar

from chassis.lifecycle import Loop
from chassis.messaging.consumer import Consumer
from chassis.messaging.relay import Relay
from chassis.messaging.signed_broker import signed_broker
from chassis.persistence.database import Database
from chassis.security.revocations import RevocationFollower
from chassis.security.tokens import ServiceTokens, TokenVerifier
from chassis.web import operations
from chassis.web.application import application
from chassis.web.client import ServiceClient
from notifications.complete_cancellations import CompleteCancellations
from notifications.find_addresses import FindAddresses
from notifications.http import routes
from notifications.mail_server import MailServer
from notifications.payments import Payments
from notifications.send_notifications import SendNotifications
from notifications.settings import Settings
from notifications.templates import Templates
from notifications.users import Users
from notifications.watch_backlog import WatchBacklog
from notifications.write_notifications import TYPES, WriteNotifications

OWNERS = {"user": "users", "order": "orders", "payment": "payments", "email": "notifications"}
"""The service that each event comes from, by the first part of its type."""
MIGRATIONS = Path(__file__).parent.parent / "migrations"
POLL_S = 0.5
WATCH_S = 5.0


def build(settings: Settings) -> Litestar:
    tokens = ServiceTokens("notifications", settings.service_key)
    users_client = ServiceClient("users", settings.users_url, tokens)
    payments_client = ServiceClient("payments", settings.payments_url, tokens)
    revocations = RevocationFollower(users_client)
    users = Users(users_client)
    templates = Templates()
    database = Database(
        settings.database_url,
        owner_url=settings.database_owner_url,
        migrations=MIGRATIONS,
        pool_size_max=settings.database_pool_size_max,
    )
    broker = signed_broker(
        settings.events_url, "notifications", key=settings.service_key, keys=settings.service_keys, owners=OWNERS
    )
    relay = Relay("notifications", database, broker)
    complete = CompleteCancellations(database, Payments(payments_client), templates)
    sender = SendNotifications(database, MailServer(settings), complete, relay.wake)
    watch = Loop("watch backlog", WatchBacklog(database), rest_s=WATCH_S)
    finder = Loop("find addresses", FindAddresses(database, users), rest_s=POLL_S)
    consumer = Consumer(
        group="notifications",
        types=TYPES,
        broker=broker,
        database=database,
        handle=WriteNotifications(templates),
        after_commit=sender.wake,
    )
    return application(
        name="notifications",
        description="Who was told what, by mail.",
        version="1.0.0",
        routes=[*routes(database, relay.wake), *operations.routes(database, relay=relay, consumer=consumer)],
        parts=[users_client, payments_client, revocations, database, broker, relay, sender, finder, watch, consumer],
        verifier=TokenVerifier(
            service="notifications",
            issuer=settings.token_issuer,
            user_keys=revocations.keys,
            rights=revocations,
            service_keys=settings.service_keys,
        ),
        is_healthy=database.is_reachable,
    )
