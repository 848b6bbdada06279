"""The systems that the end-to-end tests speak to."""

from collections.abc import Iterator

import pytest

from cartwright.embedded.last_will import LastWill
from cartwright.embedded.scratch_system import ScratchSystem, running_system


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory, last_will: LastWill) -> Iterator[ScratchSystem]:
    """The system that the end-to-end tests share; who breaks it takes `own_system`."""
    with running_system(tmp_path_factory.mktemp("system") / "data", last_will) as running:
        yield running


@pytest.fixture(scope="module")
def own_system(tmp_path_factory: pytest.TempPathFactory, last_will: LastWill) -> Iterator[ScratchSystem]:
    """A system for the tests of one module, which stop it, start it and kill parts of it."""
    with running_system(tmp_path_factory.mktemp("own-system") / "data", last_will) as running:
        yield running
