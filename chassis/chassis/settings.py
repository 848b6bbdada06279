"""Settings are read once, at start, from the environment, into a frozen and typed struct.

Any variable `X` may be given as `X_FILE` instead: the path of a file with the value, as container platforms hand out
secrets. Both at once is refused, since it is unknown which one the operator meant.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec


class SettingsError(Exception):
    """A setting is missing or malformed. The message names the variable, and never its value."""


class StatelessSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a service is told that keeps nothing and says nothing.

    Field `service_key` is read from `SERVICE_KEY`, and so on. Field names end in their unit.
    """

    host: str = "127.0.0.1"
    port: int
    service_key: str
    """This service's private signing key: a JWK in JSON."""
    service_keys: str
    """The public keys of all services: a JWKS in JSON."""
    users_url: str
    token_issuer: str = "cartwright"  # noqa: S105
    log_level: str = "info"
    environment: str = "development"
    otel_exporter_otlp_endpoint: str = ""
    """Where traces go, by OTLP over HTTP: `http://localhost:4318`. Empty: there are none."""
    otel_traces_sampler_arg: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    """The share of requests that are traced, unless the sender of a request has decided it already."""
    crash_folder: str = ""
    """Where tests say at which place the process dies (`chassis.failpoint`); empty: nowhere."""

    def __post_init__(self) -> None:
        if self.crash_folder and self.environment != "development":
            raise ValueError("CRASH_FOLDER is for ENVIRONMENT=development only")


class ServiceSettings(StatelessSettings, frozen=True, kw_only=True):
    """What a service with a database and a broker is told. Its own settings derive from this."""

    database_url: str
    """By the login as which the service runs: it reads and writes rows."""
    database_owner_url: str = ""
    """By the login that owns the tables: migrations are applied by it. Empty: by that of DATABASE_URL."""
    events_url: str
    database_pool_size_max: int = 6


SettingsT = TypeVar("SettingsT", bound=msgspec.Struct)


def read_settings(shape: type[SettingsT], environment: Mapping[str, str]) -> SettingsT:
    """Read `shape` from `environment`.

    Raises `SettingsError` that names the variable at fault.
    """
    values: dict[str, str] = {}
    for field in msgspec.structs.fields(shape):
        variable = field.name.upper()
        value = _value(variable, environment)
        if value is None:
            if field.required:
                raise SettingsError(f"{variable} is not set (nor {variable}_FILE).")
            continue
        values[field.name] = value
    try:
        return msgspec.convert(values, shape, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(_without_value(str(error))) from None


def _value(variable: str, environment: Mapping[str, str]) -> str | None:
    path = environment.get(f"{variable}_FILE")
    if path is None:
        return environment.get(variable)
    if variable in environment:
        raise SettingsError(f"Both {variable} and {variable}_FILE are set: give one of them.")
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise SettingsError(f"{variable}_FILE cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{variable}_FILE cannot be read: it holds no text.") from None


def _without_value(message: str) -> str:
    text, _, path = message.partition(" - at `$.")
    return f"{path.rstrip('`').upper()}: {text}." if path else text
