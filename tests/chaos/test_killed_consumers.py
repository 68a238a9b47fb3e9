"""Kill two consumers, or one and its helper, at random moments: every sale counts once."""

import os
import random
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import psutil
import pytest
from confluent_kafka import Producer
from django.conf import settings
from django.db import connection

from deploy.embedded.waiting import wait_until
from kafka_bridge.brokers import topic_admin, watermarks
from kafka_bridge.events.codec import encode
from kafka_bridge.events.topics import Partition
from kafka_bridge.models import ConsumerOffset, DeadLetter
from tests.support.sales import sale
from ventas.models import Venta

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.minutes(5),
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("kafka"),
]
CHECKOUT = Path(__file__).resolve().parents[2]
SALES = 200_000
KILLS = 50
SECONDS = 600.0
# contabilidad with a second effect that is not idempotent: an event applied twice leaves two rows.
COUNTING = """
import sys
import django
django.setup()
from django.core.management import call_command
from django.db import connection
from kafka_bridge.consuming.handlers import consumers
from ventas.events import VentaRegistrada

handlers = consumers["contabilidad"].handlers
register = handlers[VentaRegistrada]

def count(sales):
    register(sales)
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO effect SELECT unnest(%s::uuid[])", [[sale.maestro_id for sale in sales]])

handlers[VentaRegistrada] = count
consumers["contabilidad"].max_batch = int(sys.argv[1])
call_command("run_consumer", "contabilidad", *sys.argv[2:])
"""
BATCH = 2_000  # as in production
SMALL_BATCH = 200  # so that a backlog lasts some time
KILLS_OF_TWO = 8


@pytest.fixture
def environment() -> dict[str, str]:
    """Return the environment of a consumer process on the test database."""
    database = connection.settings_dict
    url = f"postgresql://{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
    return {**os.environ, "DATABASE_URL": url, "DEBUG": "true", "DJANGO_SETTINGS_MODULE": "mamochi_site.settings"}


@pytest.fixture
def effect() -> Iterator[None]:
    """Create a table with one row per application of a sale."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE effect (maestro_id uuid NOT NULL)")
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE effect")


@dataclass
class Member:
    """A consumer process and its log."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def has_partitions(self) -> bool:
        """Return True if it owns partitions of the sales."""
        said = re.findall(r"contabilidad: (assigned|gave back) (.*)", self.log.read_text(errors="replace"))
        return any(what == "assigned" and "mamochi.ventas[" in which for what, which in said)

    def has_helped(self) -> bool:
        """Return True if its helper has applied a batch."""
        return "lane=helper" in self.log.read_text(errors="replace")


@pytest.fixture
def consumers(
    effect: None, from_the_topics_ends: None, environment: dict[str, str], tmp_path: Path
) -> Iterator[list[Member]]:
    """Run two `contabilidad` processes; the test restarts a killed one."""
    running = [start(environment, tmp_path) for _ in range(2)]
    yield running
    for member in running:
        member.process.terminate()
    for member in running:
        member.process.wait(30)


def start(environment: dict[str, str], folder: Path, batch: int = BATCH, *options: str) -> Member:
    command, log = [sys.executable, "-c", COUNTING, str(batch), *options], folder / f"{uuid4()}.log"
    with log.open("wb") as file:
        return Member(subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=file, stderr=file), log)


def publish_sales(count: int, maestros: list[UUID], stop: threading.Event, pause: float = 1.5) -> None:
    """Publish the sales, with a pause (seconds) after each 1,000."""
    producer = Producer({**settings.KAFKA_CLIENT_CONFIG, "acks": "all", "enable.idempotence": True})
    now = datetime.now(UTC)
    for number in range(count):
        message = encode(sale(maestros[number % len(maestros)], vendida_en=now, time=now))
        producer.produce(message.topic, message.value, message.key, message.partition, headers=list(message.headers))
        if number % 1_000 == 0:
            producer.flush()
            stop.wait(pause)
    assert producer.flush(60) == 0


def helped_or_done(member: Member) -> bool:
    return member.has_helped() or applied_up_to_the_end()


def applied_up_to_the_end() -> bool:
    ends = watermarks.end_offsets(topic_admin.partitions_of("mamochi.ventas"))
    rows = ConsumerOffset.objects.filter(consumer="contabilidad", topic="mamochi.ventas")
    return {(row.topic, row.partition): row.next_offset for row in rows} == ends


def test_fifty_kills_count_each_sale_once(consumers: list[Member], environment: dict[str, str], tmp_path: Path) -> None:
    maestros = [uuid4() for _ in range(200)]
    before = watermarks.end_offsets(topic_admin.partitions_of("mamochi.ventas"))
    seed = secrets.randbelow(10**6)
    print(f"seed {seed}")
    chance, stop, exits = random.Random(seed), threading.Event(), Counter[int]()
    publisher = threading.Thread(target=publish_sales, args=[SALES, maestros, stop])  # as long as the kills
    publisher.start()
    for _ in range(KILLS):
        stop.wait(chance.uniform(0.2, 5.0))
        victim = chance.randrange(2)
        wait_until(consumers[victim].has_partitions, SECONDS)
        consumers[victim].process.send_signal(signal.SIGKILL)
        exits[consumers[victim].process.wait(10)] += 1
        consumers[victim] = start(environment, tmp_path)
    publisher.join(SECONDS)
    wait_until(applied_up_to_the_end, SECONDS, interval=1.0)
    assert exits == {-signal.SIGKILL: KILLS}
    check_that_each_counts_once(maestros, before)


@pytest.mark.usefixtures("effect", "from_the_topics_ends")
def test_kills_while_a_helper_works_count_each_sale_once(environment: dict[str, str], tmp_path: Path) -> None:
    maestros = [uuid4() for _ in range(200)]
    before = watermarks.end_offsets(topic_admin.partitions_of("mamochi.ventas"))
    publish_sales(SALES, maestros, threading.Event(), pause=0.0)
    seed = secrets.randbelow(10**6)
    print(f"seed {seed}")
    chance, killed = random.Random(seed), Counter[str]()
    member = start(environment, tmp_path, SMALL_BATCH, "--helper")
    for _ in range(KILLS_OF_TWO):
        wait_until(partial(helped_or_done, member), SECONDS)
        if applied_up_to_the_end():
            break
        # A kill must come at a random moment of the helper's work, which no condition names.
        time.sleep(chance.uniform(0.0, 0.5))
        main = psutil.Process(member.process.pid)
        [helper] = main.children()
        victim = chance.choice(["main", "helper"])
        (main if victim == "main" else helper).kill()
        killed[victim] += 1
        member.process.wait(30)
        helper.wait(30)
        member = start(environment, tmp_path, SMALL_BATCH, "--helper")
    wait_until(applied_up_to_the_end, SECONDS, interval=1.0)
    member.process.terminate()
    assert member.process.wait(30) == 0
    print(f"killed: {killed}")
    assert killed.total() >= 3
    check_that_each_counts_once(maestros, before)


def check_that_each_counts_once(maestros: list[UUID], before: dict[Partition, int]) -> None:
    """Check rows, effects and dead letters of SALES sales since the offsets `before`."""
    accepted = sum(watermarks.end_offsets(list(before)).values()) - sum(before.values())
    assert Venta.objects.filter(maestro_id__in=maestros).count() == accepted == SALES
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM effect WHERE maestro_id = ANY(%s)", [maestros])
        assert cursor.fetchone() == (SALES,)
    letters = DeadLetter.objects.filter(topic="mamochi.ventas").values_list("partition", "offset")
    assert [letter for letter in letters if letter[1] >= before["mamochi.ventas", letter[0]]] == []
