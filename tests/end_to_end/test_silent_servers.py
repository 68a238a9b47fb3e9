"""Servers that stop answering without closing their connections: work continues within a minute."""

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from deploy.embedded import Stack
from deploy.embedded.ports import HOST
from deploy.embedded.waiting import wait_until
from mamochi_site.local.demo.people import gather
from mamochi_site.local.system import System, running_system
from tests.support.proxy import Proxy, proxy
from tests.support.system import Client, enrol, query

pytestmark = [pytest.mark.chaos, pytest.mark.minutes(8)]

SECONDS = 60.0
FROZEN_SECONDS = 30.0  # longer than each client's time limits
REQUEST_SECONDS = 10.0  # the longest that a request may take
KAFKA = "KAFKA_BOOTSTRAP_SERVERS"
MAIL = "EMAIL_URL"


@pytest.fixture(scope="module")
def behind_proxies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, dict[str, Proxy]]]:
    folder: Path = tmp_path_factory.mktemp("silent")
    stack = Stack(folder, durable=False, environ={})
    urls = {name: stack.environment()[name] for name in ("DATABASE_URL", "CELERY_BROKER_URL", MAIL)}
    ports = {name: urlsplit(url).port or 0 for name, url in urls.items()} | {KAFKA: stack.kafka.brokers[0].port}
    with ExitStack() as started:
        proxies = {name: started.enter_context(proxy(port)) for name, port in ports.items()}
        moved = {name: url.replace(f":{ports[name]}", f":{proxies[name].port}", 1) for name, url in urls.items()}
        moved[KAFKA] = _advertise(stack, proxies[KAFKA])
        settings = {**moved, "REVISION_AUTOMATICA": "true"}
        with running_system(stack, port=18_700, settings=settings) as system:
            yield system, proxies


def _advertise(stack: Stack, through: Proxy) -> str:
    """Let the broker send its clients to the proxy, and return the proxy's address."""
    broker, address = stack.kafka.brokers[0], f"{HOST}:{through.port}"
    lines = stack.kafka.config(broker).replace(f"advertised.listeners=PLAINTEXT://{broker.address}", "", 1)
    config = f"{lines}advertised.listeners=PLAINTEXT://{address}\n"
    stack.kafka.config = lambda broker: config  # type: ignore[method-assign]  # this stack only
    return address


@pytest.mark.parametrize("silent", ["DATABASE_URL", "CELERY_BROKER_URL", KAFKA])
def test_all_work_continues_within_a_minute(behind_proxies: tuple[System, dict[str, Proxy]], silent: str) -> None:
    """Enrolment, credentials, a sale and its consumers, the relay, and Beat."""
    system, proxies = behind_proxies
    port = urlsplit(system.url).port or 0
    client = enrol(system, port, paid=True)
    assert client.sell().status == 202
    began, last = time.monotonic(), beats(system)
    proxies[silent].silence()
    wait_until(lambda: sold(client), SECONDS)
    wait_until(lambda: outbox_is_empty(system), left(began))
    wait_until(lambda: beats(system) > last, left(began) + 60)  # Beat runs each task once a minute
    enrol(system, port, paid=False)
    print(f"{silent}: {time.monotonic() - began:.0f} s")


def is_after(moment: float) -> bool:
    return time.monotonic() > moment


def test_frozen_kafka_costs_no_sale(behind_proxies: tuple[System, dict[str, Proxy]]) -> None:
    """Meanwhile sales go to the outbox, each within the limit; then all goes on within a minute."""
    system, proxies = behind_proxies
    client = enrol(system, urlsplit(system.url).port or 0, paid=True)
    proxies[KAFKA].hold()
    try:
        end = time.monotonic() + FROZEN_SECONDS
        while time.monotonic() < end:
            began = time.monotonic()
            assert client.sell().status == 202
            assert time.monotonic() - began < REQUEST_SECONDS
            wait_until(partial(is_after, began + 1), SECONDS)  # one sale per second, as a phone sends them
        assert not outbox_is_empty(system)
    finally:
        proxies[KAFKA].release()
    began = time.monotonic()
    wait_until(lambda: outbox_is_empty(system), SECONDS)
    wait_until(lambda: all(client.has(sale) for sale in client.sent), left(began))
    print(f"frozen Kafka: {time.monotonic() - began:.0f} s")


@pytest.mark.parametrize("after", [b"", b"220 ", b"354 "], ids=["accepts", "greets", "takes DATA"])
def test_mail_arrives_within_a_minute(behind_proxies: tuple[System, dict[str, Proxy]], after: bytes) -> None:
    """For three attempts, the server says nothing (more): at all, after its greeting, or DATA."""
    system, proxies = behind_proxies
    port = urlsplit(system.url).port or 0
    if after:
        proxies[MAIL].mute_after = after
    else:
        proxies[MAIL].hold()
    try:
        form = gather(1, 1, random.Random())[0].formulario()
        assert Client(port).call("POST", "inscripciones/", form).status == 202
        wait_until(lambda: attempts(system) >= 3, 3 * SECONDS)
    finally:
        proxies[MAIL].release()
    began = time.monotonic()
    system.mailbox.wait_for(to=str(form["email"]), subject="Tus credenciales de MAMOCHI", timeout=SECONDS)
    print(f"{MAIL} {after!r}: {time.monotonic() - began:.0f} s")


def left(began: float) -> float:
    return max(1.0, SECONDS - (time.monotonic() - began))


def sold(client: Client) -> bool:
    """Return whether a new sale, or an earlier one, has gone the whole way."""
    if not client.sent or client.has(client.sent[-1]):
        return client.sell().status == 202 and bool(wait_until(lambda: client.has(client.sent[-1]), SECONDS))
    return False


def outbox_is_empty(system: System) -> bool:
    return not query(system, "SELECT 1 FROM kafka_bridge_outboxmessage")


def attempts(system: System) -> int:
    """Return how often the newest unsent e-mail was tried."""
    sql = "SELECT intentos FROM inscripciones_envio WHERE estado <> 'enviado' ORDER BY creado_en DESC LIMIT 1"
    return max((int(intentos) for (intentos,) in query(system, sql)), default=0)


def beats(system: System) -> int:
    [(total,)] = query(system, "SELECT coalesce(sum(total_run_count), 0) FROM django_celery_beat_periodictask")
    return int(total)
