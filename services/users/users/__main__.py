"""Starts the users service."""

from chassis.web.server import run
from users.app import build
from users.settings import Settings

if __name__ == "__main__":
    run("users", Settings, build)
