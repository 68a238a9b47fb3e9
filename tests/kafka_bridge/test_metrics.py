"""What Prometheus reads of each process, the health of a loop, and the page that explains every metric and alert."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka.admin import AdminClient
from django.conf import settings
from django.core.management import call_command
from django.db import InterfaceError, OperationalError, connection
from django.test import Client, override_settings
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from deploy.embedded.ports import free_port
from deploy.embedded.waiting import wait_until
from kafka_bridge.brokers import client as broker_client
from kafka_bridge.consuming import observer
from kafka_bridge.models import DeadLetter
from kafka_bridge.monitoring import metrics_page, overview
from kafka_bridge.publishing import outbox
from kafka_bridge.publishing.producer import publish
from kafka_bridge.telemetry import metrics, probe
from kafka_bridge.telemetry import pulse as telemetry_pulse
from kafka_bridge.telemetry.pulse import Pulse
from tests.support.sandbox import SECONDS, Sandbox
from ventas.events import VentaAnulada

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: str) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:  # noqa: S310 - loopback
            return int(answer.status), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture
def port() -> Iterator[int]:
    server: ThreadingHTTPServer = probe.serve(("127.0.0.1", 0))
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_a_consumer_counts_what_it_applied_and_how_far_it_is_behind(sandbox: Sandbox, port: int) -> None:
    sandbox.poison = {2}
    sandbox.publish(1, 2, 3, key="same")
    name, labels = sandbox.consumer.name, {"consumer": sandbox.consumer.name, "lane": "main"}
    runner = sandbox.runner()
    with sandbox.running(runner):
        wait_until(lambda: counted("mamochi_consumer_messages_total", **labels) == 3, SECONDS)
        wait_until(lambda: telemetry_pulse.pulses[name].working, SECONDS)
        wait_until(lambda: set(lags(port, name).values()) == {0}, SECONDS)  # the next round has seen it
        assert len(lags(port, name)) == sandbox.topic.partitions
        assert get(f"http://127.0.0.1:{port}/health/ready")[0] == 200
    found = samples(get(f"http://127.0.0.1:{port}/metrics")[1])
    assert found["mamochi_consumer_dead_letters_total", (("consumer", name), ("reason", "handler"))] == 1
    assert found["mamochi_consumer_batch_seconds_count", (("consumer", name), ("lane", "main"))] >= 1


def lags(port: int, consumer: str) -> dict[str, float]:
    """By partition, of one consumer."""
    found = samples(get(f"http://127.0.0.1:{port}/metrics")[1])
    return {dict(labels)["partition"]: value for (name, labels), value in found.items()
             if name == "mamochi_consumer_lag_messages" and dict(labels)["consumer"] == consumer}  # fmt: skip


def test_a_loop_that_hangs_is_not_live_and_one_that_waits_is_not_ready(port: int) -> None:
    pulse = Pulse("test-loop")
    try:
        pulse.beat(working=False)
        assert get(f"http://127.0.0.1:{port}/health/live")[0] == 200
        assert get(f"http://127.0.0.1:{port}/health/ready")[0] == 503
        pulse.beat(working=True)
        assert get(f"http://127.0.0.1:{port}/health/ready")[0] == 200
        pulse.at -= probe.HUNG_SECONDS + 1
        status, body = get(f"http://127.0.0.1:{port}/health/live")
        assert (status, list(json.loads(body)["segundos_sin_avanzar"])) == (503, ["test-loop"])
    finally:
        pulse.end()


def test_the_pulse_of_a_runner_stops_with_a_handler_that_hangs(sandbox: Sandbox) -> None:
    sandbox.slow = {1}  # keeps its transaction for a second
    sandbox.publish(1)
    runner = sandbox.runner()
    with sandbox.running(runner):
        wait_until(lambda: runner.observer.pulse.age > 0.8, SECONDS)
        wait_until(lambda: sandbox.rows() == [1] and runner.observer.pulse.age < 0.7, SECONDS)


def test_the_web_tells_what_is_there_now(client: Client, sandbox: Sandbox) -> None:
    outbox.add(sandbox.happened(1))
    DeadLetter.objects.create(
        consumer="contabilidad", topic="t", partition=0, offset=1, topic_uuid="u", headers=[], message_at="2026-11-23T12:00Z",
        reason="handler", error="", attempts=1,
    )  # fmt: skip
    wait_until(lambda: samples(client.get("/metrics").text)["mamochi_outbox_messages", ()] == 1, SECONDS)
    found = samples(client.get("/metrics").text)
    assert found["mamochi_kafka_up", ()] == 1
    assert found["mamochi_open_dead_letters", (("consumer", "contabilidad"),)] == 1
    assert found["mamochi_group_members", (("group", "aprobacion.paid"),)] == 0


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/metrics"])
def test_probes_may_come_by_any_name(client: Client, db: None, kafka: str, path: str) -> None:
    """A pod's address, or a service's name as in deploy/prometheus: all else is refused to strangers' names."""
    with override_settings(ALLOWED_HOSTS=["mamochi.cl"], SECURE_SSL_REDIRECT=True):
        assert client.get(path, headers={"host": "web:8000"}).status_code == 200
        assert client.get("/api/v1/productos/", headers={"host": "web:8000"}).status_code == 400


def test_without_kafka_the_web_is_ready_at_once(client: Client, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The outbox accepts; and Kubernetes gives a probe one second."""
    lonely = AdminClient({"bootstrap.servers": f"127.0.0.1:{free_port()}"}, logger=broker_client.client_logger)
    monkeypatch.setattr(broker_client, "admin", lambda: lonely)
    began = time.monotonic()
    answer = client.get("/health/ready")
    assert time.monotonic() - began < 0.6
    assert (answer.status_code, answer.json()["kafka"]) == (200, False)


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_without_the_database_the_web_is_not_ready_and_says_so_to_prometheus(
    client: Client, monkeypatch: pytest.MonkeyPatch, kafka: str, error: type[Exception]
) -> None:
    def refuse(*_: Any) -> None:
        raise error("gone")

    monkeypatch.setattr(connection, "cursor", refuse)
    monkeypatch.setattr(overview, "recent", refuse)
    assert client.get("/health/ready").status_code == 503
    assert client.get("/health/live").status_code == 200
    assert samples(client.get("/metrics").text)["mamochi_database_up", ()] == 0


def test_all_processes_of_the_web_are_counted_together(tmp_path: Path) -> None:
    """As gunicorn's workers: two processes count, a third one is asked."""
    environment = {
        **os.environ,
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "mamochi_site.settings",
    }
    count = "from kafka_bridge import metrics; metrics.PUBLISHED.labels('kafka').inc(2)"
    ask = "from kafka_bridge import scrape; from prometheus_client import generate_latest; "
    ask += "print(generate_latest(scrape.own_registry()).decode())"
    setup = "import django; django.setup(); "
    for program in (count, count):
        subprocess.run([sys.executable, "-c", setup + program], env=environment, check=True)
    told = subprocess.run(
        [sys.executable, "-c", setup + ask], env=environment, check=True, capture_output=True, text=True
    )
    assert samples(told.stdout)["mamochi_published_total", (("way", "kafka"),)] == 4


@pytest.mark.parametrize("declared", metrics.DECLARED, ids=lambda declared: declared.name)
def test_each_metric_is_explained_and_bounded(declared: metrics.Declared) -> None:
    assert len(declared.explanation) > 20
    assert set(declared.labels) <= {
        "consumer",
        "lane",
        "topic",
        "partition",
        "group",
        "reason",
        "task",
        "state",
        "way",
        "process",
        "work",
    }


def test_a_real_consumer_serves_its_health_and_ends(sandbox: Sandbox, tmp_path: Path) -> None:
    port = free_port()
    environment = {**os.environ, "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    argv = [sys.executable, "manage.py", "run_consumer", "contabilidad", "--metrics-port", f"127.0.0.1:{port}"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(argv, cwd=settings.BASE_DIR, env=environment, stdout=log, stderr=log)
    try:
        wait_until(lambda: answers(port, "live") == 200, SECONDS)
        wait_until(lambda: "contabilidad" in get(f"http://127.0.0.1:{port}/health/ready")[1], SECONDS)
        assert answers(port, "ready") == 503  # no database: it waits, and is not to be restarted
        assert answers(port, "live") == 200
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0, (tmp_path / "log").read_text()


def answers(port: int, what: str) -> int:
    try:
        return get(f"http://127.0.0.1:{port}/health/{what}")[0]
    except OSError:
        return 0


DASHBOARD = settings.BASE_DIR / "deploy/grafana/mamochi.json"
NAME = re.compile(r"\b(mamochi_\w+|django_\w+)")


def known_names() -> set[str]:
    suffixes = ("_bucket", "_sum", "_count")
    histograms = {f"{one.name}{suffix}" for one in metrics.DECLARED if one.kind == "histogram" for suffix in suffixes}
    ours = {one.name for one in metrics.DECLARED} | histograms
    return ours | {"django_http_responses_total_by_status_total"}


def test_the_page_of_metrics_is_up_to_date() -> None:
    call_command("metrics_page", check=True)
    page = (settings.BASE_DIR / metrics_page.PAGE).read_text()
    for declared in metrics.DECLARED:
        assert f"`{declared.name}`" in page
    for rule in metrics_page.alerts(settings.BASE_DIR):
        assert f"### {rule['alert']} " in page


def test_all_that_prometheus_would_read_of_ours_is_on_the_page() -> None:
    """Also what somebody makes elsewhere, without declaring it."""
    exposed = {family.name for family in REGISTRY.collect() if family.name.startswith("mamochi_")}
    assert exposed <= {declared.name.removesuffix("_total") for declared in metrics.DECLARED}


OURS = {one.name: {*one.labels} for one in metrics.DECLARED} | {
    f"{one.name}{suffix}": {*one.labels, *(["le"] if suffix == "_bucket" else [])}
    for one in metrics.DECLARED if one.kind == "histogram" for suffix in ("_bucket", "_sum", "_count")
} | {"django_http_responses_total_by_status_total": {"status"}, "up": {"job", "instance"}}  # fmt: skip
SELECTOR = re.compile(r"\b([a-z]\w*)(?:\{([^}]*)\})?(\[\w+\])?")
NO_METRICS = {"and", "or", "unless", "by", "without", "on", "ignoring"}


def selectors(expression: str) -> list[tuple[str, set[str], bool]]:
    """Each metric that an expression names, the labels it is chosen by, and whether over a time."""
    bare = re.sub(r"\b(by|without|on|ignoring) \([^)]*\)", "", expression)
    bare = re.sub(r"\b\w+\s*\(", "(", bare)  # functions
    found = [match.groups(default="") for match in SELECTOR.finditer(bare) if match[1] not in NO_METRICS]
    return [(name, set(re.findall(r"(\w+)\s*[=!]", chosen)), bool(over)) for name, chosen, over in found]


@pytest.mark.parametrize("rule", metrics_page.alerts(settings.BASE_DIR), ids=lambda rule: rule["alert"])
def test_each_alert_asks_for_what_there_is_by_labels_that_it_has(rule: dict[str, Any]) -> None:
    expression, used = rule["expr"], selectors(rule["expr"])
    assert used
    for name, chosen, _ in used:
        assert name in OURS, f"{name} is no metric"
        assert chosen <= OURS[name] | {"job"}
    grouped = {label.strip() for by in re.findall(r"by \(([^)]*)\)", expression) for label in by.split(",")}
    assert grouped <= set().union(*(OURS[name] for name, *_ in used))
    assert not grouped or all(grouped & OURS[name] for name, *_ in used), "its sides never meet"
    for counter in re.findall(r"(?:rate|increase|delta)\((\w+)", expression):
        assert re.search(rf"{counter}(\{{[^}}]*\}})?\[\d+m\]", expression)
        assert counter.endswith(("_total", "_bucket")) or f"delta({counter}" in expression
    assert expression.count("(") == expression.count(")")
    left = grouped or (OURS[used[0][0]] if "(" not in expression or "time()" in expression else set())
    assert set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"]))) <= left


@pytest.mark.parametrize("rule", metrics_page.alerts(settings.BASE_DIR), ids=lambda rule: rule["alert"])
def test_each_alert_says_what_to_do_and_when(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert len(rule["annotations"]["description"]) > 30
    assert re.fullmatch(r"\d+m", rule.get("for", "1m"))


def test_lag_is_added_up_once_however_many_webs_tell_it() -> None:
    [rule] = [one for one in metrics_page.alerts(settings.BASE_DIR) if one["alert"] == "ConsumidorAtrasado"]
    assert rule["expr"].count("sum by (consumer) (max by (consumer, topic, partition) (") == 2


@pytest.mark.parametrize("lost", ["SitioCaido", "ProcesoCaido", "BeatDetenido", "WorkerDetenido", "SemanaSinCerrar",
                                  "CorreosAtrasados", "CorreosQueFallan", "BaseDeDatosNoResponde"])  # fmt: skip
def test_what_stops_without_a_word_has_an_alert(lost: str) -> None:
    assert lost in {rule["alert"] for rule in metrics_page.alerts(settings.BASE_DIR)}


def test_counters_are_there_at_zero_before_anything_happens() -> None:
    """`increase()` takes a counter's first value for its beginning."""
    lane = observer.LaneObserver("never-run", "")
    try:
        labels = {"consumer": "never-run", "lane": "main"}
        assert REGISTRY.get_sample_value("mamochi_consumer_outages_total", labels) == 0
        for reason in DeadLetter.Reason.values:
            labels = {"consumer": "never-run", "reason": reason}
            assert REGISTRY.get_sample_value("mamochi_consumer_dead_letters_total", labels) == 0
        assert REGISTRY.get_sample_value("mamochi_published_total", {"way": "outbox"}) is not None
    finally:
        lane.pulse.end()


HANGS = """
import sys, threading
import django
django.setup()
from django.core.management import call_command
from kafka_bridge import handlers, probe
probe.HUNG_SECONDS = 2.0
consumer = handlers.consumers["contabilidad"]
for event in consumer.handlers:
    consumer.handlers[event] = lambda events: threading.Event().wait()
call_command("run_consumer", "contabilidad", metrics_port=probe.address(sys.argv[1]))
"""


def test_a_real_consumer_whose_handler_hangs_says_that_it_must_be_restarted(
    transactional_db: None, kafka: str, tmp_path: Path
) -> None:
    """Its patience is 2 s here; nobody but it knows, for its process and its heartbeats go on."""
    call_command("create_topics", verbosity=0)
    name, port = connection.settings_dict["NAME"], free_port()
    url = re.sub(r"/[^/]*$", f"/{name}", os.environ["DATABASE_URL"])
    environment = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "mamochi_site.settings"}
    argv = [sys.executable, "-c", HANGS, f"127.0.0.1:{port}"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(argv, cwd=settings.BASE_DIR, env=environment, stdout=log, stderr=log)
    try:
        wait_until(lambda: answers(port, "ready") == 200, SECONDS)
        maestro = uuid4()
        publish(VentaAnulada.now(id=uuid4(), venta_id=uuid4(), maestro_id=maestro, motivo=""))
        wait_until(lambda: answers(port, "live") == 503, SECONDS)
        assert answers(port, "ready") == 503
        assert "contabilidad" in get(f"http://127.0.0.1:{port}/health/live")[1]
        assert process.poll() is None
    finally:
        process.kill()
        process.wait(SECONDS)


def test_the_dashboard_shows_what_there_is() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    used = {name for panel in panels for target in panel["targets"] for name in NAME.findall(target["expr"])}
    assert used <= known_names()
    shown = {one.name for one in metrics.DECLARED if any(name.startswith(one.name) for name in used)}
    left_out = {"mamochi_consumer_lag_messages", "mamochi_last_step_timestamp_seconds", "mamochi_outbox_oldest_seconds"}
    assert {one.name for one in metrics.DECLARED} - shown == left_out
