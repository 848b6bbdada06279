"""What supervisor is asked, and what it may answer at a bad moment."""

from types import SimpleNamespace
from typing import Any

import pytest

from cartwright.launcher import supervisor

BROKER: Any = SimpleNamespace(group="stores", name="nats")


class Supervisor:
    """Answers as supervisord does of a part that goes through `states`, one for each time that it is looked at."""

    def __init__(self, *states: str) -> None:
        self._states = list(states)
        self.now = ""
        self.stops = 0

    def call(self, _system: object, method: str, *_: object) -> Any:
        if method == "getAllProcessInfo":
            self.now = self._states.pop(0) if len(self._states) > 1 else self._states[0]
            return [{"name": "nats", "statename": self.now, "pid": 1, "start": 0, "spawnerr": ""}]
        assert method == "stopProcess"
        if self.now == "EXITED":
            raise OSError("supervisor answered <Fault 70: 'NOT_RUNNING: stores:nats'>")
        self.stops += 1
        return True


@pytest.mark.parametrize(
    "states", [("RUNNING", "STOPPING"), ("EXITED", "STARTING", "STOPPED"), ("EXITED", "EXITED", "RUNNING", "STOPPING")]
)
def test_a_part_that_has_just_died_is_stopped_once_it_is_back(
    states: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Supervisor(*states)
    monkeypatch.setattr(supervisor, "_call", fake.call)
    supervisor.stop_part(BROKER, BROKER)
    assert fake.stops == 1


def test_a_part_that_is_stopped_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Supervisor("STOPPED")
    monkeypatch.setattr(supervisor, "_call", fake.call)
    supervisor.stop_part(BROKER, BROKER)
    assert fake.stops == 0


def test_a_part_that_never_comes_back_is_told_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_call", Supervisor("EXITED").call)
    monkeypatch.setattr(supervisor, "CALL_SECONDS_MAX", 0.3)
    with pytest.raises(OSError, match="NOT_RUNNING"):
        supervisor.stop_part(BROKER, BROKER)
