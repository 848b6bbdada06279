"""Makes the secrets of a system under Compose: a file each, which compose.yaml hands to those who need it.

What is there is kept; what is missing, for a service added later too, is made. The folder is for its owner alone, and
that is what protects the files: they are readable by all, since the users inside the containers have to read them, who
are given single files and never the folder.
"""

import secrets
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec

from cartwright.compose import names
from cartwright.compose.gateway import CERTIFICATE_NAME
from cartwright.launcher import keys
from cartwright.launcher.broker_logins import LOGINS, rabbit_definitions
from cartwright.launcher.credentials import ADMINISTRATOR_EMAIL
from cartwright.launcher.layout import SERVICES, SERVICES_WITH_DATABASE, STREAM
from cartwright.launcher.postgres_logins import (
    REVOKE_LARGE_OBJECTS,
    Passwords,
    access_statements,
    database_statement,
    login_statements,
    reader_login,
    service_login,
)
from cartwright.launcher.private_files import make_private_folder, write_private
from cartwright.launcher.remote_system import RemoteSystem

READABLE_BY_ALL = 0o444


def make_secrets(folder: Path) -> None:
    """Makes in `folder` what is missing, and what follows from the rest. Raises OSError where it cannot be written."""
    make_private_folder(folder)
    # Also for a folder that existed before: all that is in it relies on this mode.
    folder.chmod(0o700)
    for service in SERVICES:
        make_private_folder(folder / service)
    service_keys = [
        _kept(folder / service / "service-key.jwk", partial(keys.make_key, service)) for service in SERVICES
    ]
    _follows(folder / "service-keys.jwks", keys.public_keys(service_keys))
    readers = {service: _make_database_secrets(folder / service, service) for service in SERVICES_WITH_DATABASE}
    _kept(folder / "users" / "key-encryption-keys", keys.make_encryption_key)
    _make_broker_secrets(folder)
    certificate = _certificate(folder / "tls")
    system = RemoteSystem(
        gateway_url=names.gateway_url(with_tls=certificate is not None),
        gateway_certificate=certificate,
        services={service: names.service_url(service) for service in SERVICES},
        readers=readers,
        head_keys=keys.public_keys([key for key in service_keys if msgspec.json.decode(key)["kid"] == "audit"]),
        administrator_email=ADMINISTRATOR_EMAIL,
        administrator_password=_kept(folder / "administrator-password", _password),
    )
    _follows(folder / "system.json", msgspec.json.format(msgspec.json.encode(system)).decode())


def _make_database_secrets(folder: Path, service: str) -> str:
    """The address for the login that reads what the service shows to `verify`, and changes nothing."""
    _kept(folder / "superuser-password", _password)
    passwords = Passwords(
        owner=_kept(folder / "database-password", _password),
        service=_kept(folder / "service-password", _password),
        reader=_kept(folder / "reader-password", _password),
    )
    database = f"{names.database(service)}/{service}"
    _follows(folder / "database-url", f"postgresql://{service_login(service)}:{passwords.service}@{database}")
    _follows(folder / "database-owner-url", f"postgresql://{service}:{passwords.owner}@{database}")
    _follows(folder / "logins.sql", "".join(f"{line}\n" for line in _logins_file(service, passwords)))
    return f"postgresql://{reader_login(service)}:{passwords.reader}@{database}"


_LOCALE = (
    "TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LC_COLLATE 'C' LC_CTYPE 'C'"
)
"""The built-in locale sorts and folds the same on every machine and for ever."""


def _logins_file(service: str, passwords: Passwords) -> Iterator[str]:
    """The lines, for psql, that make a service's database and its logins. deploy/compose/database.sh runs them at each
    start, but for those on which only an empty volume depends.
    """
    for statement in (
        *login_statements(service, passwords),
        database_statement(service, _LOCALE),
        *access_statements(service),
        # By default every login may connect to every database; here each only to its own.
        "REVOKE ALL ON DATABASE postgres FROM PUBLIC",
        "REVOKE ALL ON DATABASE template1 FROM PUBLIC",
    ):
        yield f"{statement};"
    yield f"\\connect {service}"
    yield f"{REVOKE_LARGE_OBJECTS};"


def _make_broker_secrets(folder: Path) -> None:
    """A login for each service, and one for operators, which no part of the system is given."""
    if (folder / "events-url").exists():
        # Of a version whose services shared that login: each of them knew the password.
        (folder / "broker-password").unlink(missing_ok=True)
    operator = _kept(folder / "broker-password", _password)
    passwords = {service: _kept(folder / service / "broker-password", _password) for service in LOGINS}
    definitions = rabbit_definitions(STREAM, operator, passwords)
    _follows(folder / "rabbitmq-definitions.json", msgspec.json.format(msgspec.json.encode(definitions)).decode())
    for service, password in passwords.items():
        _follows(folder / service / "events-url", f"amqp://{service}:{password}@{names.BROKER}/{STREAM}")
    for of_the_shared_login in ("events-url", "rabbitmq-login.conf"):
        (folder / of_the_shared_login).unlink(missing_ok=True)


def _certificate(folder: Path) -> str | None:
    """That of the gateway, when one is there. The gateway's user has to get at it through a folder for all."""
    make_private_folder(folder)
    folder.chmod(0o755)
    file = folder / CERTIFICATE_NAME
    return file.read_text() if file.exists() else None


def _kept(path: Path, make: Callable[[], str]) -> str:
    """What the file holds, made when there is none."""
    if not path.exists():
        _write(path, make())
    return path.read_text().strip()


def _follows(path: Path, text: str) -> None:
    # Left alone when it is right: a container sees the file that it was given, and not the one that takes its place.
    if not path.exists() or path.read_text() != text:
        _write(path, text)


def _write(path: Path, text: str) -> None:
    write_private(path, text)
    path.chmod(READABLE_BY_ALL)


def _password() -> str:
    return secrets.token_urlsafe(24)
