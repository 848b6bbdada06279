"""The services as the contract tests see them: put together with made-up settings, and not started."""

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest
from litestar import Litestar

from cartwright.launcher.keys import make_encryption_key
from cartwright.launcher.layout import SERVICES
from chassis.settings import read_settings


@pytest.fixture
def built(service_keys: dict[str, str], service_jwks: str, tmp_path: Path) -> Callable[[str], Litestar]:
    """`built("orders")` is the application of that service, put together but not started: nothing is connected."""

    def build(service: str) -> Litestar:
        environment = {
            "PORT": "1",
            "DATABASE_URL": "postgresql://nobody:nothing@127.0.0.1:1/nowhere",
            "EVENTS_URL": "nats://127.0.0.1:1/nowhere",
            "SERVICE_KEY": service_keys[service],
            "SERVICE_KEYS": service_jwks,
            "ADMIN_EMAIL": "admin@example.com",
            "ADMIN_PASSWORD": "not a real password",
            "KEY_ENCRYPTION_KEYS": make_encryption_key(),
            "DATA_DIR": str(tmp_path),
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": "1",
            "MAIL_FROM": "shop@example.com",
            **{f"{peer.upper()}_URL": "http://127.0.0.1:1" for peer in SERVICES},
        }
        app = importlib.import_module(f"{service}.app")
        settings = importlib.import_module(f"{service}.settings").Settings
        application: Litestar = app.build(read_settings(settings, environment))
        return application

    return build
