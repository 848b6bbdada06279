"""A certificate that the gateway could not serve with is refused before the start, and the reason is said."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from cartwright.launcher.errors import CannotGoOn
from cartwright.launcher.tls import TlsFiles, check

NOW = datetime(2031, 5, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def key():
    return ec.generate_private_key(ec.SECP256R1())


def certificate_of(key):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop.example")])
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW - timedelta(days=9), NOW + timedelta(days=9))
    return made.sign(key, algorithm).public_bytes(Encoding.PEM)


def pem_of(key, encryption=None):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


@pytest.fixture
def files(tmp_path):
    def write(certificate, key):
        (tmp_path / "tls.crt").write_bytes(certificate)
        (tmp_path / "tls.key").write_bytes(key)
        return TlsFiles(str(tmp_path / "tls.crt"), str(tmp_path / "tls.key"))

    return write


def test_a_certificate_with_its_key_will_do(files, key):
    check(files(certificate_of(key), pem_of(key)), NOW)


def test_a_chain_is_judged_by_its_first_certificate(files, key):
    check(files(certificate_of(key) + certificate_of(ec.generate_private_key(ec.SECP256R1())), pem_of(key)), NOW)


@pytest.mark.parametrize(("days", "words"), [(10, "expired at 2031-05-10"), (-10, "valid from 2031-04-22")])
def test_a_certificate_is_refused_outside_of_its_time(files, key, days, words):
    with pytest.raises(CannotGoOn, match=words):
        check(files(certificate_of(key), pem_of(key)), NOW + timedelta(days=days))


def test_the_key_of_another_certificate_is_refused(files, key):
    with pytest.raises(CannotGoOn, match="does not belong to the certificate"):
        check(files(certificate_of(key), pem_of(ec.generate_private_key(ec.SECP256R1()))), NOW)


def test_a_key_with_a_passphrase_is_refused(files, key):
    with pytest.raises(CannotGoOn, match="encrypted"):
        check(files(certificate_of(key), pem_of(key, BestAvailableEncryption(b"secret"))), NOW)


@pytest.mark.parametrize("kind", [lambda: rsa.generate_private_key(65537, 1024), ed25519.Ed25519PrivateKey.generate])
def test_a_key_that_envoy_does_not_take_is_refused(files, kind):
    key = kind()
    with pytest.raises(CannotGoOn, match="has to be RSA of 2048 bits or more"):
        check(files(certificate_of(key), pem_of(key)), NOW)


def test_files_that_hold_something_else_are_refused(files, key):
    with pytest.raises(CannotGoOn, match=r"tls\.crt holds no certificate"):
        check(files(b"nonsense", pem_of(key)), NOW)
    with pytest.raises(CannotGoOn, match=r"tls\.key holds no private key"):
        check(files(certificate_of(key), certificate_of(key)), NOW)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CannotGoOn, match=r"absent\.crt cannot be read: No such file"):
        check(TlsFiles(str(tmp_path / "absent.crt"), str(tmp_path / "absent.key")))
