"""Every Docker command of `docs/from-the-tutorials.md` runs on the real containers and prints what the page shows."""

import re

import pytest
from tests.docker.compose_system import ComposeSystem, compose_command
from tests.e2e.tutorial_page import Step, read_steps

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

STEPS = read_steps("docker")
STEP_S_MAX = 600


@pytest.mark.parametrize("step", STEPS, ids=[step.section for step in STEPS])
def test_a_tutorial_step_under_docker_prints_what_the_page_shows(step: Step, system: ComposeSystem) -> None:
    commands = step.commands
    if compose_command() == ["docker-compose"]:
        # Version 1 of Compose cannot wait, so the test does; and it finds only the first container that a service had.
        commands = re.sub(r"docker compose exec -T (\S+)", lambda found: in_container(system, found[1]), commands)
        commands = commands.replace("docker compose", "docker-compose").replace("--detach --wait", "--detach")
    done = system.attempt(["bash", "-eu", "-o", "pipefail", "-c", commands], STEP_S_MAX)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    system.until_healthy()
    assert step.shows(done.stdout), f"{done.stdout}\nThe page shows:\n{step.output}"


def in_container(system: ComposeSystem, service: str) -> str:
    return f"docker exec {system.container(service).id}"
