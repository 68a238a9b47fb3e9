"""One point: sales wait in the topic, the consumer applies them, and then new ones come."""

import os
import time
from collections.abc import Collection
from statistics import median
from typing import Final
from uuid import UUID

from bench import cpu, sales
from bench.carga.step import shares
from bench.mensajes.brokers import Brokers, remake_topic
from bench.mensajes.factors import Setting
from bench.mensajes.members import Members, applied, held_back, members, wait_until_applied
from bench.mensajes.memory import bytes_from_disk, limited_memory
from bench.mensajes.publish import Publisher, publishing
from bench.openloop.orders import Kind
from bench.openloop.summary import Point
from bench.openloop.watch import Arrivals
from deploy.embedded.waiting import wait_until
from kafka_bridge.models import DeadLetter
from ventas.models import Venta

STEADY, STEADY_PER_SECOND = 300, 200.0
NEWCOMERS, NEWCOMERS_PER_SECOND = 60, 1_000.0
AT_ONCE_SECONDS: Final = 1.0
ROW_SECONDS: Final = 60.0
LONGEST_DRAIN: Final = 1_200.0


def measure(setting: Setting, brokers: Brokers) -> Point:
    """Return the figures of one point, whose sales are all rows in the end.

    Times are in ms, but for those that say seconds. Raises RuntimeError if a sale has no row, or
    has two.
    """
    remake_topic(setting)
    sales.empty_ledger()
    sales.forget_offsets()
    with (
        limited_memory(brokers.pids.values(), setting.memory_mb),
        members(setting) as consumers,
        publishing(setting) as publisher,
    ):
        size, filled = _fill(setting, consumers, publisher)
        figures = {"bytes per message": size, "acknowledged per second": filled}
        figures |= _drain(setting, brokers, consumers, publisher)
        figures |= _steady(setting, publisher)
        if setting.publishes:
            figures["acknowledged per second, 64 at once"] = publisher.many_at_once(AT_ONCE_SECONDS)
        wait_until_applied(publisher.acknowledged, ROW_SECONDS)
    return figures | {"sales": audit(publisher)}


def _fill(setting: Setting, consumers: Members, publisher: Publisher) -> tuple[int, float]:
    """Let the sales wait, and the consumer begin; return what `Publisher.fill` does."""
    if setting.joined:
        consumers.start()
        consumers.wait_for_partitions()
        with held_back():
            return publisher.fill(setting.waiting)
    filled = publisher.fill(setting.waiting)
    consumers.start()
    consumers.wait_for_rows()
    return filled


def _drain(setting: Setting, brokers: Brokers, consumers: Members, publisher: Publisher) -> Point:
    """Let the consumer apply what waits, and what comes meanwhile."""
    parts = {
        "contabilidad": consumers.pids.values(),
        "PostgreSQL": [cpu.database_server().pid],
        "Kafka": brokers.pids.values(),
    }
    used, read = _cpu_seconds(parts), bytes_from_disk(brokers.pids.values())
    began, before = time.perf_counter(), applied()
    newcomers = _Newcomers(setting, publisher) if setting.newcomers else None
    ended = wait_until_applied(publisher.acknowledged, LONGEST_DRAIN)
    rows = publisher.acknowledged - before
    spent = {name: seconds - used[name] for name, seconds in _cpu_seconds(parts).items()}
    return {
        "rows per second": rows / (ended - began),
        "seconds until the last row": ended - began,
        **{f"CPU per row, {name}, µs": 1e6 * seconds / rows for name, seconds in spent.items()},
        "MB of the largest consumer": consumers.resident_megabytes(),
        "MB that the brokers read from the disk": (bytes_from_disk(brokers.pids.values()) - read) / 1e6,
        **(newcomers.figures(ended) if newcomers else {}),
    }


def _cpu_seconds(parts: dict[str, Collection[int]]) -> dict[str, float]:
    return {name: sum(cpu.tree_seconds(pid) for pid in pids) for name, pids in parts.items()}


class _Newcomers:
    """Sales that are published, in every partition, while others wait before them."""

    def __init__(self, setting: Setting, publisher: Publisher) -> None:
        accepted: dict[tuple[UUID, UUID], float] = {}
        self.answers = publisher.one_by_one(NEWCOMERS, NEWCOMERS_PER_SECOND, range(setting.partitions), accepted)
        self.acknowledged = max(accepted.values())

    def figures(self, ended: float) -> Point:
        """Return the times of the newcomers, the last of which is a row when all else is."""
        return {
            "publish while they wait, p50": median(self.answers),
            "row behind those that wait": (ended - self.acknowledged) * 1_000,
        }


def _steady(setting: Setting, publisher: Publisher) -> Point:
    """Publish sales one by one, of which each is soon a row."""
    watched = _Watched()
    answers = publisher.one_by_one(STEADY, STEADY_PER_SECOND, range(setting.partitions), watched.accepted)
    return shares("publish", answers) | shares("row", watched.waits(ROW_SECONDS))


class _Watched:
    """Waits for the rows of the sales that are in `accepted`, which are added meanwhile."""

    def __init__(self) -> None:
        self.accepted: dict[tuple[UUID, UUID], float] = {}
        self._arrivals = Arrivals(os.environ["DATABASE_URL"], self.accepted, Kind.SALE)
        self._arrivals.start()

    def waits(self, seconds: float) -> list[float]:
        """Return the ms from each acknowledgement to the row. Raises TimeoutError."""
        wait_until(lambda: self._arrivals.all_arrived, seconds, what="every new sale is a row", interval=0.01)
        self._arrivals.stop()
        return self._arrivals.waits


def audit(publisher: Publisher) -> int:
    """Return how many sales were produced, acknowledged and are rows.

    Raises RuntimeError if these are not the same, or if there is a dead letter.
    """
    rows, letters = Venta.objects.count(), DeadLetter.objects.count()
    if not publisher.sent == publisher.acknowledged == rows or letters:
        raise RuntimeError(
            f"{publisher.sent:,} sales sent, {publisher.acknowledged:,} acknowledged, {rows:,} rows; "
            f"{letters} dead letters"
        )
    return rows
