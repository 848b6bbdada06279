"""The composition root of users."""

from pathlib import Path

from litestar import Litestar

from chassis.lifecycle import Loop
from chassis.messaging.relay import Relay
from chassis.messaging.signed_broker import signed_broker
from chassis.persistence.database import Database
from chassis.security.tokens import TokenVerifier
from chassis.web import operations
from chassis.web.application import application
from users.account_rights import AccountRights
from users.domain.signing_key import RotationSchedule
from users.http import accounts, own_account, revocations, signing_keys, tokens
from users.key_encryption import parse_encryption_keys
from users.key_ring import KeyRing
from users.password_hasher import PasswordHasher
from users.settings import Settings
from users.workers.address_canonicaliser import AddressCanonicaliser
from users.workers.first_administrator import FirstAdministrator
from users.workers.housekeeping import delete_expired
from users.workers.key_rotation import KeyRotation

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
    hasher = _password_hasher(settings)
    encryption = parse_encryption_keys(settings.key_encryption_keys)
    schedule = _rotation_schedule(settings)
    key_ring = KeyRing(
        database, encryption, issuer=settings.token_issuer, token_lifetime_s=settings.access_token_lifetime_s
    )

    return application(
        name="users",
        description="Accounts, sessions and signing keys: who is this?",
        routes=[
            *accounts.routes(database, hasher),
            *own_account.routes(database),
            *tokens.routes(database, hasher, key_ring, settings),
            *signing_keys.routes(database, encryption, key_ring, schedule),
            *revocations.routes(database, token_lifetime_s=settings.access_token_lifetime_s),
            *operations.routes(database, relay=relay),
        ],
        parts=[
            database,
            hasher,
            KeyRotation(database, encryption, key_ring, schedule),
            FirstAdministrator(database, hasher, email=settings.admin_email, password=settings.admin_password),
            Loop("housekeeping", lambda: delete_expired(database), rest_s=HOUSEKEEPING_S),
            Loop("canonicalise addresses", AddressCanonicaliser(database).run_once, rest_s=CANONICALISE_ADDRESSES_S),
            broker,
            relay,
        ],
        verifier=TokenVerifier(
            service="users",
            issuer=settings.token_issuer,
            user_keys=key_ring.verifying,
            rights=AccountRights(database),
            service_keys=settings.service_keys,
        ),
        is_healthy=database.is_reachable,
    )


def _password_hasher(settings: Settings) -> PasswordHasher:
    return PasswordHasher(
        time_cost=settings.argon2_time_cost,
        memory_kib=settings.argon2_memory_kib,
        parallelism=settings.argon2_parallelism,
        at_once=settings.passwords_at_once,
        wait_s_max=settings.password_wait_s_max,
    )


def _rotation_schedule(settings: Settings) -> RotationSchedule:
    return RotationSchedule(
        rotation_s=settings.key_rotation_s,
        publish_ahead_s=settings.key_publish_ahead_s,
        token_lifetime_s=settings.access_token_lifetime_s,
    )
