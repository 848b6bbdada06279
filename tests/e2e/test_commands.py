"""The commands that a running system answers without being changed by them."""

import json
import os
import signal
import subprocess

from tests.e2e.conftest import look

from cartwright.launcher import processes
from cartwright.launcher.layout import SERVICES
from cartwright.testkit.system import SystemUnderTest

PARTS = {"postgres", "nats", "mail", "gateway", *SERVICES}


def process_ids(system: SystemUnderTest) -> dict[str, int | None]:
    found = {name: view.pid for name, view in look(system).items()}
    assert all(found.values()), found
    return found


def test_everything_is_ready_once_a_detached_start_returns(system: SystemUnderTest) -> None:
    status = json.loads(system.run("status", "--json").stdout)
    assert status["ready"]
    assert {view["name"] for view in status["parts"]} == PARTS


def test_a_second_start_says_that_it_runs_already(system: SystemUnderTest) -> None:
    again = system.attempt("up", "--port", str(system.port))
    assert again.returncode == 1
    assert "runs already" in again.stderr


def test_a_second_detached_start_has_what_it_asked_for(system: SystemUnderTest) -> None:
    before = process_ids(system)
    system.start()
    assert process_ids(system) == before


def test_who_ceases_to_wait_for_a_running_system_does_not_stop_it(system: SystemUnderTest) -> None:
    before = process_ids(system)
    mail = before["mail"]
    assert mail is not None
    os.kill(mail, signal.SIGSTOP)
    try:
        waiting = subprocess.Popen(
            system.command_line("up", "--detach"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert waiting.stdout is not None
        for line in waiting.stdout:
            if line == "nats is ready\n":  # So it waits by now, and mail is what it waits for.
                waiting.send_signal(signal.SIGINT)
        _, told = waiting.communicate(timeout=30)
    finally:
        os.kill(mail, signal.SIGCONT)
    assert (waiting.returncode, told) == (1, "cartwright: The waiting was interrupted; the system goes on.\n")
    assert process_ids(system) == before


def test_another_system_on_the_same_ports_is_told_whose_they_are(system: SystemUnderTest) -> None:
    before = process_ids(system)
    other = SystemUnderTest(system.data.with_name("other"), system.port)
    refused = other.attempt("up", "--detach", "--port", str(other.port))
    assert refused.returncode == 1
    assert f"Port {system.port}, wanted for gateway, is in use by envoy" in refused.stderr
    assert "--port" in refused.stderr
    assert not processes.find(other.data.resolve()).everything
    assert process_ids(system) == before
    assert {view.state for view in look(system).values()} == {"ready"}


def test_a_token_is_an_account_s_and_stays_so(system: SystemUnderTest) -> None:
    first = system.token("ada@example.com", admin=True)
    second = system.token("ada@example.com")
    assert first.count(".") == second.count(".") == 2
