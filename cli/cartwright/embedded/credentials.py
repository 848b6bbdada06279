"""Makes and keeps the passwords and keys of one system: generated at its first start, and nowhere but in its data."""

import secrets
from collections.abc import Mapping

import msgspec

from cartwright.embedded import keys
from cartwright.embedded.broker_logins import LOGINS
from cartwright.embedded.layout import SERVICES, SERVICES_WITH_DATABASE, Layout
from cartwright.embedded.private_files import write_private

ADMINISTRATOR_EMAIL = "admin@cartwright.example"


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """`databases` and `readers` hold passwords by service, `service_keys` private JWKs (JSON) by service."""

    system_id: str
    """Not secret: tells this system from every other, whatever its folder is called."""
    postgres_superuser: str
    databases: Mapping[str, str]
    readers: Mapping[str, str]
    broker: str
    """The operator's at the broker; `brokers` holds the services'."""
    brokers: Mapping[str, str] = msgspec.field(default_factory=dict)
    supervisor: str
    administrator_email: str
    administrator: str
    service_keys: Mapping[str, str]


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
        readers={name: _password() for name in SERVICES_WITH_DATABASE} | dict(kept.readers if kept else {}),
        broker=kept.broker if kept else _password(),
        brokers={name: _password() for name in LOGINS} | dict(kept.brokers if kept else {}),
        supervisor=kept.supervisor if kept else _password(),
        administrator_email=kept.administrator_email if kept else ADMINISTRATOR_EMAIL,
        administrator=kept.administrator if kept else _password(),
        service_keys={name: keys.make_key(name) for name in SERVICES} | dict(kept.service_keys if kept else {}),
    )
    if made != kept:
        write_private(layout.credentials, msgspec.json.encode(made).decode())
    return made


def _password() -> str:
    return secrets.token_urlsafe(18)
