"""The composition root of orders."""

from pathlib import Path

from litestar import Litestar

from chassis.messaging.consumer import Consumer
from chassis.messaging.relay import Relay
from chassis.messaging.signed_broker import signed_broker
from chassis.persistence.database import Database
from chassis.saga import Runner
from chassis.security.revocations import RevocationFollower
from chassis.security.tokens import ServiceTokens, TokenVerifier
from chassis.web import operations
from chassis.web.application import application
from chassis.web.client import ServiceClient
from orders.checkout import CHECKOUT, CheckoutRunner, Participants
from orders.clients.catalog import Catalog
from orders.clients.payments import Payments
from orders.clients.users import Users
from orders.domain.order import Order
from orders.http import cart, orders
from orders.http import operations as order_operations
from orders.order_batcher import OrderBatcher
from orders.order_streams import OrderStreams
from orders.saga_store import OrderSagaStore
from orders.settings import Settings
from orders.waiters import Waiters
from orders.workers import consumer
from orders.workers.sweeper import Sweeper

OWNERS = {"user": "users", "payment": "payments"}
"""The service that emits each event, by the first part of its type."""
MIGRATIONS = Path(__file__).parent.parent / "migrations"


def build(settings: Settings) -> Litestar:
    database = Database(
        settings.database_url,
        owner_url=settings.database_owner_url,
        migrations=MIGRATIONS,
        pool_size_max=settings.database_pool_size_max,
    )
    broker = signed_broker(
        settings.events_url, "orders", key=settings.service_key, keys=settings.service_keys, owners=OWNERS
    )
    relay = Relay("orders", database, broker)
    event_consumer = Consumer(
        group="orders", types=consumer.TYPES, broker=broker, database=database, handle=consumer.handle_events
    )

    tokens = ServiceTokens("orders", settings.service_key)
    users_client = ServiceClient("users", settings.users_url, tokens)
    catalog_client = ServiceClient("catalog", settings.catalog_url, tokens)
    payments_client = ServiceClient("payments", settings.payments_url, tokens)
    revocations = RevocationFollower(users_client)
    verifier = TokenVerifier(
        service="orders",
        issuer=settings.token_issuer,
        user_keys=revocations.keys,
        rights=revocations,
        service_keys=settings.service_keys,
    )

    catalog = Catalog(catalog_client)
    purchases, cancellations = Waiters(settings.wait_s), Waiters(settings.wait_s)
    runner = _checkout_runner(
        Participants(catalog, Payments(payments_client), database),
        purchases,
        cancellations,
        lease_s=settings.lease_s,
    )
    sweeper = Sweeper(database, runner, lease_s=settings.lease_s, sweep_s=settings.sweep_s)
    batcher = OrderBatcher(database, Users(users_client), lease_s=settings.lease_s, deadline_s=settings.deadline_s)
    streams = OrderStreams(
        database, verifier, streams_max=settings.streams_max, streams_per_user_max=settings.streams_per_user_max
    )
    return application(
        name="orders",
        description="Carts, orders and the checkout: buy, cancel, history.",
        routes=[
            *orders.routes(database, batcher, runner, purchases, cancellations, streams, lease_s=settings.lease_s),
            *cart.routes(database, catalog),
            *order_operations.routes(database, runner, cancellations, lease_s=settings.lease_s),
            *operations.routes(database, relay=relay, consumer=event_consumer),
        ],
        parts=[
            users_client,
            revocations,
            catalog_client,
            payments_client,
            database,
            broker,
            relay,
            sweeper,
            event_consumer,
        ],
        verifier=verifier,
        is_healthy=database.is_reachable,
    )


def _checkout_runner(
    participants: Participants, purchases: Waiters, cancellations: Waiters, *, lease_s: float
) -> CheckoutRunner:
    def notify_waiters(order: Order) -> None:
        purchases.notify(order)
        cancellations.notify(order)

    saga_store = OrderSagaStore(participants.database, purchases, lease_s=lease_s)
    return Runner(CHECKOUT, participants, saga_store, notify_waiters)
