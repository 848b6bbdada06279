"""TLS served by the gateway itself: versions, HTTP/2, and a certificate that is renewed while it runs."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from cartwright.launcher import tls


def make_certificate(folder, serial):
    """A certificate and its key in PEM, moved into `folder` as a tool that renews them does."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), serial, now - timedelta(days=1), now + timedelta(days=9))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("shop.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    contents = {
        "tls.crt": certificate.public_bytes(Encoding.PEM),
        "tls.key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    }
    for file, content in contents.items():
        (folder / f"new-{file}").write_bytes(content)
        (folder / f"new-{file}").replace(folder / file)
    return contents["tls.crt"].decode()


@pytest.fixture
def served(start_gateway, tmp_path):
    """A gateway that serves TLS with the certificate number 1 of the folder, and the folder."""
    pem = make_certificate(tmp_path, serial=1)
    files = tls.TlsFiles(str(tmp_path / "tls.crt"), str(tmp_path / "tls.key"))
    tls.check(files)
    secret = tmp_path / "secret.json"
    secret.write_text(tls.secret(tmp_path / "tls.crt", tmp_path / "tls.key"))
    return start_gateway(tls=tls.client_context(pem), tls_secret=secret), tmp_path


def trusting_all():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def shake_hands(gateway, context):
    with gateway.connect() as connection, context.wrap_socket(connection, server_hostname="shop.example") as wrapped:
        return wrapped.version(), wrapped.selected_alpn_protocol(), wrapped.getpeercert(binary_form=True)


def test_the_gateway_serves_tls_and_tells_browsers_to_stay_with_it(served):
    gateway, _ = served
    for path in ("/api/products", "/health", "/nothing"):
        assert gateway.ask("GET", path).headers["strict-transport-security"] == "max-age=31536000"
    assert gateway.ask("GET", "/api/products").json["headers"]["x-forwarded-proto"] == "https"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_versions_of_tls_that_are_safe_are_spoken(served, version):
    context = trusting_all()
    context.minimum_version = context.maximum_version = version

    assert shake_hands(served[0], context)[0] == {771: "TLSv1.2", 772: "TLSv1.3"}[version]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_older_version_is_refused(served):
    context = trusting_all()
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")

    with pytest.raises(ssl.SSLError, match=r"(?i)version"):
        shake_hands(served[0], context)


@pytest.mark.parametrize(("offered", "chosen"), [(["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1"), ([], None)])
def test_http_2_is_spoken_with_those_who_can(served, offered, chosen):
    context = trusting_all()
    if offered:
        context.set_alpn_protocols(offered)

    assert shake_hands(served[0], context)[1] == chosen


def test_a_renewed_certificate_is_served_without_a_restart(served, eventually):
    gateway, folder = served

    def serial():
        return x509.load_der_x509_certificate(shake_hands(gateway, trusting_all())[2]).serial_number

    assert serial() == 1
    make_certificate(folder, serial=2)
    eventually(lambda: serial() == 2)


def test_a_connection_without_a_handshake_is_closed(served):
    gateway, _ = served
    with gateway.connect() as connection:
        connection.settimeout(10)

        assert connection.recv(1) == b""
