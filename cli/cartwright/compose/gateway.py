"""The gateway's configurations for Compose, from the one template.

Those without TLS and trusted proxies are kept in the repository, so that nothing has to be rendered where only Docker
is: one without traces, and one with Jaeger. `python -m cartwright.compose.gateway` writes them; a test says when they
are out of date. For any other, `cartwright gateway` prints one.
"""

from pathlib import Path, PurePosixPath

from cartwright.compose.names import PORT
from cartwright.launcher import tls
from cartwright.launcher.envoy import Address, Gateway, Traces, render
from cartwright.launcher.layout import SERVICES
from cartwright.launcher.trusted_proxies import TrustedProxies

FOLDER = Path(__file__).resolve().parents[3] / "deploy" / "compose"
JAEGER = Traces(Address("jaeger", 4318))
CONFIGURATIONS = {
    FOLDER / "envoy.yaml": None,
    FOLDER / "envoy-traced.yaml": JAEGER,
}
TLS_SECRET = FOLDER / "tls.json"
"""It names the two files of the folder that compose.yaml mounts at `MOUNTED_TLS`."""
MOUNTED_TLS = PurePosixPath("/etc/envoy/tls")
CERTIFICATE_NAME, KEY_NAME = "tls.crt", "tls.key"
ADMIN_PORT = 9901
HEAD = "# Made from gateway/envoy.yaml.j2 by `python -m cartwright.compose.gateway`; change that, and run this.\n"
OWN_HEAD = "# Made by `cartwright gateway`; run it again after an upgrade.\n"


def configuration(traces: Traces | None) -> str:
    """One of those in the repository."""
    return HEAD + _rendered(traces)


def own_configuration(*, trusted_proxies: TrustedProxies | None, with_tls: bool, is_traced: bool) -> str:
    return OWN_HEAD + _rendered(JAEGER if is_traced else None, trusted_proxies, with_tls=with_tls)


def tls_secret() -> str:
    return tls.secret(MOUNTED_TLS / CERTIFICATE_NAME, MOUNTED_TLS / KEY_NAME)


def _rendered(traces: Traces | None, trusted_proxies: TrustedProxies | None = None, *, with_tls: bool = False) -> str:
    """Services are looked up by their names, and each name stands for all replicas."""
    everywhere = "0.0.0.0"  # noqa: S104 - inside its container; compose.yaml says what is published.
    gateway = Gateway(
        listen=Address(everywhere, PORT),
        admin=Address(everywhere, ADMIN_PORT),
        upstreams={service: [Address(service, PORT)] for service in SERVICES},
        traces=traces,
        trusted_proxies=trusted_proxies,
        tls_secret=PurePosixPath("/etc/envoy", TLS_SECRET.name) if with_tls else None,
    )
    return render(gateway)


if __name__ == "__main__":
    for file, traces in CONFIGURATIONS.items():
        file.write_text(configuration(traces))
    TLS_SECRET.write_text(tls_secret())
