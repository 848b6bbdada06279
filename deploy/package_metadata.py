"""Writes the metadata of a service beside its package, which an image copies and does not install.

`importlib.metadata` finds it there, and so the service knows its version.
It runs during the build of an image, so it uses only the standard library.

    python package_metadata.py /app/services/orders
"""

import sys
import tomllib
from pathlib import Path


def write_metadata(service: Path) -> Path:
    """The new `.dist-info` folder with the name and the version that `pyproject.toml` of `service` states."""
    project = tomllib.loads((service / "pyproject.toml").read_text())["project"]
    name, version = project["name"], project["version"]
    folder = service / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return folder


if __name__ == "__main__":
    write_metadata(Path(sys.argv[1]))
