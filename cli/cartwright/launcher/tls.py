"""The certificate with which the gateway serves TLS: checked before the start, and told to Envoy in a file of its own.

Envoy reads that file and those that it names again whenever a file is moved into one of their folders, so a renewed
certificate takes effect without a restart, and one that does not fit its key is not taken.
"""

import ssl
from datetime import UTC, datetime
from pathlib import Path, PurePath

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from cartwright.launcher.errors import CannotGoOn

SECRET_NAME = "gateway"  # noqa: S105 - as the template calls it.
RSA_BITS_MIN = 2048
CURVES = ("secp256r1", "secp384r1", "secp521r1")


class TlsFiles(msgspec.Struct, frozen=True):
    """Two files in PEM: the certificate with those of its issuers, and its private key without a passphrase."""

    certificate: str
    key: str


def check(files: TlsFiles, now: datetime | None = None) -> None:
    """Raises CannotGoOn for files with which no gateway could serve."""
    certificate = _certificate(Path(files.certificate))
    key = _private_key(Path(files.key))
    now = now or datetime.now(UTC)
    if certificate.not_valid_after_utc <= now:
        raise CannotGoOn(f"The certificate in {files.certificate} expired at {certificate.not_valid_after_utc}.")
    if certificate.not_valid_before_utc > now:
        raise CannotGoOn(f"The certificate in {files.certificate} is valid from {certificate.not_valid_before_utc} on.")
    of_certificate, of_key = (
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        for public in (certificate.public_key(), key.public_key())
    )
    if of_certificate != of_key:
        raise CannotGoOn(f"The key in {files.key} does not belong to the certificate in {files.certificate}.")


def secret(certificate: PurePath, key: PurePath) -> str:
    """What Envoy reads (SDS): the paths of the certificate and its key, as Envoy finds them."""
    tls_certificate = {
        "certificate_chain": {"filename": str(certificate)},
        "private_key": {"filename": str(key)},
    }
    resource = {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
        "name": SECRET_NAME,
        "tls_certificate": tls_certificate,
    }
    return msgspec.json.format(msgspec.json.encode({"resources": [resource]})).decode() + "\n"


def client_context(certificate: str) -> ssl.SSLContext:
    """For the commands, which reach the gateway by another name than clients do. They know its certificate (PEM)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=certificate)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _certificate(file: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(_read(file))[0]
    except ValueError as error:
        raise CannotGoOn(f"{file} holds no certificate in PEM: {error}") from None


def _private_key(file: Path) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(_read(file), password=None)
    except TypeError:
        raise CannotGoOn(f"The key in {file} is encrypted: the gateway has nobody to ask for its passphrase.") from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CannotGoOn(f"{file} holds no private key in PEM: {error}") from None
    match key:
        case rsa.RSAPrivateKey() if key.key_size >= RSA_BITS_MIN:
            return key
        case ec.EllipticCurvePrivateKey() if key.curve.name in CURVES:
            return key
    raise CannotGoOn(f"The key in {file} has to be RSA of {RSA_BITS_MIN} bits or more, or on P-256, P-384 or P-521.")


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise CannotGoOn(f"{file} cannot be read: {error.strerror}.") from error
