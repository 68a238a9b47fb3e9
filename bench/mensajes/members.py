"""The processes of contabilidad, and how far they have come."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

import psutil
from confluent_kafka import ConsumerGroupState, KafkaException
from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet

from bench.mensajes.brokers import ADDRESSES
from bench.mensajes.factors import Setting
from deploy.embedded.waiting import wait_until
from kafka_bridge.brokers import client
from kafka_bridge.models import ConsumerOffset
from mamochi_site.local.system import CHECKOUT
from ventas.events import VENTAS
from ventas.libro import CONTABILIDAD

PROGRAM: Final = Path(__file__).with_name("consumer.py")  # this package needs Django, which it sets up
LAST_WORDS: Final = 1_000  # bytes of a log
JOIN_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.005  # the resolution of moments
APPLIED: Final = (
    "SELECT coalesce(sum(next_offset), 0) FROM kafka_bridge_consumeroffset WHERE consumer = %s AND topic = %s"
)


class Members:
    """Processes of the consumer, which have loaded and wait for `go`."""

    def __init__(self, setting: Setting, log: IO[bytes]) -> None:
        self.partitions = setting.partitions
        self.log = log
        environment = {"KAFKA_BOOTSTRAP_SERVERS": settings.KAFKA_CLIENT_CONFIG[ADDRESSES], "PYTHONPATH": str(CHECKOUT)}
        self.processes = [
            subprocess.Popen(
                [sys.executable, str(PROGRAM), str(setting.batch)],
                cwd=CHECKOUT,
                env=os.environ | environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
            for _ in range(setting.consumers)
        ]
        for process in self.processes:
            if process.stdout:
                process.stdout.readline()  # it has loaded, or has ended: `_check` tells

    @property
    def pids(self) -> dict[str, int]:
        return {f"{CONTABILIDAD}-{number}": process.pid for number, process in enumerate(self.processes, 1)}

    def start(self) -> None:
        """Let the processes join the group."""
        for process in self.processes:
            if process.stdin:
                with suppress(BrokenPipeError):  # the process has ended: `_check` tells why
                    process.stdin.write(b"go\n")
                    process.stdin.close()

    def wait_for_partitions(self) -> None:
        """Return once every process has some. Raises RuntimeError if one has ended."""
        wait_until(self._have_joined, JOIN_SECONDS, what="every consumer has partitions")

    def wait_for_rows(self) -> None:
        """Return once the first rows are there. Raises RuntimeError if a process has ended."""
        wait_until(self._have_applied, JOIN_SECONDS, what="the first rows", interval=POLL_SECONDS)

    def _have_joined(self) -> bool:
        self._check()
        held = _partitions_by_member()
        return (
            len(held) == len(self.processes)
            and all(held)
            and sum(held) == self.partitions == offsets().count()  # each has a row in the database, too
        )

    def _have_applied(self) -> bool:
        self._check()
        return applied() > 0

    def _check(self) -> None:
        if any(process.poll() is not None for process in self.processes):
            self.log.seek(0)
            raise RuntimeError(f"a consumer has ended: {self.log.read()[-LAST_WORDS:].decode(errors='replace')}")

    def resident_megabytes(self) -> float:
        """Return the resident memory of the largest process."""
        return max(psutil.Process(process.pid).memory_info().rss for process in self.processes) / 2**20

    def stop(self) -> None:
        """End the processes as an operator does."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(60)


@contextmanager
def members(setting: Setting) -> Iterator[Members]:
    """Load the processes; they end with the block."""
    with tempfile.TemporaryFile() as log:
        them = Members(setting, log)
        try:
            yield them
        finally:
            them.stop()


def _partitions_by_member() -> list[int]:
    """Return how many partitions of the topic each member has; empty while they change."""
    try:
        group = client.admin().describe_consumer_groups([CONTABILIDAD])[CONTABILIDAD].result()
    except KafkaException:  # no coordinator yet
        return []
    if group.state != ConsumerGroupState.STABLE:
        return []
    return [sum(at.topic == VENTAS.name for at in member.assignment.topic_partitions) for member in group.members]


@contextmanager
def held_back() -> Iterator[None]:
    """Let no process apply a message in the block: a lock on the offsets makes its batch wait.

    The block must be shorter than a consumer's transactions may last (`TRANSACTION_TIMEOUT_MS`).
    """
    with transaction.atomic():
        list(offsets().select_for_update())
        yield


def offsets() -> QuerySet[ConsumerOffset]:
    """Return the rows that hold the consumer's offsets of sales."""
    return ConsumerOffset.objects.filter(consumer=CONTABILIDAD, topic=VENTAS.name)


def applied() -> int:
    """Return how many messages the consumer has applied."""
    with connection.cursor() as cursor:
        cursor.execute(APPLIED, [CONTABILIDAD, VENTAS.name])
        return int(cursor.fetchone()[0])


def wait_until_applied(count: int, seconds: float) -> float:
    """Return the moment (perf_counter) when so many messages were applied. Raises TimeoutError."""
    wait_until(lambda: applied() >= count, seconds, what=f"{count:,} messages are applied", interval=POLL_SECONDS)
    return time.perf_counter()
