"""The composition root: what the users service is made of, by plain calls."""

from pathlib import Path

from litestar import Litestar
from litestar.di import Provide

from chassis.lifecycle import Loop
from chassis.messaging.relay import Relay
from chassis.messaging.signed_broker import signed_broker
from chassis.persistence.database import Database
from chassis.security.tokens import TokenVerifier
from chassis.web import operations
from chassis.web.application import application
from users.account_rights import AccountRights
from users.http import accounts, sessions
from users.key_encryption import parse_encryption_keys
from users.key_ring import SigningKeys
from users.password_hashing.hasher import Passwords
from users.settings import Settings
from users.workers.address_canonicaliser import CanonicaliseAddresses
from users.workers.first_administrator import FirstAdministrator
from users.workers.housekeeping import clear_out

MIGRATIONS = Path(__file__).parent.parent / "migrations"
HOUSEKEEPING_S = 300.0
CANONICALISE_ADDRESSES_S = 24 * 3600.0


def build(settings: Settings) -> Litestar:
    database = Database(
        settings.database_url,
        owner_url=settings.database_owner_url,
        migrations=MIGRATIONS,
        pool_size_max=settings.database_pool_size_max,
    )
    broker = signed_broker(
        settings.events_url, "users", key=settings.service_key, keys=settings.service_keys, owners={}
    )
    relay = Relay("users", database, broker)
    passwords = Passwords(
        time_cost=settings.argon2_time_cost,
        memory_kib=settings.argon2_memory_kib,
        parallelism=settings.argon2_parallelism,
        at_once=settings.passwords_at_once,
        wait_s_max=settings.password_wait_s_max,
    )
    signing_keys = SigningKeys(
        database,
        parse_encryption_keys(settings.key_encryption_keys),
        issuer=settings.token_issuer,
        token_lifetime_s=settings.access_token_lifetime_s,
        rotation_s=settings.key_rotation_s,
        publish_ahead_s=settings.key_publish_ahead_s,
    )
    first_administrator = FirstAdministrator(
        database, passwords, email=settings.admin_email, password=settings.admin_password
    )

    return application(
        name="users",
        description="Accounts, sessions and signing keys: who is this?",
        version="0.1.0",
        routes=[*accounts.ROUTES, *sessions.ROUTES, *operations.routes(database, relay=relay)],
        parts=[
            database,
            passwords,
            signing_keys,
            first_administrator,
            Loop("housekeeping", lambda: clear_out(database), rest_s=HOUSEKEEPING_S),
            Loop("canonicalise addresses", CanonicaliseAddresses(database), rest_s=CANONICALISE_ADDRESSES_S),
            broker,
            relay,
        ],
        verifier=TokenVerifier(
            service="users",
            issuer=settings.token_issuer,
            user_keys=signing_keys.verifying,
            rights=AccountRights(database),
            service_keys=settings.service_keys,
        ),
        is_healthy=database.is_reachable,
        dependencies={
            "database": Provide(lambda: database, sync_to_thread=False),
            "passwords": Provide(lambda: passwords, sync_to_thread=False),
            "relay": Provide(lambda: relay, sync_to_thread=False),
            "settings": Provide(lambda: settings, sync_to_thread=False),
            "signing_keys": Provide(lambda: signing_keys, sync_to_thread=False),
        },
    )
