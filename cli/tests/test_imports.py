"""What tests may import of the command: services' tests and the root conftest import the testkit alone."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = [ROOT / "conftest.py", *ROOT.glob("services/*/tests/**/*.py"), *ROOT.glob("chassis/tests/**/*.py")]


def imported(file: Path) -> set[str]:
    modules: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {module for module in modules if module.split(".")[0] == "cartwright"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_tests_of_services_import_the_testkit_alone(file: Path) -> None:
    assert {module for module in imported(file) if not module.startswith("cartwright.testkit")} == set()
