"""Starts the audit service."""

from audit.app import build
from audit.settings import Settings
from chassis.web.server import run

if __name__ == "__main__":
    run("audit", Settings, build)
