"""Every line of a service's output is one JSON object, from every library and for every value."""

import re
import subprocess
import sys
from typing import Any

import msgspec
import pytest

# In a process of its own: what logs are configured for lasts as long as the process.
PROGRAM = """
import logging, uuid
import structlog
from chassis import context
from chassis.telemetry import logs

logs.configure("orders", "info")
log = structlog.get_logger()
log.info("plain", order_id="7", count=2)
log.debug("too detailed")
with context.working_on("purchase-1", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"):
    log.info("within")
    logging.getLogger("some.library").warning("from a %s", "library", extra={"size": 3})
log.info("odd", id=uuid.UUID(int=0), text='line\\nbreak "quoted"', surrogate="\\ud800", thing=object, numbers={1: 2})
logging.getLogger("some.library").info("too detailed as well")
try:
    raise ValueError("broken")
except ValueError as error:
    log.warning("failed", exc_info=error)
    logging.getLogger("some.library").exception("failed in a library")
"""


@pytest.fixture(scope="module")
def lines() -> dict[str, dict[str, Any]]:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True, timeout=30)
    assert done.stderr == b""
    written = [msgspec.json.decode(line, type=dict[str, Any]) for line in done.stdout.splitlines()]
    return {line["event"]: line for line in written}


def test_each_line_tells_when_how_bad_and_of_which_service(lines: dict[str, dict[str, Any]]) -> None:
    for line in lines.values():
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["timestamp"])
        assert line["service"] == "orders"
        assert line["level"] in {"info", "warning", "error"}


def test_a_line_holds_what_was_told(lines: dict[str, dict[str, Any]]) -> None:
    assert lines["plain"].items() >= {"order_id": "7", "count": 2}.items()
    assert "correlation_id" not in lines["plain"]


@pytest.mark.parametrize("event", ["within", "from a library"])
def test_a_line_within_a_piece_of_work_holds_its_ids(lines: dict[str, dict[str, Any]], event: str) -> None:
    assert lines[event]["correlation_id"] == "purchase-1"
    assert lines[event]["trace_id"] == "0af7651916cd43dd8448eb211c80319c"


def test_nothing_that_is_told_can_break_the_line(lines: dict[str, dict[str, Any]]) -> None:
    assert lines["odd"]["id"] == "00000000-0000-0000-0000-000000000000"
    assert lines["odd"]["text"] == 'line\nbreak "quoted"'


@pytest.mark.parametrize("event", ["failed", "failed in a library"])
def test_a_traceback_is_part_of_its_line(lines: dict[str, dict[str, Any]], event: str) -> None:
    assert "ValueError: broken" in lines[event]["exception"]


def test_what_is_below_the_level_is_left_out(lines: dict[str, dict[str, Any]]) -> None:
    assert set(lines) == {"plain", "within", "from a library", "odd", "failed", "failed in a library"}


KILLED = """
import asyncio, os, signal
import structlog
from chassis.telemetry import logs

logs.configure("orders", "info")
log = structlog.get_logger()

async def main():
    log.info("first")
    log.info("second")
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def test_what_was_told_before_the_last_round_of_the_loop_outlives_a_kill() -> None:
    done = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, check=False, timeout=30)
    assert [msgspec.json.decode(line)["event"] for line in done.stdout.splitlines()] == ["first", "second"]


UNHEARD = """
import asyncio, os
import structlog
from chassis.telemetry import logs

logs.configure("orders", "info")
log = structlog.get_logger()
told = os.dup(2)

async def main():
    for number in range(1_000):
        log.info("nobody listens", number=number, text="x" * 100)
        await asyncio.sleep(0)
    os.write(told, b"all was done")

asyncio.run(main())
os._exit(0)
"""


def test_a_log_line_without_a_collector_does_not_end_its_writer() -> None:
    program = subprocess.Popen([sys.executable, "-c", UNHEARD], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert program.stdout is not None
    program.stdout.close()
    _, told = program.communicate(timeout=30)
    assert told == b"all was done"
