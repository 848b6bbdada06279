"""Writes the gateway's configuration for Compose from the one template: `python -m cartwright.compose.gateway`.

It is kept in the repository, so that nothing has to be rendered where only Docker is. A test says when it is out of
date.
"""

from pathlib import Path

from cartwright.compose.names import PORT
from cartwright.embedded.envoy import Address, Gateway, render
from cartwright.embedded.layout import SERVICES

CONFIGURATION = Path(__file__).resolve().parents[3] / "deploy" / "compose" / "envoy.yaml"
ADMIN_PORT = 9901
HEAD = "# Made from gateway/envoy.yaml.j2 by `python -m cartwright.compose.gateway`; change that, and run this.\n"


def configuration() -> str:
    """Services are looked up by their names, and each name stands for all replicas."""
    everywhere = "0.0.0.0"  # noqa: S104 - inside its container; compose.yaml says what is published.
    gateway = Gateway(
        listen=Address(everywhere, PORT),
        admin=Address(everywhere, ADMIN_PORT),
        upstreams={service: [Address(service, PORT)] for service in SERVICES},
    )
    return HEAD + render(gateway)


if __name__ == "__main__":
    CONFIGURATION.write_text(configuration())
