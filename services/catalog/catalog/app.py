"""Puts the catalog service together."""

from pathlib import Path

from litestar import Litestar
from litestar.di import Provide

from catalog.http import products, reservations
from catalog.load_demo_shop import DemoShop
from catalog.reservation_batcher import ReservationBatcher
from catalog.settings import Settings
from catalog.workers import consumer
from catalog.workers.search_document_backfill import SearchDocumentBackfill
from chassis.messaging.consumer import Consumer
from chassis.messaging.relay import Relay
from chassis.messaging.signed_broker import signed_broker
from chassis.persistence.database import Database
from chassis.security.revocations import RevocationFollower
from chassis.security.tokens import ServiceTokens, TokenVerifier
from chassis.web import operations
from chassis.web.application import application
from chassis.web.client import ServiceClient

OWNERS = {"order": "orders"}
"""The service that each event comes from, by the first part of its type."""
MIGRATIONS = Path(__file__).parent.parent / "migrations"


def build(settings: Settings) -> Litestar:
    """The application; its parts start with it."""
    users = ServiceClient("users", settings.users_url, ServiceTokens("catalog", settings.service_key))
    revocations = RevocationFollower(users)
    database = Database(
        settings.database_url,
        owner_url=settings.database_owner_url,
        migrations=MIGRATIONS,
        pool_size_max=settings.database_pool_size_max,
    )
    broker = signed_broker(
        settings.events_url, "catalog", key=settings.service_key, keys=settings.service_keys, owners=OWNERS
    )
    relay = Relay("catalog", database, broker)
    desk = ReservationBatcher(database)
    search_documents = SearchDocumentBackfill(database)
    listener = Consumer(group="catalog", types=consumer.TYPES, broker=broker, database=database, handle=consumer.handle)

    return application(
        name="catalog",
        description="Products, categories, prices, stock and reservations.",
        version="0.1.0",
        routes=[
            *products.ROUTES,
            *reservations.ROUTES,
            *operations.routes(database, relay=relay, consumer=listener),
        ],
        parts=[
            users,
            revocations,
            database,
            search_documents,
            DemoShop(database, settings.demo_shop),
            desk,
            broker,
            relay,
            listener,
        ],
        verifier=TokenVerifier(
            service="catalog",
            issuer=settings.token_issuer,
            user_keys=revocations.keys,
            rights=revocations,
            service_keys=settings.service_keys,
        ),
        is_healthy=database.is_reachable,
        dependencies={
            "database": Provide(lambda: database, sync_to_thread=False),
            "relay": Provide(lambda: relay, sync_to_thread=False),
            "search_documents": Provide(lambda: search_documents, sync_to_thread=False),
            "desk": Provide(lambda: desk, sync_to_thread=False),
        },
    )
