"""Puts the payments service together."""

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
from payments.authorize_payments import AuthorizePayments
from payments.choose_payment_method import ChooseMethod
from payments.erase_users import EraseTokens
from payments.http import internal, ledger, payment_methods, payments
from payments.keep_payment_methods import KeepMethods
from payments.manual_settlement import Intervene
from payments.providers.provider_client import ProviderCalls
from payments.providers.sandbox import DEFAULT_TOKEN, Sandbox
from payments.request_refund import RequestRefund
from payments.settings import Settings
from payments.settle_payments import SettlePayments
from payments.settle_refunds import SettleRefunds
from payments.void_payments import VoidPayments
from payments.workers import consumer

OWNERS = {"order": "orders", "user": "users"}
"""The service that each event comes from, by the first part of its type."""
MIGRATIONS = Path(__file__).parent.parent / "migrations"
SETTLE_REST_S = 0.25
GATHER_S = 0.1
ERASE_REST_S = 5.0


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

    provider = ProviderCalls(Sandbox(database))
    settle_refunds = SettleRefunds(database, provider, relay.wake)
    refunds_loop = Loop("refunds", settle_refunds.turn, rest_s=SETTLE_REST_S, gather_s=GATHER_S)
    settle_payments = SettlePayments(database, provider, relay.wake, refunds_loop.wake)
    payments_loop = Loop("captures and voids", settle_payments.turn, rest_s=SETTLE_REST_S, gather_s=GATHER_S)

    def wake_loops() -> None:
        payments_loop.wake()
        refunds_loop.wake()

    listener = Consumer(
        group=consumer.GROUP,
        types=consumer.TYPES,
        broker=broker,
        database=database,
        handle=consumer.handle,
        after_commit=wake_loops,
    )

    authorization = AuthorizePayments(database, provider, ChooseMethod(database, provider, DEFAULT_TOKEN), relay.wake)
    return application(
        name="payments",
        description="Payment methods, payments, refunds and the ledger.",
        version="0.1.0",
        routes=[
            *internal.routes(database, authorization, VoidPayments(database, settle_payments)),
            *payments.routes(database, RequestRefund(database, settle_refunds), Intervene(database, settle_payments)),
            *payment_methods.routes(database, KeepMethods(database, provider)),
            *ledger.routes(database),
            *operations.routes(database, relay=relay, consumer=listener),
        ],
        parts=[
            users,
            revocations,
            database,
            payments_loop,
            refunds_loop,
            Loop("erase tokens", EraseTokens(database), rest_s=ERASE_REST_S),
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
