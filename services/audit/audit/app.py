"""Puts the audit service together."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from litestar import Litestar

from audit.http import routes
from audit.lines_file import LinesFile
from audit.record_events import record_events, record_own
from audit.settings import Settings
from chassis import operations
from chassis.application import application
from chassis.broker import broker_for
from chassis.client import ServiceClient
from chassis.consumer import Consumer
from chassis.database import Database
from chassis.tokens import ServiceTokens, TokenVerifier, UserKeys

MIGRATIONS = Path(__file__).parent.parent / "migrations"


def build(settings: Settings) -> Litestar:
    users = ServiceClient("users", settings.users_url, ServiceTokens("audit", settings.service_key))
    database = Database(settings.database_url, migrations=MIGRATIONS, pool_size_max=settings.database_pool_size_max)
    broker = broker_for(settings.events_url, "audit")
    lines = LinesFile(Path(settings.data_dir) / settings.lines_name, database)
    consumer = Consumer(
        group="audit", types=["*"], broker=broker, database=database, handle=record_events, after_commit=lines.wake
    )

    async def fetch_user_keys() -> Mapping[str, Any]:
        return await users.call("GET", "/.well-known/jwks.json", dict[str, Any], idempotent=True)

    return application(
        name="audit",
        description="The journal of every event, and whether it is intact. For administrators.",
        version="1.0.0",
        routes=[*routes(database), *operations.routes(database, consumer=consumer, tell=record_own)],
        parts=[users, database, lines, broker, consumer],
        verifier=TokenVerifier(
            service="audit",
            issuer=settings.token_issuer,
            user_keys=UserKeys(fetch_user_keys),
            service_keys=settings.service_keys,
        ),
        is_healthy=database.is_reachable,
    )
