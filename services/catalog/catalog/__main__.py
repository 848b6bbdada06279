"""Starts the catalog service."""

from catalog.app import build
from catalog.settings import Settings
from chassis.server import run

if __name__ == "__main__":
    run("catalog", Settings, build)
