"""One point: sales wait in the topic, the consumer applies them, and then new ones come."""

import os
import time
from typing import Final
from uuid import UUID

from bench import cpu, sales
from bench.carga.step import shares
from bench.mensajes.factors import Setting
from bench.mensajes.member import Member, applied, member, wait_until_applied
from bench.mensajes.publish import Publisher, publishing
from bench.mensajes.topic import remake_topic
from bench.openloop.orders import Kind
from bench.openloop.summary import Point
from bench.openloop.watch import Arrivals
from deploy.embedded.waiting import wait_until
from kafka_bridge.models import DeadLetter
from ventas.libro import CONTABILIDAD
from ventas.models import Venta

STEADY, STEADY_PER_SECOND = 300, 200.0
AT_ONCE_SECONDS: Final = 1.0
ROW_SECONDS: Final = 60.0
LONGEST_DRAIN: Final = 600.0


def measure(setting: Setting) -> Point:
    """Return the figures of one point, whose sales are all rows in the end.

    Times are in ms, but for those that say seconds. Raises RuntimeError if a sale has no row, or
    has two.
    """
    remake_topic(setting)
    sales.empty_ledger()
    sales.forget_offsets()
    with member(setting) as consumer, publishing(setting) as publisher:
        size, filled = publisher.fill(setting.waiting)
        figures = {"bytes per message": size, "acknowledged per second": filled} | _drain(consumer, publisher)
        figures |= _steady(setting, publisher)
        if setting.publishes:
            figures["acknowledged per second, 64 at once"] = publisher.many_at_once(AT_ONCE_SECONDS)
        wait_until_applied(publisher.acknowledged, ROW_SECONDS)
    return figures | {"sales": audit(publisher)}


def _drain(consumer: Member, publisher: Publisher) -> Point:
    """Let the consumer apply what waits."""
    consumer.go()
    used, began, before = cpu.seconds(consumer.pids), time.perf_counter(), applied()
    ended = wait_until_applied(publisher.acknowledged, LONGEST_DRAIN)
    spent = {name: seconds - used[name] for name, seconds in cpu.seconds(consumer.pids).items()}
    rows = publisher.acknowledged - before
    return {
        "rows per second": rows / (ended - began),
        "seconds until the last row": ended - began,
        "CPU per row, contabilidad, µs": 1e6 * spent[CONTABILIDAD] / rows,
        "CPU per row, PostgreSQL, µs": 1e6 * spent["postgresql"] / rows,
        "CPU per row, Kafka, µs": 1e6 * spent["kafka"] / rows,
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
