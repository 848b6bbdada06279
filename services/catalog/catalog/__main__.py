"""Starts the catalog service."""

from catalog.app import build
from catalog.settings import Settings
from chassis.web.server import run

if __name__ == "__main__":
    run("catalog", Settings, build)
