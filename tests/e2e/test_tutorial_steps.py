"""Every command of `docs/from-the-tutorials.md` runs on the real system and prints what the page shows."""

import re
import subprocess
import sys

import pytest
from tests.e2e.tutorial_page import PAGE, Step, read_steps

from cartwright.launcher.layout import PORT_DEFAULT
from cartwright.testkit.system import SystemUnderTest

STEPS = read_steps("embedded")
MARK = "@@ end of step"
RUN_S_MAX = 100
PORTS_SHOWN = range(PORT_DEFAULT, PORT_DEFAULT + 18)

pytestmark = pytest.mark.timeout(RUN_S_MAX + 60)


@pytest.fixture(scope="module")
def printed(own_system: SystemUnderTest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The output of each step. All steps run in one shell, in the order of the page, as a reader runs them."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / ".cartwright").symlink_to(own_system.data)
    script = "".join(f"{step.commands}echo '{MARK}'\n" for step in STEPS)
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", with_ports(script, own_system.port)],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RUN_S_MAX,
        check=False,
    )
    outputs = with_default_ports(done.stdout, own_system.port).split(f"{MARK}\n")
    assert done.returncode == 0, (
        f"the step after {STEPS[max(len(outputs) - 2, 0)].section!r}: {outputs[-1]}{done.stderr}"
    )
    return outputs[:-1]


def with_ports(text: str, base: int) -> str:
    """The page names the default ports; the system of the test has others."""

    def moved(port: re.Match[str]) -> str:
        number = int(port[0])
        return str(number - PORT_DEFAULT + base) if number in PORTS_SHOWN else port[0]

    return re.sub(r"\b8\d{3}\b", moved, text)


def with_default_ports(text: str, base: int) -> str:
    return text.replace(f"localhost:{base}", f"localhost:{PORT_DEFAULT}")


@pytest.mark.parametrize("number", range(len(STEPS)), ids=[step.section for step in STEPS])
def test_a_tutorial_step_prints_what_the_page_shows(number: int, printed: list[str]) -> None:
    assert STEPS[number].shows(printed[number]), f"{printed[number]}\nThe page shows:\n{STEPS[number].output}"


def test_the_page_has_a_sentence_on_each_difference() -> None:
    for section in PAGE.read_text().split("\n## ")[1:]:
        assert "The tutorials: " in section, section
        assert "**Different:** " in section, section


def test_an_ellipsis_stands_for_any_text_and_nothing_else_does() -> None:
    step = Step("any", "", "a ... c\n")
    assert step.shows("a b c\n")
    assert not step.shows("a b d\n")
    assert not Step("any", "", "").shows("something\n")
