"""A running system that was not started here, such as one under Docker Compose, as the commands see it."""

import hashlib
import hmac
import ssl
from collections.abc import Mapping
from pathlib import Path

import msgspec

from cartwright.launcher.errors import CannotGoOn, NoSuchSystem
from cartwright.launcher.tls import client_context


class RemoteSystem(msgspec.Struct, frozen=True, kw_only=True):
    """Where its parts are, as the reader of this file reaches them. `services` and `readers` are addresses by service.

    `readers` are logins that read all of one database and change nothing.
    """

    gateway_url: str
    services: Mapping[str, str]
    readers: Mapping[str, str]
    head_keys: str = ""
    """The JWKS by which the signed heads of audit's chain are verified."""
    administrator_email: str
    administrator_password: str
    gateway_certificate: str | None = None
    """In PEM: by this the commands know a gateway that serves TLS. None: by the authorities that the machine trusts."""

    @property
    def gateway_tls(self) -> ssl.SSLContext | None:
        return None if self.gateway_certificate is None else client_context(self.gateway_certificate)

    def service_urls(self, service: str) -> list[str]:
        return [self.services[service]]

    def reader_url(self, service: str) -> str:
        return self.readers[service]

    def password_of(self, email: str) -> str:
        """For an account that a command makes: it follows from the administrator's password.

        So it needs to be kept nowhere, and is the same from every machine.
        """
        return hmac.new(self.administrator_password.encode(), email.encode(), hashlib.sha256).hexdigest()


def read_remote_system(file: Path, url: str | None = None) -> RemoteSystem:
    """The system that `file` tells of, with its gateway at `url` when that is given: who is outside finds it there."""
    try:
        system = msgspec.json.decode(file.read_bytes(), type=RemoteSystem)
    except FileNotFoundError as error:
        raise NoSuchSystem(f"There is no {file}, which tells of a system. For Docker: make docker-secrets") from error
    except msgspec.MsgspecError as error:
        raise CannotGoOn(f"{file} does not tell of a system: {error}") from error
    if url is None:
        return system
    return msgspec.structs.replace(system, gateway_url=url.rstrip("/"), gateway_certificate=None)
