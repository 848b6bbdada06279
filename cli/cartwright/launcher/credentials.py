"""Makes and keeps the passwords and keys of one system: generated at its first start, and nowhere but in its data."""

import secrets
from collections.abc import Mapping

import msgspec

from cartwright.launcher import keys
from cartwright.launcher.broker_logins import LOGINS
from cartwright.launcher.layout import SERVICES, SERVICES_WITH_DATABASE, Layout
from cartwright.launcher.postgres_logins import Passwords
from cartwright.launcher.private_files import write_private

ADMINISTRATOR_EMAIL = "admin@cartwright.example"


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """`service_keys` holds private JWKs (JSON) by service.

    `databases`, `runtimes` and `readers` hold passwords by service: of the login that owns the database, of the one by
    which the service runs, and of the one by which `verify` reads.
    """

    system_id: str
    """Not secret: tells this system from every other, whatever its folder is called."""
    postgres_superuser: str
    databases: Mapping[str, str]
    runtimes: Mapping[str, str] = msgspec.field(default_factory=dict)
    readers: Mapping[str, str]
    broker: str
    """The operator's at the broker; `brokers` holds the services'."""
    brokers: Mapping[str, str] = msgspec.field(default_factory=dict)
    supervisor: str
    administrator_email: str
    administrator: str
    service_keys: Mapping[str, str]
    key_encryption_keys: str = ""
    """What encrypts the private keys that users signs tokens with: the file KEY_ENCRYPTION_KEYS, newest key first."""

    def logins(self) -> dict[str, Passwords]:
        """The passwords of each database's logins."""
        return {
            name: Passwords(owner=password, service=self.runtimes[name], reader=self.readers[name])
            for name, password in self.databases.items()
        }


def load(layout: Layout) -> Credentials | None:
    """The credentials of the system, or None where there is no system yet."""
    try:
        return msgspec.json.decode(layout.credentials.read_bytes(), type=Credentials)
    except FileNotFoundError:
        return None


def load_or_make(layout: Layout) -> Credentials:
    """Makes what is missing, for a service added since the last start too, and keeps what is there."""
    kept = load(layout)
    made = Credentials(
        system_id=kept.system_id if kept else secrets.token_hex(6),
        postgres_superuser=kept.postgres_superuser if kept else _password(),
        databases={name: _password() for name in SERVICES_WITH_DATABASE} | dict(kept.databases if kept else {}),
        runtimes={name: _password() for name in SERVICES_WITH_DATABASE} | dict(kept.runtimes if kept else {}),
        readers={name: _password() for name in SERVICES_WITH_DATABASE} | dict(kept.readers if kept else {}),
        broker=kept.broker if kept else _password(),
        brokers={name: _password() for name in LOGINS} | dict(kept.brokers if kept else {}),
        supervisor=kept.supervisor if kept else _password(),
        administrator_email=kept.administrator_email if kept else ADMINISTRATOR_EMAIL,
        administrator=kept.administrator if kept else _password(),
        key_encryption_keys=(kept.key_encryption_keys if kept else "") or keys.make_encryption_key(),
        service_keys={name: keys.make_key(name) for name in SERVICES} | dict(kept.service_keys if kept else {}),
    )
    if made != kept:
        write_private(layout.credentials, msgspec.json.encode(made).decode())
    return made


def _password() -> str:
    return secrets.token_urlsafe(18)
