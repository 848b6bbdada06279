"""The file of JSON lines after a crash, on a full disk, with a second process and with another database."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from audit.domain.chain import Head
from audit.record_events import record_events
from audit.store import chain
from audit.workers.lines_file import LinesFile
from chassis.messaging import envelope
from chassis.persistence.database import Connection, Database, DatabaseUnavailable

FollowUntil = Callable[[int], Awaitable[None]]


async def record(database: Database, events: list[Any]) -> None:
    await database.run(lambda connection: record_events(connection, events))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "audit.jsonl"


def lines_in(path: Path) -> list[bytes]:
    """The whole lines. None when the file does not exist yet."""
    content = path.read_bytes() if path.exists() else b""
    return content[: content.rfind(b"\n") + 1].splitlines()


def append(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("ab") as file:
        file.write(content)


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def positions(path: Path) -> list[int]:
    return [msgspec.json.decode(line)["position"] for line in lines_in(path)]


@pytest.fixture
def follow_until(path: Path, database: Database, until: Any) -> FollowUntil:
    """Runs a `LinesFile` on `path` until the file has `count` lines."""

    async def follow(count: int) -> None:
        lines = LinesFile(path, database)
        await lines.start()
        try:
            await until(lambda: len(lines_in(path)) >= count)
        finally:
            await lines.stop()

    return follow


async def test_every_entry_becomes_a_line_with_its_hash(
    database: Database, make_event: Any, path: Path, follow_until: FollowUntil
) -> None:
    event = make_event(data={"name": "Zoë"})
    await record(database, [event, make_event()])
    await follow_until(2)
    line = msgspec.json.decode(lines_in(path)[0])
    assert line["event"] == msgspec.json.decode(envelope.encode(event))
    head = await database.read(lambda c: c.fetchval("SELECT hash FROM entries WHERE position = 1"))
    assert line["hash"] == head.hex()
    assert mode_of(path) == 0o600


async def test_an_event_with_line_breaks_is_one_line(
    database: Database, make_event: Any, path: Path, follow_until: FollowUntil
) -> None:
    await record(database, [make_event(data=msgspec.Raw(b'{\n "a":\n 1}')), make_event()])
    await follow_until(2)
    assert positions(path) == [1, 2]


@pytest.mark.parametrize("torn", [b'{"position":3,"rec', b""], ids=["torn", "whole"])
async def test_a_torn_last_line_is_cut_off_and_written_again(
    database: Database, make_event: Any, path: Path, follow_until: FollowUntil, torn: bytes
) -> None:
    await record(database, [make_event() for _ in range(2)])
    await follow_until(2)
    append(path, torn)
    await record(database, [make_event() for _ in range(2)])
    await follow_until(4)
    assert positions(path) == [1, 2, 3, 4]


async def test_a_last_line_longer_than_a_chunk_is_read_whole(
    database: Database, make_event: Any, path: Path, follow_until: FollowUntil
) -> None:
    await record(database, [make_event(), make_event(data={"note": "x" * 200_000})])
    await follow_until(2)
    await record(database, [make_event()])
    await follow_until(3)
    assert positions(path) == [1, 2, 3]


async def test_a_failed_write_is_repeated_without_a_torn_or_duplicate_line(
    database: Database, make_event: Any, path: Path, follow_until: FollowUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_write, calls = os.write, 0

    def write_a_part_then_fail(file: int, data: Any) -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            return real_write(file, bytes(data)[:10])
        if calls == 2:
            raise OSError(28, "No space left on device")
        return real_write(file, data)

    monkeypatch.setattr("audit.workers.lines_file.os.write", write_a_part_then_fail)
    await record(database, [make_event() for _ in range(3)])
    await follow_until(3)
    assert positions(path) == [1, 2, 3]
    assert calls > 2


async def test_two_processes_that_share_a_folder_write_each_line_once(
    database: Database, make_event: Any, path: Path, until: Any
) -> None:
    first, second = LinesFile(path, database), LinesFile(path, database)
    await first.start()
    await second.start()
    try:
        await record(database, [make_event() for _ in range(20)])
        first.wake()
        second.wake()
        await until(lambda: len(lines_in(path)) >= 20)
    finally:
        await second.stop()
        await first.stop()
    assert positions(path) == list(range(1, 21))


async def test_a_standby_replica_continues_after_the_last_line(
    database: Database, make_event: Any, path: Path, until: Any
) -> None:
    writer, standby = LinesFile(path, database), LinesFile(path, database)
    await record(database, [make_event()])
    await writer.start()
    await until(lambda: len(lines_in(path)) == 1)
    await standby.start()
    await writer.stop()
    try:
        await record(database, [make_event()])
        standby.wake()
        await until(lambda: len(lines_in(path)) == 2)
    finally:
        await standby.stop()
    assert positions(path) == [1, 2]


@pytest.mark.parametrize("has_successor", [True, False])
async def test_a_file_that_another_replica_renames_meanwhile_is_not_written(
    database: Database,
    make_event: Any,
    path: Path,
    follow_until: FollowUntil,
    monkeypatch: pytest.MonkeyPatch,
    has_successor: bool,
) -> None:
    append(path, b"")
    real_open, renamed = os.open, path.with_name("renamed")

    def open_and_rename(*arguments: Any) -> int:
        file = real_open(*arguments)
        if not renamed.exists():
            path.rename(renamed)
            if has_successor:
                append(path, b"")
        return file

    monkeypatch.setattr("audit.workers.lines_file.os.open", open_and_rename)
    await record(database, [make_event()])
    await follow_until(1)
    assert renamed.read_bytes() == b""
    assert positions(path) == [1]


@pytest.mark.parametrize(
    "foreign", [b'{"position":1,"recorded_at":null,"hash":"00","event":{}}\n', b"not a line of audit\n"]
)
async def test_a_file_of_another_database_is_renamed_and_kept(
    database: Database, make_event: Any, path: Path, until: Any, foreign: bytes
) -> None:
    append(path, foreign)
    await record(database, [make_event()])
    lines = LinesFile(path, database)
    await lines.start()
    await until(lambda: any(b"order.placed" in line for line in lines_in(path)))
    await lines.stop()
    assert lines_in(next(path.parent.glob("audit.jsonl.differs-at-*"))) == foreign.splitlines()
    assert positions(path) == [1]


async def test_a_file_is_compared_before_the_first_line_is_appended(
    database: Database, make_event: Any, path: Path, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = b'{"position":1,"recorded_at":null,"hash":"00","event":{}}\n'
    append(path, foreign)
    await record(database, [make_event() for _ in range(2)])
    read_head_at, failures = chain.read_head_at, 0

    async def fail_once(connection: Connection, position: int) -> Head | None:
        nonlocal failures
        failures += 1
        if failures == 1:
            raise DatabaseUnavailable
        return await read_head_at(connection, position)

    monkeypatch.setattr(chain, "read_head_at", fail_once)
    lines = LinesFile(path, database)
    await lines.start()
    await until(lambda: len(lines_in(path)) >= 2)
    await lines.stop()
    assert next(path.parent.glob("audit.jsonl.differs-at-*")).read_bytes() == foreign
    assert positions(path) == [1, 2]
