"""`run_consumer contabilidad --helper` on a backlog: the speed of both processes together."""

import json
import subprocess
import tempfile
from datetime import datetime
from typing import Any, Final, NamedTuple

from django.db.models import Sum

from deploy.embedded.waiting import wait_until
from kafka_bridge.consuming.helper import HELPER
from kafka_bridge.models import ConsumerOffset
from mamochi_site.local.system import CHECKOUT, consumer_command
from ventas.events import VENTAS
from ventas.libro import CONTABILIDAD

DEADLINE: Final = 120.0  # seconds


class Applied(NamedTuple):
    """A batch: the process that applied it, when it was in the database, and its messages."""

    process: str
    at: datetime
    messages: int


def rows_per_second(backlog: int) -> float:
    """Apply a full topic with `backlog` sales, and return the rows per second of both processes.

    The consumer is the product's own command. The time before the helper comes counts as well, and
    the time when one of the two has no more; that of the start does not.
    """
    with tempfile.TemporaryFile("w+") as log:
        consumer = subprocess.Popen(consumer_command(CONTABILIDAD), cwd=CHECKOUT, stdout=log, stderr=log)
        try:
            wait_until(lambda: applied() >= backlog, DEADLINE, what="the backlog is applied")
        finally:
            consumer.terminate()
            consumer.wait(DEADLINE)
        log.seek(0)
        return speed_of([_batch(json.loads(line)) for line in log if '"event": "batch"' in line])


def applied() -> int:
    """Return how many sales `contabilidad` has applied."""
    rows = ConsumerOffset.objects.filter(consumer=CONTABILIDAD, topic=VENTAS.name)
    return rows.aggregate(applied=Sum("next_offset"))["applied"] or 0


def speed_of(batches: list[Applied]) -> float:
    """Return the messages per second from the first batch to the last.

    Raises RuntimeError if the helper has applied none.
    """
    if all(batch.process != HELPER for batch in batches):
        raise RuntimeError("the backlog was gone before the helper came: it must be larger")
    first, last = min(batch.at for batch in batches), max(batch.at for batch in batches)
    return sum(batch.messages for batch in batches if batch.at > first) / (last - first).total_seconds()


def _batch(line: dict[str, Any]) -> Applied:
    return Applied(line["lane"], datetime.fromisoformat(line["timestamp"]), line["messages"])
