"""What `down --erase` removes: all that a system made and nothing else, and it tells when something is left."""

from pathlib import Path

import pytest

from cartwright.launcher.stop import erase_data
from cartwright.launcher.system import System, make_data_folder, make_system, open_system


@pytest.fixture
def system(tmp_path: Path) -> System:
    """One whose first start was killed when the databases were made and nothing led to them yet."""
    made = make_system(make_data_folder(tmp_path / "data"), 8080, None)
    made.cluster.mkdir(parents=True)
    return made


def test_databases_that_no_link_leads_to_are_erased(system: System) -> None:
    erase_data(system)
    assert not system.cluster.exists()
    assert not system.layout.data.exists()


def test_what_a_person_put_there_stays(system: System) -> None:
    notes = system.layout.data / "notes.txt"
    notes.write_text("keep")
    erase_data(system)
    assert list(system.layout.data.iterdir()) == [notes]


def test_what_cannot_be_removed_is_told_and_the_command_can_be_given_again(system: System) -> None:
    system.layout.nats.rmdir()
    system.layout.nats.write_text("a file where a folder was")
    try:
        with pytest.raises(OSError, match=system.layout.nats.name):
            erase_data(system)
    finally:
        system.layout.nats.unlink()
    erase_data(open_system(system.layout.data))
    assert not system.layout.data.exists()
