"""What every part's tests share: real servers, started once, and the keys that tokens are signed with.

The machinery is in `cartwright.embedded.scratch`; here are only the names by which tests ask for it.
"""

import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Iterator

import nats
import pytest
from nats.js.errors import NotFoundError

import chassis  # noqa: F401 - pytest would otherwise take the folder of that name for the package when it meets its tests.
from cartwright.embedded import keys
from cartwright.embedded.last_will import LastWill
from cartwright.embedded.layout import SERVICES
from cartwright.embedded.scratch import ScratchNats, ScratchPostgres, running_nats, running_postgres


# First, since a worker of xdist reads the groups in this same hook.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of one file stay on one worker, since they share a running service; so do those that share the system."""
    for item in items:
        group = "the system" if "system" in getattr(item, "fixturenames", ()) else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def last_will() -> Iterator[LastWill]:
    """What the session started is stopped and removed even when the session is killed."""
    with LastWill() as will:
        yield will


@pytest.fixture(scope="session")
def postgres(last_will: LastWill) -> Iterator[ScratchPostgres]:
    """The session's PostgreSQL: host, port, superuser_url. Tests that kill a server take `own_postgres`."""
    with running_postgres(last_will) as server:
        yield server


@pytest.fixture
def database_url(postgres: ScratchPostgres) -> Iterator[str]:
    """An empty database, owned by a login of its own."""
    url = postgres.make_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture
def own_postgres(last_will: LastWill) -> Iterator[ScratchPostgres]:
    """A PostgreSQL for this test alone, to kill and start again."""
    with running_postgres(last_will) as server:
        yield server


@pytest.fixture(scope="session")
def nats_server(last_will: LastWill) -> Iterator[ScratchNats]:
    """The session's broker. Tests that kill a broker take `own_nats`."""
    with running_nats(last_will) as server:
        yield server


@pytest.fixture
async def events_url(nats_server: ScratchNats) -> AsyncIterator[str]:
    """An EVENTS_URL with a stream name of its own; every stream whose name begins so is deleted afterwards."""
    prefix = f"test-{secrets.token_hex(6)}"
    yield nats_server.url(prefix)
    connection = await nats.connect(nats_server.url(""), connect_timeout=5)
    streams = connection.jetstream()
    for stream in await streams.streams_info():
        if stream.config.name is not None and stream.config.name.startswith(prefix):
            with contextlib.suppress(NotFoundError):
                await streams.delete_stream(stream.config.name)
    await connection.close()


@pytest.fixture
def own_nats(last_will: LastWill) -> Iterator[ScratchNats]:
    """A broker for this test alone, to kill and start again."""
    with running_nats(last_will) as server:
        yield server


@pytest.fixture(scope="session")
def service_keys() -> dict[str, str]:
    """The private signing key of each service, a JWK in JSON: what SERVICE_KEY holds."""
    return {name: keys.make_key(name) for name in SERVICES}


@pytest.fixture(scope="session")
def service_jwks(service_keys: dict[str, str]) -> str:
    """The public keys of all services: what SERVICE_KEYS holds."""
    return keys.public_keys(service_keys.values())


@pytest.fixture(scope="session")
def service_token(service_keys: dict[str, str]) -> Callable[[str, str], str]:
    """`service_token("orders", "catalog")` is a token by which orders calls catalog."""

    def sign(service: str, audience: str) -> str:
        return keys.sign_service_token(service_keys[service], service, audience)

    return sign


@pytest.fixture(scope="session")
def user_key() -> str:
    """The private key, a JWK in JSON, that `access_token` signs with in place of the users service's own."""
    return keys.make_key("test-users")


@pytest.fixture(scope="session")
def user_jwks(user_key: str) -> str:
    """What the users service would answer at /.well-known/jwks.json."""
    return keys.public_keys([user_key])


@pytest.fixture(scope="session")
def access_token(user_key: str) -> Callable[..., str]:
    """`access_token(user_id=..., roles=[...])` is an access token that `user_jwks` verifies.

    `issuer` and `seconds` (negative: expired) make tokens that have to be refused.
    """

    def sign(user_id: str, roles: list[str] | None = None, issuer: str = "cartwright", seconds: int = 900) -> str:
        return keys.sign_access_token(user_key, user_id, roles or ["customer"], issuer, seconds)

    return sign
