"""Puts the orders service together."""

from pathlib import Path

from litestar import Litestar
from litestar.di import Provide

from chassis.messaging.consumer import Consumer
from chassis.messaging.relay import Relay
from chassis.messaging.signed_broker import signed_broker
from chassis.persistence.database import Database
from chassis.security.revocations import RevocationFollower
from chassis.security.tokens import ServiceTokens, TokenVerifier
from chassis.web import operations
from chassis.web.application import application
from chassis.web.client import ServiceClient
from orders.cancel_order import OrderCanceller
from orders.checkout import CHECKOUT, Participants
from orders.clients.catalog import Catalog
from orders.clients.payments import Payments
from orders.clients.users import Users
from orders.domain.order import Order, Reason
from orders.follow_order import OrderFollower
from orders.http import cart, orders
from orders.http import operations as order_operations
from orders.place_order import OrderPlacer
from orders.saga import Runner
from orders.saga_store import OrderRecord
from orders.settings import Settings
from orders.waiters import Waiting
from orders.workers import consumer
from orders.workers.sweeper import Sweeper

OWNERS = {"user": "users", "payment": "payments"}
"""The service that each event comes from, by the first part of its type."""
MIGRATIONS = Path(__file__).parent.parent / "migrations"
VERSION = "0.1.0"


def build(settings: Settings) -> Litestar:
    """The application, with everything behind it wired by plain calls."""
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

    tokens = ServiceTokens("orders", settings.service_key)
    users_client = ServiceClient("users", settings.users_url, tokens)
    revocations = RevocationFollower(users_client)
    catalog_client = ServiceClient("catalog", settings.catalog_url, tokens)
    payments_client = ServiceClient("payments", settings.payments_url, tokens)
    users, catalog, payments = Users(users_client), Catalog(catalog_client), Payments(payments_client)

    purchases, cancellations = Waiting(settings.wait_s), Waiting(settings.wait_s)

    def ended(order: Order) -> None:
        relay.wake()
        purchases.ended(order)
        cancellations.ended(order)

    record = OrderRecord(database, lease_s=settings.lease_s, is_awaited=purchases.is_awaited)
    runner: Runner[Participants, Order, Reason] = Runner(
        CHECKOUT, Participants(catalog, payments, database), record, ended
    )
    sweeper = Sweeper(database, runner, lease_s=settings.lease_s, sweep_s=settings.sweep_s)
    listener = Consumer(
        group="orders", types=consumer.TYPES, broker=broker, database=database, handle=consumer.handle_events
    )
    use_cases = {
        "database": database,
        "catalog": catalog,
        "relay": relay,
        "order_placer": OrderPlacer(
            database,
            users,
            runner,
            purchases,
            relay,
            lease_s=settings.lease_s,
            deadline_s=settings.deadline_s,
            wait_s=settings.wait_s,
        ),
        "order_canceller": OrderCanceller(database, runner, cancellations, relay, lease_s=settings.lease_s),
        "order_follower": OrderFollower(
            database,
            revocations,
            streams_max=settings.streams_max,
            streams_per_user_max=settings.streams_per_user_max,
        ),
    }
    return application(
        name="orders",
        description="Carts, orders and the checkout: buy, cancel, history.",
        version=VERSION,
        routes=[
            *orders.ROUTES,
            *cart.ROUTES,
            *order_operations.ROUTES,
            *operations.routes(database, relay=relay, consumer=listener),
        ],
        parts=[users_client, revocations, catalog_client, payments_client, database, broker, relay, sweeper, listener],
        verifier=TokenVerifier(
            service="orders",
            issuer=settings.token_issuer,
            user_keys=revocations.keys,
            rights=revocations,
            service_keys=settings.service_keys,
        ),
        is_healthy=database.is_reachable,
        dependencies={name: _provided(use_case) for name, use_case in use_cases.items()},
    )


def _provided(use_case: object) -> Provide:
    return Provide(lambda: use_case, sync_to_thread=False)
