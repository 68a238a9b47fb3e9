"""Environment variables: any character, spaces in lists, files, errors that name the variable."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings as running_settings
from django.core.exceptions import ImproperlyConfigured
from environ import Env
from hypothesis import given
from hypothesis import strategies as st

from mamochi_site import environment

PRODUCTION = {
    "DEBUG": "false",
    "SECRET_KEY": "s" * 60,
    "ALLOWED_HOSTS": "gremio.cl",
    "DATABASE_URL": "postgresql://mamochi@db.example/mamochi",
    "KAFKA_BOOTSTRAP_SERVERS": "kafka.example:9092",
    "CELERY_BROKER_URL": "redis://valkey.example:6379/0",
    "EMAIL_URL": "smtp://mail.example:25",
    "SITE_URL": "https://gremio.cl",
    "DEFAULT_FROM_EMAIL": "Gremio <hola@gremio.cl>",
}
# Every kind of first character that a shell, a parser or a template could take for its own.
SECRETS = ["$abc", "${HOME}", "\\$x", "%(x)s", "#a", "'a\"", " a ", "ñ", "=a", "a,b", "{{a}}", "`a`"]


def settings_of(name: str, **changes: str) -> str:
    """Return the representation of one setting in a production process of its own."""
    program = f"from django.conf import settings; print(ascii(settings.{name}))"
    return run(program, changes).stdout.strip()


def run(program: str, changes: dict[str, str]) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    variables = {**kept, **PRODUCTION, **changes, "DJANGO_SETTINGS_MODULE": "mamochi_site.settings"}
    argv = [sys.executable, "-c", program]
    return subprocess.run(
        argv, cwd=running_settings.BASE_DIR, env=variables, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("value", SECRETS)
def test_any_character_in_a_variable(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_SECRET", value)
    assert environment.text("SOME_SECRET") == value


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1))
def test_any_character_in_a_file(value: str) -> None:
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"secret-{os.getpid()}"  # noqa: S108 - hypothesis takes no fixture
    path.write_text(value + "\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOME_SECRET_FILE", str(path))
        assert environment.text("SOME_SECRET") == value
    path.unlink()


@pytest.mark.slow
def test_dollar_reaches_the_settings() -> None:
    assert settings_of("SECRET_KEY", SECRET_KEY="$abc" + "x" * 60) == ascii("$abc" + "x" * 60)
    assert "'sasl.password': '$secret'" in settings_of("KAFKA_CLIENT_CONFIG", KAFKA_SASL_PASSWORD="$secret")


@pytest.mark.slow
def test_dollar_reaches_the_servers() -> None:
    """A password inside of a URL; reserved characters are written with a percent sign."""
    url = "postgresql://mamochi:$a%25%23%2F@db.example/mamochi"
    assert settings_of("DATABASES['default']['PASSWORD']", DATABASE_URL=url) == "'$a%#/'"
    mail_url = "smtp+tls://hola:$a%23@mail.example:587"
    assert settings_of("EMAIL_HOST_PASSWORD", EMAIL_URL=mail_url) == "'$a#'"
    assert settings_of("CELERY_BROKER_URL", CELERY_BROKER_URL="valkey://:$a@h:6379/0") == "'redis://:$a@h:6379/0'"


@pytest.mark.slow
def test_smtps_is_tls_from_the_first_byte() -> None:
    assert settings_of("EMAIL_USE_SSL", EMAIL_URL="smtps://mail.example:465") == "True"
    assert settings_of("EMAIL_USE_TLS", EMAIL_URL="smtps://mail.example:465") == "False"
    assert settings_of("EMAIL_USE_TLS", EMAIL_URL="smtp+tls://mail.example:587") == "True"


@pytest.mark.slow
def test_statements_are_prepared_on_request() -> None:
    options = "DATABASES['default']['OPTIONS'].get('options')"
    assert settings_of(options) == "None"
    assert settings_of(options, PREPARED_STATEMENTS="true") == "'-c plan_cache_mode=force_generic_plan'"
    assert settings_of("KAFKA_BRIDGE['PREPARED_STATEMENTS']") == "False"
    assert settings_of("KAFKA_BRIDGE['PREPARED_STATEMENTS']", PREPARED_STATEMENTS="true") == "True"


@pytest.mark.slow
def test_spaces_in_lists_do_no_harm() -> None:
    options = settings_of("KAFKA_CLIENT_CONFIG", KAFKA_SECURITY_PROTOCOL=" SASL_SSL", KAFKA_SASL_PASSWORD=" p ")
    assert "'security.protocol': 'SASL_SSL'" in options
    assert "'sasl.password': ' p '" in options
    assert settings_of("ALLOWED_HOSTS", ALLOWED_HOSTS=" a.cl, b.cl ,") == "['a.cl', 'b.cl']"
    assert settings_of("KAFKA_BOOTSTRAP_SERVERS", KAFKA_BOOTSTRAP_SERVERS="a:1, b:2") == "'a:1,b:2'"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEBUG", "ture"),
        ("REVISION_AUTOMATICA", "quizás"),
        ("HTTPS_ONLY", "2"),
        ("PREPARED_STATEMENTS", "sometimes"),
        ("NUM_PROXIES", "dos"),
        ("CORREOS_POR_SEGUNDO", "-1"),
        ("LIMITE_ENTRADAS", "many"),
        ("DATABASE_URL", "db.example"),
        ("DATABASE_URL", "mysql://mamochi@db.example/mamochi"),
        ("DATABASE_URL", "postgresql://mamochi@db.example"),
        ("CELERY_BROKER_URL", "valkey.example:6379"),
        ("CELERY_BROKER_URL", "redis://:a#b@valkey.example:6379/0"),
        ("CACHE_URL", "redis://:a#b@valkey.example:6379/1"),
        ("SECRET_KEY", "  "),
        ("SITE_URL", "gremio.cl"),
        ("DEFAULT_FROM_EMAIL", "Gremio"),
        ("DEFAULT_FROM_EMAIL", "Gremio, Chile <hola@gremio.cl>"),
        ("DEFAULT_FROM_EMAIL", '"Gremio <hola@gremio.cl>"'),
        ("ALLOWED_HOSTS", " , "),
        ("SECRET_KEY_FILE", "/no/such/file"),
    ],
)
def test_malformed_values_are_named(name: str, value: str) -> None:
    ended = run("from django.conf import settings; settings.DEBUG", {name: value})
    assert ended.returncode != 0
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("django.core.exceptions.ImproperlyConfigured")
    assert name in last


def test_a_topic_with_two_numbers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the last one, a deployment would have other partitions than its operator thinks."""
    monkeypatch.setenv("KAFKA_PARTITIONS", "mamochi.ventas=12,mamochi.stock=6,mamochi.ventas=24")
    with pytest.raises(ImproperlyConfigured, match=r"KAFKA_PARTITIONS names mamochi\.ventas twice, with 12 and 24: k"):
        environment.partitions("KAFKA_PARTITIONS")


def test_an_option_with_two_values_is_refused() -> None:
    """django-environ takes the first one, kombu the last; neither says so."""
    twice = "postgresql://mamochi:%3Fsecret@db.example/mamochi?sslmode=require&sslmode=disable"
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL has an option twice") as refused:
        environment.database(twice, Env.db_url_config)
    assert "secret" not in str(refused.value)
    once = twice.removesuffix("&sslmode=disable")
    assert environment.database(once, Env.db_url_config)["OPTIONS"] == {"sslmode": "require"}
    with pytest.raises(ImproperlyConfigured, match="CELERY_BROKER_URL has an option twice"):
        environment.broker("CELERY_BROKER_URL", "rediss://valkey:6379/0?ssl_cert_reqs=required&ssl_cert_reqs=none")


def test_a_value_beside_its_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from the file\n")
    monkeypatch.setenv("SOME_SECRET_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("SOME_SECRET", "")  # empty is not set
    assert environment.text("SOME_SECRET") == "from the file"
    monkeypatch.setenv("SOME_SECRET", "from the environment")
    with pytest.raises(ImproperlyConfigured, match="SOME_SECRET and SOME_SECRET_FILE are both set: unset one of them"):
        environment.text("SOME_SECRET")


@pytest.mark.parametrize(
    "url", ["https://gremio.cl", "https://gremio.cl/", "https://gremio.cl//", " https://gremio.cl "]
)
def test_site_url_has_no_final_slash(url: str) -> None:
    assert environment.site_url(url) == "https://gremio.cl"


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("HTTPS://Gremio.CL/", "https://gremio.cl"),
        ("https://gremio.cl:443", "https://gremio.cl"),
        ("http://gremio.cl:80/", "http://gremio.cl"),
        ("https://gremio.cl:8443/", "https://gremio.cl:8443"),
        ("https://ñandú.cl", "https://xn--and-6ma2c.cl"),
        ("https://192.0.2.1:8443", "https://192.0.2.1:8443"),
        ("https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443"),
        ("https://gremio.cl/mote", "https://gremio.cl"),
    ],
)
def test_origin_is_what_browsers_send(url: str, origin: str) -> None:
    assert environment.origin_of(environment.site_url(url)) == origin


@pytest.mark.parametrize(
    "url",
    [
        "gremio.cl",
        "https://",
        "https://a.cl, https://b.cl",
        "https://rosa@gremio.cl",
        "https://gremio.cl:80443",
        "https://gremio.cl:x",
        "https://gremio cl",
        "ftp://gremio.cl",
    ],
)
def test_no_address_is_refused(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="SITE_URL"):
        environment.site_url(url)


def test_hosts_are_what_requests_name() -> None:
    assert environment.hosts("Gremio.CL, .ñandú.cl, *, [::1], 192.0.2.1") == [
        *("gremio.cl", ".xn--and-6ma2c.cl", "*", "[::1]", "192.0.2.1")
    ]


@pytest.mark.parametrize(
    "value", ["https://gremio.cl", "gremio.cl:8443", "a.cl; b.cl", "a.cl b.cl", "'a.cl'", "a.cl/x"]
)
def test_what_is_no_host_is_refused(value: str) -> None:
    """Otherwise each request is answered 400, and nothing says why."""
    with pytest.raises(ImproperlyConfigured, match="ALLOWED_HOSTS"):
        environment.hosts(value)


@pytest.mark.slow
def test_missing_site_url_is_reported() -> None:
    without = {"SITE_URL": "", "DEFAULT_FROM_EMAIL": ""}
    assert settings_of("SITE_URL", **without) == "'https://gremio.cl'"
    assert "no-responder@gremio.cl" in settings_of("DEFAULT_FROM_EMAIL", **without)
    check = "from django.core.management import execute_from_command_line as run; run(['', 'check', '--deploy'])"
    ended = run(check, without)
    assert ended.returncode != 0
    assert "SITE_URL is not set" in ended.stderr
    assert "DEFAULT_FROM_EMAIL is not set" in ended.stderr
    assert run(check, {}).returncode == 0


def test_pattern_is_no_site() -> None:
    for hosts in (["*"], [".gremio.cl"]):
        with pytest.raises(ImproperlyConfigured):
            environment.site_of_host(hosts)
