"""Starts the notifications service."""

from chassis.web.server import run
from notifications.app import build
from notifications.settings import Settings

if __name__ == "__main__":
    run("notifications", Settings, build)
