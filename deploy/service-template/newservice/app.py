"""The composition root of newservice."""

from pathlib import Path

from litestar import Litestar

from chassis.messaging.consumer import Consumer
from chassis.messaging.relay import Relay
from chassis.messaging.signed_broker import signed_broker
from chassis.persistence.database import Database
from chassis.security.revocations import RevocationFollower
from chassis.security.tokens import ServiceTokens, TokenVerifier
from chassis.web import operations
from chassis.web.application import application
from chassis.web.client import ServiceClient
from newservice.http import entries
from newservice.settings import Settings
from newservice.workers import consumer

OWNERS = {"user": "users"}
"""The service that emits a type of event, by the first part of the type."""
MIGRATIONS = Path(__file__).parent.parent / "migrations"


def build(settings: Settings) -> Litestar:
    users = ServiceClient("users", settings.users_url, ServiceTokens("newservice", settings.service_key))
    revocations = RevocationFollower(users)
    database = Database(
        settings.database_url,
        owner_url=settings.database_owner_url,
        migrations=MIGRATIONS,
        pool_size_max=settings.database_pool_size_max,
    )
    broker = signed_broker(
        settings.events_url, "newservice", key=settings.service_key, keys=settings.service_keys, owners=OWNERS
    )
    relay = Relay("newservice", database, broker)
    events = Consumer(
        group="newservice", types=consumer.TYPES, broker=broker, database=database, handle=consumer.handle
    )
    return application(
        name="newservice",
        description="The entries of users.",
        routes=[*entries.routes(database), *operations.routes(database, relay=relay, consumer=events)],
        parts=[users, revocations, database, broker, relay, events],
        verifier=TokenVerifier(
            service="newservice",
            issuer=settings.token_issuer,
            user_keys=revocations.keys,
            rights=revocations,
            service_keys=settings.service_keys,
        ),
        is_healthy=database.is_reachable,
    )
