"""The one system under Docker that these tests share, and who buys there."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from tests.docker.buyers import Buying, ProductRange
from tests.docker.compose_system import ComposeSystem, running_compose_system

from cartwright.launcher.reaper import Reaper

StartBuying = Callable[[], AbstractContextManager[Buying]]


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory, reaper: Reaper) -> Iterator[ComposeSystem]:
    """Built and started once. Who breaks it leaves it well."""
    with running_compose_system(tmp_path_factory.mktemp("docker") / "checkout", reaper) as running:
        yield running


@pytest.fixture(scope="session")
def product_range(system: ComposeSystem) -> ProductRange:
    return ProductRange(system)


@pytest.fixture
def buying(
    system: ComposeSystem, product_range: ProductRange, tmp_path: Path, request: pytest.FixtureRequest
) -> StartBuying:
    """`with buying() as customers:` has customers buy meanwhile; then every promise is checked, on data and answers."""

    @contextlib.contextmanager
    def start() -> Iterator[Buying]:
        with Buying(system, product_range, tmp_path / "record", seed=request.node.name) as customers:
            yield customers
        system.verify()
        customers.check()

    return start
