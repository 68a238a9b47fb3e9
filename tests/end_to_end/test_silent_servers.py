"""Servers that stop answering without closing their connections: work continues within a minute."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from deploy.embedded import Stack
from deploy.embedded.waiting import wait_until
from mamochi_site.local.system import System, running_system
from tests.support.proxy import Proxy, proxy
from tests.support.system import Client, enrol, query

pytestmark = pytest.mark.chaos

SECONDS = 60.0


@pytest.fixture(scope="module")
def behind_proxies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, dict[str, Proxy]]]:
    folder: Path = tmp_path_factory.mktemp("silent")
    stack = Stack(folder, durable=False, environ={})
    urls = {name: stack.environment()[name] for name in ("DATABASE_URL", "CELERY_BROKER_URL", "EMAIL_URL")}
    ports = {name: urlsplit(url).port or 0 for name, url in urls.items()}
    with ExitStack() as started:
        proxies = {name: started.enter_context(proxy(port)) for name, port in ports.items()}
        moved = {name: urls[name].replace(f":{ports[name]}", f":{one.port}", 1) for name, one in proxies.items()}
        settings = {**moved, "REVISION_AUTOMATICA": "true"}
        with running_system(stack, port=18_700, settings=settings) as system:
            yield system, proxies


@pytest.mark.parametrize("silent", ["DATABASE_URL", "CELERY_BROKER_URL"])
def test_all_work_continues_within_a_minute(behind_proxies: tuple[System, dict[str, Proxy]], silent: str) -> None:
    """Enrolment, credentials, a sale and its consumers, the relay, and Beat."""
    system, proxies = behind_proxies
    port = urlsplit(system.url).port or 0
    client = enrol(system, port, paid=True)
    assert client.sell().status == 202
    began, last = time.monotonic(), beats(system)
    proxies[silent].silence()
    wait_until(lambda: sold(client), SECONDS)
    wait_until(lambda: not query(system, "SELECT 1 FROM kafka_bridge_outboxmessage"), left(began))
    wait_until(lambda: beats(system) > last, left(began) + 60)  # Beat runs each task once a minute
    enrol(system, port, paid=False)
    print(f"{silent}: {time.monotonic() - began:.0f} s")


def left(began: float) -> float:
    return max(1.0, SECONDS - (time.monotonic() - began))


def sold(client: Client) -> bool:
    """Return whether a new sale, or an earlier one, has gone the whole way."""
    if not client.sent or client.has(client.sent[-1]):
        return client.sell().status == 202 and bool(wait_until(lambda: client.has(client.sent[-1]), SECONDS))
    return False


def beats(system: System) -> int:
    [(total,)] = query(system, "SELECT coalesce(sum(total_run_count), 0) FROM django_celery_beat_periodictask")
    return int(total)
