"""The composition root of notifications."""

from functools import partial
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
from notifications.clients.mail_server import MailServer
from notifications.clients.payments import Payments
from notifications.clients.users import Users
from notifications.find_addresses import find_addresses
from notifications.http import notifications
from notifications.settings import Settings
from notifications.templates import Templates
from notifications.workers.backlog_monitor import measure_backlog
from notifications.workers.mail_sender import MailSender
from notifications.write_notifications import TYPES, write_notifications

OWNERS = {"user": "users", "order": "orders", "payment": "payments", "email": "notifications"}
"""The service that emits a type of event, by the first part of the type."""
MIGRATIONS = Path(__file__).parent.parent / "migrations"
POLL_S = 0.5
MEASURE_S = 5.0


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
    sender = MailSender(database, MailServer(settings), Payments(payments_client), templates)
    finder = Loop("find addresses", lambda: find_addresses(database, users), rest_s=POLL_S)
    monitor = Loop("measure backlog", lambda: measure_backlog(database), rest_s=MEASURE_S)
    consumer = Consumer(
        group="notifications",
        types=TYPES,
        broker=broker,
        database=database,
        handle=partial(write_notifications, templates=templates),
        after_commit=sender.wake,
    )
    return application(
        name="notifications",
        description="The mails about events, and their states.",
        routes=[*notifications.routes(database), *operations.routes(database, relay=relay, consumer=consumer)],
        parts=[users_client, payments_client, revocations, database, broker, relay, sender, finder, monitor, consumer],
        verifier=TokenVerifier(
            service="notifications",
            issuer=settings.token_issuer,
            user_keys=revocations.keys,
            rights=revocations,
            service_keys=settings.service_keys,
        ),
        is_healthy=database.is_reachable,
    )
