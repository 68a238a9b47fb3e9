"""A certificate authority of the stack's own; clients need its certificate to trust the servers."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from deploy.embedded.ports import HOST

Key: TypeAlias = ec.EllipticCurvePrivateKey
YEAR: Final = timedelta(days=365)
# A client whose clock is a little behind must not see a certificate of the future.
CLOCKS_DIFFER: Final = timedelta(hours=1)


@dataclass(frozen=True)
class Identity:
    """A certificate and its private key, as PEM files. `both` has the two, as Kafka wants them."""

    certificate: Path
    key: Path
    both: Path


class Authority:
    """Issues certificates into a folder; a second object of the folder is the same authority."""

    def __init__(self, folder: Path, name: str = "MAMOCHI stack") -> None:
        self.folder = folder
        self.certificate = folder / "ca.pem"
        folder.mkdir(parents=True, exist_ok=True)
        if not self.certificate.exists():
            self._create(name)
        self._key = _load_key(folder / "ca.key")
        self._ca = x509.load_pem_x509_certificate(self.certificate.read_bytes())

    def issue(self, name: str, *, hosts: Sequence[str] = (HOST,), ends: datetime | None = None) -> Identity:
        """Write a new key and a certificate with that common name, and return their files.

        The files of an earlier certificate of that name are replaced, each in one step. The
        certificate is for servers at `hosts` and for clients, and `ends` in a year by default.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        ends = ends or datetime.now(UTC) + YEAR
        names = x509.SubjectAlternativeName([_host_name(host) for host in hosts])
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        builder = _builder(_name(name), self._ca.subject, key, self._key, ends)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(names, critical=False).add_extension(usage, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        identity = Identity(*(self.folder / f"{name}{end}" for end in (".pem", ".key", ".both.pem")))
        _write(identity.certificate, certificate)
        _write(identity.key, _pem(key))
        _write(identity.both, certificate + _pem(key))
        return identity

    def _create(self, name: str) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(name), _name(name), key, key, datetime.now(UTC) + 10 * YEAR)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_SIGNS, critical=True)
        certificate = builder.sign(key, hashes.SHA256())
        _write(self.folder / "ca.key", _pem(key))
        _write(self.certificate, certificate.public_bytes(serialization.Encoding.PEM))


_SIGNS: Final = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _builder(subject: x509.Name, issuer: x509.Name, key: Key, signs: Key, ends: datetime) -> x509.CertificateBuilder:
    public = key.public_key()
    begins = min(datetime.now(UTC), ends) - CLOCKS_DIFFER
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signs.public_key()), critical=False)
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _host_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(key: Key) -> bytes:
    """Return the key as PKCS 8, the only form that Java reads."""
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)


def _load_key(path: Path) -> Key:
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)  # noqa: S101 - for mypy: `_create` wrote the file
    return key


def _write(path: Path, content: bytes) -> None:
    """Write the file in one step, readable by its owner only."""
    half = path.with_name(f"{path.name}.part")
    half.unlink(missing_ok=True)
    with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    half.replace(path)
