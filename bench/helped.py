"""`run_consumer contabilidad --helper` on a backlog: its speed while both processes work."""

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
    """Apply a full topic with `backlog` sales; return the rows per second of both processes.

    The consumer is the product's own command. The time before the helper has its partitions does
    not count, nor does the time when one of the two has no more.
    """
    with tempfile.TemporaryFile("w+") as log:
        consumer = subprocess.Popen(consumer_command(CONTABILIDAD), cwd=CHECKOUT, stdout=log, stderr=log)
        try:
            wait_until(
                lambda: applied() >= backlog or consumer.poll() is not None, DEADLINE, what="the backlog is applied"
            )
        finally:
            consumer.terminate()
            consumer.wait(DEADLINE)
        log.seek(0)
        batches = [_batch(json.loads(line)) for line in log if '"event": "batch"' in line]
    return rate_of_both(batches)


def applied() -> int:
    """Return how many sales `contabilidad` has applied."""
    rows = ConsumerOffset.objects.filter(consumer=CONTABILIDAD, topic=VENTAS.name)
    return rows.aggregate(applied=Sum("next_offset"))["applied"] or 0


def rate_of_both(batches: list[Applied]) -> float:
    """Return the messages per second from the helper's first batch until one process has its last.

    Raises RuntimeError if the helper has applied none, or one only.
    """
    times = {name: [batch.at for batch in batches if batch.process == name] for name in ("main", HELPER)}
    if len(times[HELPER]) < 2:
        raise RuntimeError("the backlog was gone before the helper had its partitions")
    begin, end = times[HELPER][0], min(max(each) for each in times.values())
    messages = sum(batch.messages for batch in batches if begin < batch.at <= end)
    return messages / (end - begin).total_seconds()


def _batch(line: dict[str, Any]) -> Applied:
    return Applied(line["lane"], datetime.fromisoformat(line["timestamp"]), line["messages"])
