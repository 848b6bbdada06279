"""Writes the gateway's configurations for Compose from the one template: `python -m cartwright.compose.gateway`.

They are kept in the repository, so that nothing has to be rendered where only Docker is: one without traces, and one
with Jaeger. A test says when they are out of date.
"""

from pathlib import Path

from cartwright.compose.names import PORT
from cartwright.embedded.envoy import Address, Gateway, Traces, render
from cartwright.embedded.layout import SERVICES

FOLDER = Path(__file__).resolve().parents[3] / "deploy" / "compose"
CONFIGURATIONS = {
    FOLDER / "envoy.yaml": None,
    FOLDER / "envoy-traced.yaml": Traces(Address("jaeger", 4318)),
}
ADMIN_PORT = 9901
HEAD = "# Made from gateway/envoy.yaml.j2 by `python -m cartwright.compose.gateway`; change that, and run this.\n"


def configuration(traces: Traces | None) -> str:
    """Services are looked up by their names, and each name stands for all replicas."""
    everywhere = "0.0.0.0"  # noqa: S104 - inside its container; compose.yaml says what is published.
    gateway = Gateway(
        listen=Address(everywhere, PORT),
        admin=Address(everywhere, ADMIN_PORT),
        upstreams={service: [Address(service, PORT)] for service in SERVICES},
        traces=traces,
    )
    return HEAD + render(gateway)


if __name__ == "__main__":
    for file, traces in CONFIGURATIONS.items():
        file.write_text(configuration(traces))
