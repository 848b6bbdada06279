"""Makes a service from `deploy/service-template` and adds it to the lists that can be changed safely.

    make new-service NAME=loyalty

It prints the changes that remain: they need a decision, such as a route of the gateway.
"""

import importlib
import importlib.util
import keyword
import re
import shutil
import subprocess
import sys
from pathlib import Path

TEMPLATE_NAME = "newservice"
TEMPLATE = Path("deploy/service-template")
_NAME = re.compile(r"[a-z][a-z0-9]{1,19}")
_INCLUDE = re.compile(r"^-- include: ([\w.]+)\.([A-Z]+)\n", re.MULTILINE)
_LISTS: tuple[tuple[str, str, str], ...] = (
    ("pyproject.toml", '"storefront"', '"storefront", "{name}"'),
    ("cli/cartwright/launcher/layout.py", '"audit", "storefront")', '"audit", "storefront", "{name}")'),
    (
        "cli/cartwright/launcher/broker_logins.py",
        '    "audit": (),\n',
        '    "audit": (),\n    "{name}": ("{name}",),\n',
    ),
    (
        "services/audit/audit/app.py",
        '    "notification": "notifications",\n',
        '    "notification": "notifications",\n    "{name}": "{name}",\n',
    ),
)
_REMAINING = """\
{folder} is made, and {lists} list it. It remains to

 1. run `make setup`, then `.venv/bin/pytest -n0 {folder}`
 2. contracts/events/{name}.entry_created.json: the contract of its event; add "{name}" to the consumers of user.deleted
 3. gateway/envoy.yaml.j2 and SERVICES in cli/cartwright/launcher/envoy.py: its routes, when clients call it; then
    run `.venv/bin/python -m cartwright.compose.gateway`
 4. PEERS in cli/cartwright/launcher/parts.py: when other services call it; its own settings: `_own_environment` there
 5. compose.yaml: the service, its database, networks, secrets and volumes, as those of audit; `tests/docker` checks it
 6. ARCHITECTURE.md and docs/glossary.md: a line for the service and for each new term
"""


def make_service(root: Path, name: str) -> Path:
    """The folder of the new service. Raises `ValueError` for a name that is taken or no name of a module."""
    folder = root / "services" / name
    if not _NAME.fullmatch(name) or keyword.iskeyword(name) or name in sys.stdlib_module_names:
        raise ValueError(f"{name!r} is no name for a service: take 2 to 20 lower-case letters and digits.")
    if folder.exists() or importlib.util.find_spec(name) is not None:
        raise ValueError(f"{name!r} is taken.")
    for path, old, _ in _LISTS:
        if old not in (root / path).read_text():
            raise ValueError(f"{path} has no {old!r} any more: change tools/new_service.py.")
    for source in sorted((root / TEMPLATE).rglob("*")):
        if source.is_file() and source.suffix != ".pyc":
            _copy(source, folder / str(source.relative_to(root / TEMPLATE)).replace(TEMPLATE_NAME, name), name)
    for path, old, new in _LISTS:
        text = (root / path).read_text()
        (root / path).write_text(text.replace(old, new.format(name=name)))
    return folder


def _copy(source: Path, target: Path, name: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    text = _INCLUDE.sub(_included, source.read_text())
    target.write_text(text.replace(TEMPLATE_NAME.capitalize(), name.capitalize()).replace(TEMPLATE_NAME, name))
    shutil.copymode(source, target)


def _included(line: re.Match[str]) -> str:
    """A schema of the chassis, word for word."""
    schema: str = getattr(importlib.import_module(line[1]), line[2])
    return schema.strip() + "\n\n"


def main() -> None:
    root = Path.cwd()
    try:
        folder = make_service(root, sys.argv[1] if len(sys.argv) > 1 else "").relative_to(root)
    except ValueError as error:
        sys.exit(str(error))
    # The order of imports and the line breaks depend on the name.
    paths = [str(folder), *(path for path, _, _ in _LISTS if path.endswith(".py"))]
    for command in (["check", "--quiet", "--select", "I", "--fix"], ["format", "--quiet"]):
        subprocess.run([sys.executable, "-m", "ruff", *command, *paths], check=True)  # noqa: S603
    lists = ", ".join(path for path, _, _ in _LISTS)
    print(_REMAINING.format(folder=folder, name=folder.name, lists=lists))


if __name__ == "__main__":
    main()
