"""Puts the audit service together."""

from pathlib import Path

from litestar import Litestar

from audit.http import routes
from audit.lines_file import LinesFile
from audit.record_events import record_events, record_own
from audit.settings import Settings
from audit.signed_heads import HeadsFile, HeadSigner, SignedHeads
from chassis.messaging.consumer import Consumer
from chassis.messaging.signed_broker import signed_broker
from chassis.persistence.database import Database
from chassis.security.revocations import RevocationFollower
from chassis.security.tokens import ServiceTokens, TokenVerifier
from chassis.web import operations
from chassis.web.application import application
from chassis.web.client import ServiceClient

OWNERS = {
    "user": "users",
    "product": "catalog",
    "stock": "catalog",
    "order": "orders",
    "payment": "payments",
    "email": "notifications",
    "notification": "notifications",
}
"""The service that each event comes from, by the first part of its type."""
MIGRATIONS = Path(__file__).parent.parent / "migrations"


def build(settings: Settings) -> Litestar:
    users = ServiceClient("users", settings.users_url, ServiceTokens("audit", settings.service_key))
    revocations = RevocationFollower(users)
    database = Database(
        settings.database_url,
        owner_url=settings.database_owner_url,
        migrations=MIGRATIONS,
        pool_size_max=settings.database_pool_size_max,
    )
    broker = signed_broker(
        settings.events_url, "audit", key=settings.service_key, keys=settings.service_keys, owners=OWNERS
    )
    signer = HeadSigner(settings.service_key, settings.service_keys)
    heads = HeadsFile(Path(settings.data_dir) / settings.heads_name)
    lines = LinesFile(Path(settings.data_dir) / settings.lines_name, database)
    consumer = Consumer(
        group="audit", types=["*"], broker=broker, database=database, handle=record_events, after_commit=lines.wake
    )

    return application(
        name="audit",
        description="The journal of every event, and whether it is intact. For administrators.",
        version="1.0.0",
        routes=[*routes(database, signer, heads), *operations.routes(database, consumer=consumer, tell=record_own)],
        parts=[users, revocations, database, lines, SignedHeads(database, signer, heads), broker, consumer],
        verifier=TokenVerifier(
            service="audit",
            issuer=settings.token_issuer,
            user_keys=revocations.keys,
            rights=revocations,
            service_keys=settings.service_keys,
        ),
        is_healthy=database.is_reachable,
    )
