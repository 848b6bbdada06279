"""Starting and stopping a system: whatever is killed, nothing is lost, left over or touched by mistake.

Starts take most of the time. Tests say whether they need a system that runs or one that is stopped (`running`,
`stopped`), and stand in an order in which each finds what it needs.
"""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psutil
import pytest
from tests.e2e.conftest import look

from cartwright.launcher import api, processes
from cartwright.launcher.api import Api
from cartwright.testkit.servers import wait_until
from cartwright.testkit.system import SystemUnderTest


def process_of(system: SystemUnderTest, part: str) -> int | None:
    return look(system)[part].pid


def processes_of(system: SystemUnderTest) -> list[psutil.Process]:
    return processes.find(system.data.resolve()).everything


def signed_in(system: SystemUnderTest) -> Api:
    return Api(api.gateway(system.opened()).url, system.token("eve@example.com"))


def confirmed_order(buyer: Api) -> tuple[str, dict[str, Any]]:
    """Buys something of the demo shop; answers the order's path, and the order as it reads then."""
    product = buyer.get("/products").json["items"][0]["id"]
    answer = buyer.post("/orders", {"items": [{"product_id": product, "quantity": 1}]})
    path = answer.headers["location"].removeprefix("/api")
    wait_until(lambda: buyer.get(path).json["status"] == "confirmed", "the order is confirmed")
    return path, buyer.get(path).json


@contextlib.contextmanager
def start_in_foreground(system: SystemUnderTest) -> Iterator["subprocess.Popen[str]"]:
    """A start that is killed at the end, which leaves the system as it is."""
    command = system.command_line("up", "--port", str(system.port), "--rate-limit", "off")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as foreground:
        try:
            yield foreground
        finally:
            foreground.kill()


def says(foreground: "subprocess.Popen[str]", words: str) -> bool:
    """Waits for a line with these words; False when it ends without."""
    assert foreground.stdout is not None
    return any(words in line for line in foreground.stdout)


@pytest.fixture
def running(own_system: SystemUnderTest) -> SystemUnderTest:
    if not processes.is_supervised(own_system.data.resolve()):
        own_system.start()
    return own_system


@pytest.fixture
def stopped(own_system: SystemUnderTest) -> SystemUnderTest:
    if processes_of(own_system):
        own_system.stop()
    return own_system


@pytest.mark.parametrize("part", ["catalog", "gateway", "nats", "postgres"])
def test_a_part_that_is_killed_comes_back(running: SystemUnderTest, part: str) -> None:
    killed = process_of(running, part)
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: process_of(running, part) not in (killed, None), f"{part} runs again")
    wait_until(lambda: {view.state for view in look(running).values()} == {"ready"}, "everything is ready again")


def test_what_a_killed_supervisor_left_is_stopped_by_the_next_start(running: SystemUnderTest) -> None:
    supervisor = processes.find(running.data.resolve()).supervisor
    assert supervisor is not None
    before = processes_of(running)
    supervisor.kill()
    running.start()
    assert not [process for process in before if process.is_running()]


@dataclass(frozen=True)
class Restart:
    """A `down`, and an `up` in the foreground that was killed once all was ready."""

    system: SystemUnderTest
    order_path: str
    order_before: dict[str, Any]
    processes_in_between: list[psutil.Process]
    status_in_between: dict[str, Any]


@pytest.fixture(scope="module")
def restart(own_system: SystemUnderTest) -> Restart:
    own_system.start()
    path, order = confirmed_order(signed_in(own_system))
    own_system.stop()
    left = processes_of(own_system)
    status = json.loads(own_system.attempt("status", "--json").stdout)
    with start_in_foreground(own_system) as foreground:
        assert says(foreground, "Cartwright is ready at")
    return Restart(own_system, path, order, left, status)


def test_accounts_and_orders_survive_down_and_up(restart: Restart) -> None:
    # The password is kept here and the account there: signing in needs both.
    assert signed_in(restart.system).get(restart.order_path).json == restart.order_before


def test_nothing_runs_between_down_and_up(restart: Restart) -> None:
    assert not restart.processes_in_between
    assert restart.status_in_between["running"] is False


def test_down_works_though_the_start_in_the_foreground_was_killed(restart: Restart) -> None:
    assert processes_of(restart.system)
    restart.system.stop()
    assert not processes_of(restart.system)


def test_ctrl_c_stops_all_while_it_starts(stopped: SystemUnderTest) -> None:
    with start_in_foreground(stopped) as foreground:
        assert says(foreground, "is ready")
        foreground.send_signal(signal.SIGINT)
        assert foreground.wait(60) == 0
    assert not processes_of(stopped)


def test_a_part_that_cannot_start_is_named_with_its_last_words_and_nothing_stays(stopped: SystemUnderTest) -> None:
    store = stopped.opened().layout.nats / "jetstream"
    moved = store.rename(store.with_name("moved"))
    store.write_text("a file where a folder has to be")
    refused = stopped.attempt("up", "--detach", "--port", str(stopped.port))
    store.unlink()
    moved.rename(store)
    assert refused.returncode == 1
    assert "nats ends at its start" in refused.stderr
    assert "jetstream" in refused.stderr.lower()
    assert not processes_of(stopped)


def test_erasing_leaves_nothing(stopped: SystemUnderTest) -> None:
    databases = stopped.opened().cluster
    stopped.run("down", "--erase")
    assert not stopped.data.exists()
    assert not databases.parent.exists() or databases.parent == stopped.data
    assert stopped.attempt("status").returncode == 1
