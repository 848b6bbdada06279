"""A system whose gateway serves TLS with a given certificate, behind a trusted proxy, as one command starts it."""

import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from cartwright.launcher.reaper import Reaper
from cartwright.testkit.system import SystemUnderTest, running_system


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a name that is not this machine's, as that of a shop is not; its key is beside it."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop.example")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
    (folder / "shop.crt").write_bytes(made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    (folder / "shop.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return folder / "shop.crt"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, reaper: Reaper, certificate: Path) -> Iterator[SystemUnderTest]:
    options = (
        *("--tls-certificate", str(certificate), "--tls-key", str(certificate.with_suffix(".key"))),
        *("--trusted-proxies", "127.0.0.0/8"),
    )
    with running_system(tmp_path_factory.mktemp("served") / "data", reaper, options=options) as system:
        yield system


def test_the_commands_reach_a_gateway_that_serves_tls(served: SystemUnderTest) -> None:
    assert served.token("ada@example.com").count(".") == 2
    assert "https://localhost" in served.run("status").stdout


def test_clients_are_told_to_stay_with_tls(served: SystemUnderTest, certificate: Path) -> None:
    context = ssl.create_default_context(cafile=certificate)
    context.check_hostname = False
    with urllib.request.urlopen(f"https://127.0.0.1:{served.port}/health", timeout=10, context=context) as answer:
        assert answer.headers["strict-transport-security"] == "max-age=31536000"


def test_guesses_through_a_trusted_proxy_count_for_the_client_behind_it(
    served: SystemUnderTest, certificate: Path
) -> None:
    system = served.opened()
    guess = f"grant_type=password&username={system.administrator_email}&password=guess".encode()

    def status(address: str, form: bytes) -> int:
        request = urllib.request.Request(f"{system.gateway_address}/api/auth/token", form, {"x-forwarded-for": address})
        try:
            with urllib.request.urlopen(request, timeout=30, context=system.gateway_tls) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    assert [status("203.0.113.7", guess) for _ in range(11)] == [400] * 10 + [429]
    right = guess.replace(b"password=guess", f"password={system.administrator_password}".encode())
    assert status("203.0.113.7", right) == 429
    assert status("198.51.100.4", right) == 200


def test_a_certificate_without_its_own_key_does_not_start(tmp_path: Path, certificate: Path) -> None:
    system = SystemUnderTest(tmp_path / "data", 20_000)
    refused = system.attempt("up", "--tls-certificate", str(certificate), "--tls-key", str(certificate))

    assert refused.returncode == 1
    assert "holds no private key in PEM" in refused.stderr
    assert not (tmp_path / "data").exists()
