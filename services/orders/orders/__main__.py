"""Starts the orders service."""

from chassis.web.server import run
from orders.app import build
from orders.settings import Settings

if __name__ == "__main__":
    run("orders", Settings, build)
