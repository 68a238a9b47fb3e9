"""A process's own certificate, of which the files are replaced while the process runs."""

from pathlib import Path
from typing import Any

import pytest

from deploy.embedded.security.authority import Authority, Identity
from kafka_bridge.brokers import certificate


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def mine(authority: Authority, settings: Any) -> Identity:
    identity = authority.issue("web")
    files = {"ssl.certificate.location": str(identity.certificate), "ssl.key.location": str(identity.key)}
    settings.KAFKA_CLIENT_CONFIG = {"bootstrap.servers": "a:1", **files}
    return identity


def test_renewed_files_are_seen(authority: Authority, mine: Identity) -> None:
    before = certificate.version()
    assert not certificate.is_renewed(before)
    authority.issue("web")
    assert certificate.is_renewed(before)
    assert not certificate.is_renewed(certificate.version())


def test_half_a_renewal_is_none(authority: Authority, mine: Identity) -> None:
    """The certificate is there, and its key not yet; or a file is missing for a moment."""
    before = certificate.version()
    other = authority.issue("other")
    mine.certificate.write_bytes(other.certificate.read_bytes())
    assert not certificate.is_renewed(before)
    mine.key.unlink()
    assert not certificate.is_renewed(before)
    mine.key.write_bytes(other.key.read_bytes())
    assert certificate.is_renewed(before)


def test_password_has_no_files(settings: Any) -> None:
    settings.KAFKA_CLIENT_CONFIG = {"bootstrap.servers": "a:1", "sasl.username": "web"}
    assert certificate.version() == ()
    assert not certificate.is_renewed(certificate.version())
