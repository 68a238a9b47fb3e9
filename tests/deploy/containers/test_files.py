"""The files of deploy/ that other programs read: Dockerfiles, compose.yaml, Prometheus rules."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.containers.images import CHECKOUT, STANDINS
from kafka_bridge.consuming.handlers import consumers
from mamochi_site.local.compose.files import COMPOSE_FILE, FOLDER, Files
from mamochi_site.local.system import application_processes

DEPLOY = CHECKOUT / "deploy"
DOCKERFILES = [DEPLOY / "image" / "Dockerfile", *sorted(STANDINS.glob("*/Dockerfile"))]
SERVERS = {"kafka-1", "kafka-2", "kafka-3", "postgres", "valkey", "prometheus", "grafana"}
OPERATORS = {"prepare", "manage"}


def tool(name: str) -> str:
    """Return the program's path; skip the test where it is missing, fail in CI."""
    wheel = Path(sys.executable).with_name(name)
    found = str(wheel) if wheel.exists() else shutil.which(name)
    if found is None and os.environ.get("CI"):
        pytest.fail(f"{name} is missing, and CI must have it")
    if found is None:
        pytest.skip(f"{name} is not installed here (Debian: apt install prometheus)")
    return found


def run(*argv: str | Path, **environment: str) -> str:
    done = subprocess.run(argv, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("secrets") / "made"
    run(FOLDER / "make-secrets", "smtp://mail.example:25", folder)
    return folder


@pytest.fixture(scope="module")
def services(secrets: Path) -> dict[str, Any]:
    """Return every service of compose.yaml, with extensions and variables resolved."""
    settings = {"SITE_URL": "https://mamochi.example", "ALLOWED_HOSTS": "mamochi.example"}
    arguments = ("--file", str(COMPOSE_FILE), "--profile", "*", "config", "--format", "json")
    text = run(tool("docker-compose"), *arguments, SECRETS_FOLDER=str(secrets), **settings)
    found: dict[str, Any] = json.loads(text)["services"]
    return found


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_dockerfile_is_clean(dockerfile: Path) -> None:
    # DL3066: users have names in the official images too. DL3006: the base is an argument.
    run(tool("hadolint"), "--ignore", "DL3066", "--ignore", "DL3006", dockerfile)


def test_yaml_is_clean() -> None:
    run(tool("yamllint"), "--strict", "--config-file", CHECKOUT / ".yamllint", DEPLOY)


def test_compose_is_hardened() -> None:
    run(tool("compose-lint"), "check", "--fail-on", "low", "--config", DEPLOY / "compose" / "lint.yml", COMPOSE_FILE)


def test_every_process_has_a_service(services: dict[str, Any]) -> None:
    assert set(application_processes(8000, 1)) == services.keys() - SERVERS - OPERATORS
    for name in consumers:
        assert services[f"consumer-{name}"]["command"][-1] == name


def test_services_are_confined(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert {"cpus", "memory", "pids"} <= service["deploy"]["resources"]["limits"].keys(), name
        assert service["logging"]["options"]["max-size"], name


def test_services_tell_their_health(services: dict[str, Any]) -> None:
    untold = {name for name, service in services.items() if "test" not in service.get("healthcheck", {})}
    assert untold == OPERATORS | {"prometheus", "grafana"}


def test_processes_wait_for_prepare(services: dict[str, Any]) -> None:
    for name in services.keys() - SERVERS - OPERATORS:
        assert services[name]["depends_on"]["prepare"]["condition"] == "service_completed_successfully", name
    waits = services["prepare"]["depends_on"]
    assert {name: waits[name]["condition"] for name in waits} == dict.fromkeys(
        ["kafka-1", "kafka-2", "kafka-3", "postgres", "valkey"], "service_healthy"
    )


def test_secrets_are_files_only(services: dict[str, Any], secrets: Path) -> None:
    texts = {path.read_text().removeprefix("requirepass ") for path in secrets.iterdir()}
    for name, service in services.items():
        told = json.dumps({"environment": service.get("environment"), "command": service.get("command")})
        assert not any(text in told for text in texts), name


def test_servers_are_reachable_from_inside_only(services: dict[str, Any]) -> None:
    for name in ("kafka-1", "kafka-2", "kafka-3", "postgres", "valkey"):
        assert services[name]["networks"].keys() == {"inside"}, name
        assert "ports" not in services[name], name


def test_published_ports_are_on_loopback(services: dict[str, Any]) -> None:
    ports = {name: port for name, service in services.items() for port in service.get("ports", [])}
    assert {name: port["host_ip"] for name, port in ports.items()} == dict.fromkeys(
        ["web", "prometheus", "grafana"], "127.0.0.1"
    )


def test_run_upgrades_as_production_does(tmp_path: Path) -> None:
    """`./dev compose` replaces only images that it cannot pull: the others follow the settings."""
    files = Files(tmp_path, "mamochi-test", 8000, "mamochi:0.1.0")
    images = {
        "web": "mamochi:0.1.0",
        "prepare": "mamochi:0.1.0",
        "valkey": "valkey/valkey:9",
        "kafka-1": "apache/kafka:4.3.1",
    }
    files.write({"valkey/valkey:9": "mamochi-standin/valkey:9"}, images, "mamochi-standin/mail:1")
    files.settings.write_text(files.settings.read_text().replace("mamochi:0.1.0", "mamochi:0.2.0"))
    found = json.loads(run(tool("docker-compose"), "config", "--format", "json", **files.environment()))["services"]
    assert {name: found[name]["image"] for name in images} == {
        "web": "mamochi:0.2.0",
        "prepare": "mamochi:0.2.0",
        "valkey": "mamochi-standin/valkey:9",
        "kafka-1": "apache/kafka:4.3.1",
    }


def test_compose_file_knows_no_tests() -> None:
    text = COMPOSE_FILE.read_text().lower()
    assert not any(word in text for word in ("standin", "stand-in", "demo", "mailbox", "pytest"))


def test_secrets_are_made_once_and_private(secrets: Path) -> None:
    before = {path.name: path.read_text() for path in secrets.iterdir()}
    assert run(FOLDER / "make-secrets", "smtp://other.example:25", secrets) == ""
    assert {path.name: path.read_text() for path in secrets.iterdir()} == before
    assert secrets.stat().st_mode & 0o077 == 0
    assert all(len(text) >= 20 and "\n" not in text for text in before.values())


def test_secrets_need_a_mail_server(tmp_path: Path) -> None:
    done = subprocess.run(
        [FOLDER / "make-secrets", "mail.example", tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == (
        "make-secrets: 'mail.example' is not a mail server's URL, such as smtp+tls://user:password@host:587.\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_alerts_are_valid() -> None:
    run(tool("promtool"), "check", "rules", "--lint=all", "--lint-fatal", DEPLOY / "prometheus" / "alerts.yml")
    run(tool("promtool"), "check", "config", DEPLOY / "prometheus" / "prometheus.yml")


def test_alerts_fire_when_they_should() -> None:
    run(tool("promtool"), "test", "rules", DEPLOY / "prometheus" / "alerts_test.yml")


def test_every_alert_is_seen_firing_and_silent() -> None:
    rules = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    tests = yaml.safe_load((DEPLOY / "prometheus" / "alerts_test.yml").read_text())["tests"]
    looks = [look for test in tests for look in test["promql_expr_test"]]
    for alert in (rule["alert"] for group in rules for rule in group["rules"]):
        expected = [look["exp_samples"] for look in looks if f'alertname="{alert}"' in look["expr"]]
        assert any(expected), f"no test sees {alert} fire"
        assert not all(expected), f"no test sees {alert} silent"


def test_prometheus_scrapes_every_process(services: dict[str, Any]) -> None:
    jobs = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    scraped = {name for job in jobs for dns in job["dns_sd_configs"] for name in dns["names"]}
    assert scraped == services.keys() - SERVERS - OPERATORS
