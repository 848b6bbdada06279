"""The service's own PostgreSQL: a bounded pool, transactions with time limits, and repeats where repeating is safe.

What asyncpg leaves to its users is settled here: limits on every wait; a connection that timed out is thrown away,
since cancelling on a frozen server never ends; idle connections die once when the server restarts, so whole
idempotent transactions are run again; a COMMIT whose answer was lost is unknown, which only a repeat can settle; and
connections are made to a server that accepts writes, and leave one that has become read-only (decision 23).
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TypeAlias, TypeVar, cast
from urllib.parse import urlsplit

import asyncpg
import structlog
from asyncpg.connect_utils import SessionAttribute
from asyncpg.pool import PoolConnectionProxy
from pogo_core.util.migrate import apply
from pogo_core.util.sql import ensure_pogo_sync, get_applied_migrations

from chassis import failpoint
from chassis.lifecycle import keep_trying
from chassis.persistence import privileges
from chassis.problems import Invalid, OutcomeUnknown, Unavailable
from chassis.retry import retried
from chassis.telemetry import tracing

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"
Row: TypeAlias = asyncpg.Record
ResultT = TypeVar("ResultT")

ACQUIRE_S_MAX = 5.0
COMMAND_S_MAX = 10.0
STATEMENT_S_MAX = 9.5
CONNECT_S_MAX = 5.0
RETRY_S_MAX = 5.0
IDLE_S_MAX = 15.0
"""After a rush its connections are given back, since each holds some MiB of the server's memory."""
IDLE_IN_TRANSACTION_S_MAX = 3.0
"""Nothing but statements is awaited in a transaction, so one that is idle for that long is a frozen process's, or one's
that cannot be reached. Its locks hold up other replicas, and its number the relays, which wait for the oldest."""
_PRIMARY = SessionAttribute.read_write
"""What asyncpg connects to (`target_session_attrs`): of several hosts the primary, and never a standby."""
_SPAN_ATTRIBUTES = {"db.system.name": "postgresql"}
_READ = "read"
_MIGRATION_LOCK = 0x43415254  # "CART": any number will do that all replicas share.

_log = structlog.get_logger()

CONNECTION_LOST = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InternalClientError,
)
# A full disk, too little memory, a standby that has yet to be promoted: faults of the server, and not of a query.
_SERVER_AT_FAULT = (asyncpg.InsufficientResourcesError, asyncpg.ReadOnlySQLTransactionError)
_MAY_SUCCEED_NEXT_TIME = (
    *CONNECTION_LOST,
    *_SERVER_AT_FAULT,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
)
_NOT_THERE_YET = (*_MAY_SUCCEED_NEXT_TIME, TimeoutError, asyncpg.InvalidCatalogNameError)


_changes_noted: ContextVar[set[str] | None] = ContextVar("changes_noted", default=None)


def note_change(kind: str) -> None:
    """Have the hooks for `kind` called after the commit of the present work (see `Database.after_commit`).

    Does nothing outside `Database.run` and `Database.run_statement`.
    """
    noted = _changes_noted.get()
    if noted is not None:
        noted.add(kind)


def _may_succeed_next_time(error: Exception) -> bool:
    # asyncpg's DataError is an InterfaceError too, but says that our own arguments are wrong: a bug, not a fault.
    # TimeoutError is an OSError too, but has taken all the time that there was.
    return isinstance(error, _MAY_SUCCEED_NEXT_TIME) and not isinstance(error, asyncpg.DataError | TimeoutError)


class DatabaseUnavailable(Unavailable):
    code, title = "database_unavailable", "The database is not available at the moment."


class ChangeUnknown(DatabaseUnavailable):
    """The connection was lost on the way, so whether the change is kept is not known."""

    status, code, title = OutcomeUnknown.status, "change_unknown", "The database was lost: it may have happened or not."


class Database:
    """A pool of connections to one database, and its migrations.

    Migrations are applied by the login of `owner_url`, which then grants the login of `url` what it needs
    (`chassis.persistence.privileges`). Without it the login of `url` applies them, and has to be the owner unless none
    is missing.
    """

    def __init__(self, url: str, *, owner_url: str = "", migrations: Path, pool_size_max: int = 6) -> None:
        self._url = url
        self._owner_url = owner_url
        self._migrations = migrations
        self._pool_size_max = pool_size_max
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._commit_hooks: dict[str, list[Callable[[], None]]] = {}

    def after_commit(self, kind: str, hook: Callable[[], None]) -> None:
        """Call `hook` after each commit of work that noted a change of `kind` (`note_change`), once per commit.

        A hook only wakes a loop: it must not raise or block. It may be missed when a COMMIT is not answered, so the
        loop has to poll as well.
        """
        self._commit_hooks.setdefault(kind, []).append(hook)

    async def start(self) -> None:
        """Wait for the server, apply the migrations that are missing, open the pool."""
        await keep_trying("database", self._open, on=_NOT_THERE_YET)

    async def _open(self) -> None:
        await self._migrate()
        self._pool = await asyncpg.create_pool(
            self._url,
            min_size=1,
            max_size=self._pool_size_max,
            timeout=CONNECT_S_MAX,
            command_timeout=COMMAND_S_MAX,
            max_inactive_connection_lifetime=IDLE_S_MAX,
            target_session_attrs=_PRIMARY,
            reset=_leave_session,
            server_settings={
                "application_name": self._migrations.parent.name,
                "jit": "off",
                # A statement keeps its plan from the time when the table was empty, and it grows by millions before
                # it is analyzed; none of ours is meant to go through a whole table where an index will do.
                "enable_seqscan": "off",
                # A little less than the client waits: it cannot cancel what it has ceased to wait for.
                "statement_timeout": str(int(STATEMENT_S_MAX * 1_000)),
                "idle_in_transaction_session_timeout": str(int(IDLE_IN_TRANSACTION_S_MAX * 1_000)),
            },
        )

    async def _migrate(self) -> None:
        async with self._owner_connection(300.0) as connection:
            # Held by the session, so it ends with it: a replica that dies in the middle blocks no other.
            await connection.execute("SELECT pg_advisory_lock($1)", _MIGRATION_LOCK)
            await ensure_pogo_sync(connection)
            applied = await get_applied_migrations(connection, schema_name="public")
            # Most starts find nothing new, and reading the files would be most of what they do with the database.
            if not {path.stem for path in self._migrations.iterdir()} <= applied:
                await apply(connection, self._migrations, schema_name="public", logger=_log)
            if self._owner_url:
                await privileges.grant(connection, urlsplit(self._url).username or "")

    async def run_as_owner(self, work: Callable[[Connection], Awaitable[ResultT]]) -> ResultT:
        """Run `work` once, in one transaction, by the login that may change tables. For rare repairs.

        Raises `DatabaseUnavailable`, after which it may be done or not.
        """
        try:
            async with self._owner_connection(COMMAND_S_MAX) as connection, connection.transaction():
                return await work(cast("Connection", connection))
        except _NOT_THERE_YET as error:
            raise DatabaseUnavailable from error

    @asynccontextmanager
    async def _owner_connection(self, command_timeout_s: float) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        connection = await asyncpg.connect(
            self._owner_url or self._url,
            timeout=CONNECT_S_MAX,
            command_timeout=command_timeout_s,
            target_session_attrs=_PRIMARY,
        )
        try:
            yield connection
        finally:
            connection.terminate()

    async def stop(self) -> None:
        if self._pool is None:
            return
        try:
            async with asyncio.timeout(2.0):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    async def is_reachable(self) -> bool:
        """Whether a server that accepts writes answers within a second."""
        try:
            async with asyncio.timeout(1.0), self._connection() as connection:
                # Also on in a hot standby. Reads would go on there for ever, and answer what was.
                if await connection.fetchval("SHOW transaction_read_only") == "on":
                    raise asyncpg.ReadOnlySQLTransactionError("the server is read-only")
        except (TimeoutError, Unavailable, *_MAY_SUCCEED_NEXT_TIME):
            return False
        return True

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        if self._pool is None:
            raise DatabaseUnavailable
        connection = await self._pool.acquire(timeout=ACQUIRE_S_MAX)
        try:
            yield connection
        except (TimeoutError, asyncio.CancelledError):
            # The server may be frozen, and would then never confirm a cancel.
            connection.terminate()
            raise
        except asyncpg.ReadOnlySQLTransactionError:
            # The server was demoted, and the pool's other connections lead to it too. None of them is used again.
            connection.terminate()
            await self._pool.expire_connections()
            raise
        finally:
            await self._pool.release(connection, timeout=CONNECT_S_MAX)  # It shields itself from cancellation.

    async def read(self, query: Callable[[Connection], Awaitable[ResultT]]) -> ResultT:
        """Run statements that only read, outside any transaction. Raises `DatabaseUnavailable`."""
        return await self._repeated(_READ, query, in_transaction=False)

    async def run_statement(self, statement: Callable[[Connection], Awaitable[ResultT]]) -> ResultT:
        """As `run`, for work that is one statement: PostgreSQL commits it by itself, which saves the round trips of
        BEGIN and COMMIT. They are most of the time of a change that waits for no lock.
        """
        return await self._change("statement", statement, in_transaction=failpoint.is_armed())

    async def run(self, work: Callable[[Connection], Awaitable[ResultT]]) -> ResultT:
        """Run `work` in one transaction, and the whole of it again when the connection was lost or it was a victim.

        So `work` has to be idempotent, a lost COMMIT included: key what it inserts. Raises `DatabaseUnavailable` when
        nothing was changed, and `ChangeUnknown` when that is not known.
        """
        return await self._change("transaction", work, in_transaction=True)

    async def _change(
        self, name: str, work: Callable[[Connection], Awaitable[ResultT]], *, in_transaction: bool
    ) -> ResultT:
        # One set for all attempts: when the first COMMIT was not answered, the second attempt may find its change made.
        noted: set[str] = set()
        token = _changes_noted.set(noted)
        try:
            result = await self._repeated(name, work, in_transaction=in_transaction)
        finally:
            _changes_noted.reset(token)
        for kind in noted:
            for hook in self._commit_hooks.get(kind, ()):
                hook()
        return result

    async def _repeated(
        self, name: str, work: Callable[[Connection], Awaitable[ResultT]], *, in_transaction: bool
    ) -> ResultT:
        may_be_done = False

        async def attempt() -> ResultT:
            nonlocal may_be_done
            async with self._connection() as connection:
                try:
                    return await _done(work, connection, in_transaction=in_transaction)
                except (TimeoutError, *CONNECTION_LOST):
                    may_be_done = name != _READ
                    raise

        try:
            with tracing.span(name, "client", _SPAN_ATTRIBUTES):
                return await retried(
                    attempt, on=_may_succeed_next_time, attempts=4, timeout_s=RETRY_S_MAX, pause_s=0.02, pause_s_max=0.5
                )
        except (asyncpg.CharacterNotInRepertoireError, asyncpg.UntranslatableCharacterError) as error:
            raise Invalid("Text must not hold the character U+0000.") from error
        except asyncpg.DataError as error:
            if isinstance(error.__cause__, OverflowError):
                raise Invalid("A number or a time lies beyond what can be kept.") from error
            raise
        except Exception as error:
            if isinstance(error, TimeoutError | asyncpg.QueryCanceledError) or _may_succeed_next_time(error):
                raise (ChangeUnknown if may_be_done else DatabaseUnavailable) from error
            raise


async def _done(
    work: Callable[[Connection], Awaitable[ResultT]], connection: Connection, *, in_transaction: bool
) -> ResultT:
    if not in_transaction:
        return await work(connection)
    async with connection.transaction():
        result = await work(connection)
        changes = failpoint.is_armed() and await _has_changed_anything(connection)
        if changes:
            failpoint.hit(work, "before commit")
    if changes:
        failpoint.hit(work, "after commit")
    return result


async def _leave_session(_connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """No code here changes a session, so there is nothing to reset. The default costs one more round trip each time."""


async def _has_changed_anything(connection: Connection) -> bool:
    """Whether there is something to commit: many a loop looks for work and finds none."""
    return await connection.fetchval("SELECT pg_current_xact_id_if_assigned()") is not None


def rows_affected(status: str) -> int:
    """The count in a command tag such as `UPDATE 3`."""
    match = re.search(r"(\d+)$", status)
    return int(match.group(1)) if match else 0
