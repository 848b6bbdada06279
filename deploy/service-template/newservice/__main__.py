"""Starts the newservice service."""

from chassis.web.server import run
from newservice.app import build
from newservice.settings import Settings

if __name__ == "__main__":
    run("newservice", Settings, build)
