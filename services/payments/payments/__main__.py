"""Starts the payments service."""

from chassis.web.server import run
from payments.app import build
from payments.settings import Settings

if __name__ == "__main__":
    run("payments", Settings, build)
