"""Wires the payments service."""

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
from payments import store
from payments.clients.provider_client import ProviderClient
from payments.clients.sandbox_provider import DEFAULT_TOKEN, Sandbox
from payments.http import internal, ledger, payment_methods, payments
from payments.settings import Settings
from payments.workers import consumer
from payments.workers.payment_settler import PaymentSettler
from payments.workers.refund_settler import RefundSettler
from payments.workers.token_eraser import TokenEraser

OWNERS = {"order": "orders", "user": "users"}
"""The service that emits an event, by the first part of the event's type."""
MIGRATIONS = Path(__file__).parent.parent / "migrations"
SETTLEMENT_INTERVAL_S = 0.25
BATCH_WINDOW_S = 0.1
ERASURE_INTERVAL_S = 5.0


def build(settings: Settings) -> Litestar:
    tokens = ServiceTokens("payments", settings.service_key)
    users = ServiceClient("users", settings.users_url, tokens)
    revocations = RevocationFollower(users)
    database = Database(
        settings.database_url,
        owner_url=settings.database_owner_url,
        migrations=MIGRATIONS,
        pool_size_max=settings.database_pool_size_max,
    )
    broker = signed_broker(
        settings.events_url, "payments", key=settings.service_key, keys=settings.service_keys, owners=OWNERS
    )
    relay = Relay("payments", database, broker)

    provider = ProviderClient(Sandbox(database))
    refund_settler = RefundSettler(database, provider)
    refunds_loop = Loop("refunds", refund_settler.run_once, rest_s=SETTLEMENT_INTERVAL_S, gather_s=BATCH_WINDOW_S)
    payment_settler = PaymentSettler(database, provider)
    payments_loop = Loop(
        "captures and voids", payment_settler.run_once, rest_s=SETTLEMENT_INTERVAL_S, gather_s=BATCH_WINDOW_S
    )

    database.after_commit(store.payments.ACTION_PENDING, payments_loop.wake)
    database.after_commit(store.refunds.CREATED, refunds_loop.wake)

    listener = Consumer(
        group=consumer.GROUP,
        types=consumer.TYPES,
        broker=broker,
        database=database,
        handle=consumer.handle,
    )

    return application(
        name="payments",
        description="Payment methods, payments, refunds and the ledger.",
        routes=[
            *internal.routes(database, provider, default_token=DEFAULT_TOKEN),
            *payments.routes(database, provider),
            *payment_methods.routes(database, provider),
            *ledger.routes(database),
            *operations.routes(database, relay=relay, consumer=listener),
        ],
        parts=[
            users,
            revocations,
            database,
            payments_loop,
            refunds_loop,
            Loop("erase tokens", TokenEraser(database).run_once, rest_s=ERASURE_INTERVAL_S),
            broker,
            relay,
            listener,
        ],
        verifier=TokenVerifier(
            service="payments",
            issuer=settings.token_issuer,
            user_keys=revocations.keys,
            rights=revocations,
            service_keys=settings.service_keys,
        ),
        is_healthy=database.is_reachable,
    )
