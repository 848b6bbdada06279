"""Starts the storefront service."""

from chassis.web.server import run
from storefront.app import build
from storefront.settings import Settings

if __name__ == "__main__":
    run("storefront", Settings, build)
