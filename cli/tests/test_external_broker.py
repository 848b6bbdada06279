"""A system whose events go by an external broker has none itself, and remembers where that is."""

import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cartwright.__main__ import app
from cartwright.launcher.parts import all_parts
from cartwright.launcher.readiness import Probes
from cartwright.launcher.system import make_data_folder, make_system, open_system

RABBIT = "amqp://me:hush@127.0.0.1:5672/shop"


def test_a_broker_elsewhere_takes_the_place_of_the_one_that_comes_along(tmp_path: Path) -> None:
    system = make_system(make_data_folder(tmp_path), 8080, None, events_url=RABBIT)
    assert system.events_url("orders") == open_system(tmp_path).events_url("orders") == RABBIT
    names = {part.name for part in all_parts(system)}
    assert "nats" not in names
    assert set(Probes(system)._probes) == names


def test_without_one_it_is_the_nats_that_comes_along(tmp_path: Path) -> None:
    system = make_system(make_data_folder(tmp_path), 8080, None)
    assert system.events_url("orders").startswith("nats://")
    assert "nats" in {part.name for part in all_parts(system)} & set(Probes(system)._probes)


def test_the_password_in_its_address_is_kept_where_only_its_owner_reads(tmp_path: Path) -> None:
    layout = make_data_folder(tmp_path)
    make_system(layout, 8080, None, events_url=RABBIT)
    assert stat.S_IMODE(layout.choices.stat().st_mode) == 0o600


@pytest.mark.parametrize("url", ["http://localhost", "localhost:5672", "kafka://localhost/shop"])
def test_an_address_of_no_known_broker_is_refused_before_anything_starts(tmp_path: Path, url: str) -> None:
    answer = CliRunner().invoke(app, ["up", "--data", str(tmp_path / "data"), "--events-url", url])
    assert answer.exit_code == 2
    assert not (tmp_path / "data").exists()
