"""What the parts are called in compose.yaml: the name of a part is its host name in the networks that it is in."""

from cartwright.launcher.layout import SERVICES

PORT = 8080
"""On which every service and the gateway listen, each in its own container."""

BROKER = "rabbitmq:5672"


def gateway_url(*, with_tls: bool) -> str:
    return f"{'https' if with_tls else 'http'}://gateway:{PORT}"


def service_url(service: str) -> str:
    assert service in SERVICES, service
    return f"http://{service}:{PORT}"


def database(service: str) -> str:
    """The host and port of a service's database."""
    return f"{service}-database:5432"
