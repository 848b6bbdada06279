"""The composition root of audit."""

from pathlib import Path

from litestar import Litestar

from audit.consumed_events import TYPES
from audit.head_signer import HeadSigner
from audit.heads_file import HeadsFile
from audit.http import audit_record, signed_heads
from audit.record_events import record_events, record_own_event
from audit.settings import Settings
from audit.workers.head_signing import head_signing
from audit.workers.lines_file import LinesFile
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
"""The service that emits a type of event, by the first part of the type."""
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
    heads_file = HeadsFile(Path(settings.data_dir) / settings.heads_name)
    signing = head_signing(database, signer, heads_file)
    lines_file = LinesFile(Path(settings.data_dir) / settings.lines_name, database)
    consumer = Consumer(
        group="audit",
        types=TYPES,
        broker=broker,
        database=database,
        handle=record_events,
        after_commit=lines_file.wake,
    )

    return application(
        name="audit",
        description="The record of all events, and whether it is intact. For administrators.",
        routes=[
            *audit_record.routes(database, signer, heads_file),
            *signed_heads.routes(database, signer),
            *operations.routes(database, consumer=consumer, tell=record_own_event),
        ],
        parts=[users, revocations, database, lines_file, signing, broker, consumer],
        verifier=TokenVerifier(
            service="audit",
            issuer=settings.token_issuer,
            user_keys=revocations.keys,
            rights=revocations,
            service_keys=settings.service_keys,
        ),
        is_healthy=database.is_reachable,
    )
