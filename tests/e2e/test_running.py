"""Starting and stopping a system: whatever is killed, nothing is lost, left over or touched by mistake."""

import asyncio
import json
import os
import signal
import subprocess
from typing import Any

import psutil
import pytest

from cartwright import api
from cartwright.api import Api
from cartwright.embedded import processes
from cartwright.embedded.layout import SERVICES
from cartwright.embedded.scratch import wait_until
from cartwright.embedded.scratch_system import ScratchSystem
from cartwright.part_table import PartView
from cartwright.watch import look_once

PARTS = {"postgres", "nats", "mail", "gateway", *SERVICES}


def status_of(system: ScratchSystem) -> dict[str, Any]:
    status: dict[str, Any] = json.loads(system.attempt("status", "--json").stdout)
    return status


def look(system: ScratchSystem) -> dict[str, PartView]:
    return {view.name: view for view in asyncio.run(look_once(system.opened()))}


def process_of(system: ScratchSystem, part: str) -> int | None:
    return look(system)[part].pid


def processes_of(system: ScratchSystem) -> list[psutil.Process]:
    return processes.find(system.data.resolve()).everything


def signed_in(system: ScratchSystem) -> Api:
    return Api(api.gateway(system.opened()).url, system.token("eve@example.com"))


def confirmed_order(buyer: Api) -> tuple[str, dict[str, Any]]:
    """Buys something of the demo shop; answers the order's path, and the order as it reads then."""
    product = buyer.get("/products").json["items"][0]["id"]
    answer = buyer.post("/orders", {"items": [{"product_id": product, "quantity": 1}]})
    path = answer.headers["location"].removeprefix("/api")
    wait_until(lambda: buyer.get(path).json["status"] == "confirmed", "the order is confirmed")
    return path, buyer.get(path).json


def test_everything_is_ready_once_a_detached_start_returns(own_system: ScratchSystem) -> None:
    status = status_of(own_system)
    assert status["ready"]
    assert {view["name"] for view in status["parts"]} == PARTS


def test_a_second_start_says_that_it_runs_already(own_system: ScratchSystem) -> None:
    again = own_system.attempt("up", "--port", str(own_system.port))
    assert again.returncode == 1
    assert "runs already" in again.stderr


def test_a_second_detached_start_has_what_it_asked_for(own_system: ScratchSystem) -> None:
    before = process_of(own_system, "orders")
    own_system.start()
    assert process_of(own_system, "orders") == before


def test_another_system_on_the_same_ports_is_told_whose_they_are(own_system: ScratchSystem) -> None:
    other = ScratchSystem(own_system.data.with_name("other"), own_system.port)
    refused = other.attempt("up", "--detach", "--port", str(other.port))
    assert refused.returncode == 1
    assert f"Port {own_system.port}, wanted for gateway, is in use by envoy" in refused.stderr
    assert "--port" in refused.stderr
    assert status_of(own_system)["ready"]


def test_a_token_is_an_account_s_and_stays_so(own_system: ScratchSystem) -> None:
    first = own_system.token("ada@example.com", admin=True)
    second = own_system.token("ada@example.com")
    assert first.count(".") == second.count(".") == 2


@pytest.mark.parametrize("part", ["catalog", "gateway", "nats", "postgres"])
def test_a_part_that_is_killed_comes_back(own_system: ScratchSystem, part: str) -> None:
    killed = process_of(own_system, part)
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: process_of(own_system, part) not in (killed, None), f"{part} runs again")
    wait_until(lambda: {view.state for view in look(own_system).values()} == {"ready"}, "everything is ready again")


def test_what_a_killed_supervisor_left_is_stopped_by_the_next_start(own_system: ScratchSystem) -> None:
    supervisor = processes.find(own_system.data.resolve()).supervisor
    assert supervisor is not None
    before = processes_of(own_system)
    supervisor.kill()
    own_system.start()
    assert not [process for process in before if process.is_running()]


def test_accounts_and_orders_survive_down_and_up_and_nothing_runs_in_between(own_system: ScratchSystem) -> None:
    path, before = confirmed_order(signed_in(own_system))
    own_system.stop()
    assert not processes_of(own_system)
    assert status_of(own_system)["running"] is False
    own_system.start()
    # The password is kept here and the account there: signing in needs both.
    assert signed_in(own_system).get(path).json == before


def test_ctrl_c_stops_all_while_it_starts(own_system: ScratchSystem) -> None:
    own_system.stop()
    with subprocess.Popen(
        own_system.command_line("up", "--port", str(own_system.port)), stdout=subprocess.PIPE, text=True
    ) as foreground:
        assert foreground.stdout is not None
        assert any("is ready" in line for line in foreground.stdout)
        foreground.send_signal(signal.SIGINT)
        assert foreground.wait(60) == 0
    assert not processes_of(own_system)


def test_down_works_though_the_start_in_the_foreground_was_killed(own_system: ScratchSystem) -> None:
    with subprocess.Popen(
        own_system.command_line("up", "--port", str(own_system.port)), stdout=subprocess.PIPE, text=True
    ) as foreground:
        assert foreground.stdout is not None
        assert "is ready" in foreground.stdout.readline()
        foreground.kill()
    own_system.stop()
    assert not processes_of(own_system)


def test_a_part_that_cannot_start_is_named_with_its_last_words_and_nothing_stays(own_system: ScratchSystem) -> None:
    store = own_system.opened().layout.nats / "jetstream"
    moved = store.rename(store.with_name("moved"))
    store.write_text("a file where a folder has to be")
    refused = own_system.attempt("up", "--detach", "--port", str(own_system.port))
    store.unlink()
    moved.rename(store)
    assert refused.returncode == 1
    assert "nats ends at its start" in refused.stderr
    assert "jetstream" in refused.stderr.lower()
    assert not processes_of(own_system)


def test_erasing_leaves_nothing(own_system: ScratchSystem) -> None:
    databases = own_system.opened().cluster
    own_system.run("down", "--erase")
    assert not own_system.data.exists()
    assert not databases.parent.exists() or databases.parent == own_system.data
    assert own_system.attempt("status").returncode == 1
