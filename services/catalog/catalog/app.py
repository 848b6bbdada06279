"""Wires the catalog service."""

from pathlib import Path

from litestar import Litestar

from catalog.http import categories, products, reservations, stock
from catalog.reservation_batcher import ReservationBatcher
from catalog.settings import Settings
from catalog.workers import consumer
from catalog.workers.demo_shop import DemoShop
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
"""The service that emits each consumed event, by the first part of its type."""
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
    batcher = ReservationBatcher(database)
    backfill = SearchDocumentBackfill(database)
    order_events = Consumer(
        group="catalog", types=consumer.TYPES, broker=broker, database=database, handle=consumer.handle
    )
    return application(
        name="catalog",
        description="Products, categories, prices, stock and reservations.",
        routes=[
            *products.routes(database, are_documents_complete=lambda: backfill.is_complete),
            *categories.routes(database),
            *stock.routes(database),
            *reservations.routes(batcher),
            *operations.routes(database, relay=relay, consumer=order_events),
        ],
        parts=[
            users,
            revocations,
            database,
            backfill,
            DemoShop(database, settings.demo_shop),
            batcher,
            broker,
            relay,
            order_events,
        ],
        verifier=TokenVerifier(
            service="catalog",
            issuer=settings.token_issuer,
            user_keys=revocations.keys,
            rights=revocations,
            service_keys=settings.service_keys,
        ),
        is_healthy=database.is_reachable,
    )
