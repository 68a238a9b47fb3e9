"""Settings of encrypted connections: what cannot work is named before a process starts."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from deploy.embedded.security.authority import Authority, Identity
from mamochi_site import connections
from mamochi_site.checks import check_kafka_login

SCRAM = {
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
    "KAFKA_SASL_USERNAME": "web",
    "KAFKA_SASL_PASSWORD": " $ecret ",
}
Set = Callable[[dict[str, str]], None]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def web(authority: Authority) -> Identity:
    return authority.issue("web")


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> Set:
    """Return a function that sets these of Kafka's variables, and no others."""

    def set_them(values: dict[str, str]) -> None:
        for name in connections.KAFKA:
            monkeypatch.setenv(name, values.get(name, ""))

    return set_them


def certificate(web: Identity, authority: Authority) -> dict[str, str]:
    return {
        "KAFKA_SECURITY_PROTOCOL": "ssl",
        "KAFKA_SSL_CA_LOCATION": str(authority.certificate),
        "KAFKA_SSL_CERTIFICATE_LOCATION": str(web.certificate),
        "KAFKA_SSL_KEY_LOCATION": str(web.key),
    }


def test_password_and_certificate_reach_the_client(variables: Set, web: Identity, authority: Authority) -> None:
    variables(SCRAM)
    assert connections.kafka_client("a:1")["sasl.password"] == " $ecret "
    variables(certificate(web, authority))
    config = connections.kafka_client("a:1")
    assert (config["bootstrap.servers"], config["ssl.key.location"]) == ("a:1", str(web.key))
    variables({})
    assert connections.kafka_client("a:1") == {"bootstrap.servers": "a:1"}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, None),
        ({"KAFKA_SASL_PASSWORD": ""}, "Set KAFKA_SASL_PASSWORD: KAFKA_SECURITY_PROTOCOL is SASL_SSL."),
        ({"KAFKA_SASL_USERNAME": ""}, "Set KAFKA_SASL_USERNAME: KAFKA_SECURITY_PROTOCOL is SASL_SSL."),
        ({"KAFKA_SASL_MECHANISM": ""}, "Set KAFKA_SASL_MECHANISM: KAFKA_SECURITY_PROTOCOL is SASL_SSL."),
        (
            {"KAFKA_SECURITY_PROTOCOL": ""},
            "KAFKA_SASL_MECHANISM is set, and KAFKA_SECURITY_PROTOCOL is PLAINTEXT, which ignores it.",
        ),
        (
            {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SSL_CA_LOCATION": "a.pem"},
            "KAFKA_SSL_CA_LOCATION is set, and KAFKA_SECURITY_PROTOCOL is SASL_PLAINTEXT, which ignores it.",
        ),
    ],
)
def test_incomplete_login_is_named(variables: Set, changed: dict[str, str], said: str | None) -> None:
    variables(SCRAM | changed)
    faults = [message.msg for message in check_kafka_login()]
    assert faults[:1] == ([said] if said else [])


def test_no_consumer_starts_with_an_incomplete_login(variables: Set) -> None:
    variables(SCRAM | {"KAFKA_SASL_PASSWORD": ""})
    with pytest.raises(SystemCheckError, match="Set KAFKA_SASL_PASSWORD"):
        call_command("run_consumer", "contabilidad", skip_checks=False)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"KAFKA_SECURITY_PROTOCOL": "sasl-ssl"}, "KAFKA_SECURITY_PROTOCOL must be"),
        ({"KAFKA_SSL_CA_LOCATION": "/no/such"}, "KAFKA_SSL_CA_LOCATION: /no/such cannot be read"),
    ],
)
def test_what_no_client_takes_is_refused(variables: Set, changed: dict[str, str], said: str) -> None:
    variables(SCRAM | changed)
    with pytest.raises(ImproperlyConfigured, match=said):
        connections.kafka_client("a:1")


def test_wrong_files_are_refused(variables: Set, web: Identity, authority: Authority, tmp_path: Path) -> None:
    right, other = certificate(web, authority), authority.issue("other")
    (tmp_path / "empty.pem").write_text("nothing")
    for changed, said in [
        ({"KAFKA_SSL_CA_LOCATION": str(tmp_path / "empty.pem")}, "KAFKA_SSL_CA_LOCATION"),
        ({"KAFKA_SSL_KEY_LOCATION": ""}, "only KAFKA_SSL_CERTIFICATE_LOCATION is set"),
        ({"KAFKA_SSL_KEY_LOCATION": str(tmp_path / "none")}, "KAFKA_SSL_KEY_LOCATION: .*cannot be read"),
        ({"KAFKA_SSL_KEY_LOCATION": str(other.key)}, "is no key of"),
    ]:
        variables(right | changed)
        with pytest.raises(ImproperlyConfigured, match=said):
            connections.kafka_client("a:1")


def test_password_of_a_key_is_asked_for_nowhere(variables: Set, web: Identity, authority: Authority) -> None:
    """Neither in a terminal: the variable is named."""
    key = serialization.load_pem_private_key(web.key.read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"secret")
    web.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked))
    right = certificate(web, authority)
    variables(right)
    with pytest.raises(ImproperlyConfigured, match="KAFKA_SSL_KEY_PASSWORD"):
        connections.kafka_client("a:1")
    variables(right | {"KAFKA_SSL_KEY_PASSWORD": "secret"})
    assert connections.kafka_client("a:1")["ssl.key.password"] == "secret"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://a:b@c/d?sslmode=verify-full", "DATABASE_URL has sslmode=verify-full and no sslrootcert"),
        ("postgresql://a:b@c/d?sslmode=verify-full&sslrootcert=%2Fno%2Fsuch", "DATABASE_URL, sslrootcert: /no/such"),
        ("rediss://:b@c/0?ssl_ca_certs=/no/such", "DATABASE_URL, ssl_ca_certs: /no/such cannot be read"),
        ("postgresql://a:b@c/d?sslmode=verify-full&sslrootcert=system", ""),
        ("postgresql://a:b@c/d", ""),
    ],
)
def test_files_of_urls_must_be_there(url: str, said: str) -> None:
    if not said:
        connections.check_url_files("DATABASE_URL", url)
        return
    with pytest.raises(ImproperlyConfigured, match=said):
        connections.check_url_files("DATABASE_URL", url)


def test_certificate_of_the_broker_is_verified() -> None:
    """Celery alone would trust any."""
    verified = connections.with_checked_certificate("rediss://:a%23b@c:1/0?ssl_ca_certs=%2Fca.pem")
    assert verified == "rediss://:a%23b@c:1/0?ssl_cert_reqs=required&ssl_ca_certs=%2Fca.pem"
    for unchanged in ("redis://:b@c:1/0", "rediss://:b@c:1/0?ssl_cert_reqs=none"):
        assert connections.with_checked_certificate(unchanged) == unchanged
