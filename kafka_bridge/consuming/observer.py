"""What a running loop tells of itself: a log line and metrics for each batch, and a pulse that shows a hang.

`Lane` is the runner's; `pulses` is what a consumer's or relay's own /health reads (probe.py).
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import islice
from typing import Any, Final
from uuid import UUID

from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import KafkaException, TopicPartition

from kafka_bridge.consuming.batch import Batch
from kafka_bridge.consuming.record import Record
from kafka_bridge.events.topics import Partition
from kafka_bridge.models import DeadLetter
from kafka_bridge.telemetry import logs, metrics, traceparent
from kafka_bridge.telemetry.pulse import Pulse

logger = logs.logger("kafka_bridge.consuming.batch")

TRACE_ENDS: Final = 35  # where a traceparent's trace id does


class Lane:
    """One lane of a consumer, as it is watched. `lane` is empty for the main one."""

    def __init__(self, consumer: str, lane: str) -> None:
        self.consumer, self.lane = consumer, lane or "main"
        self.pulse = Pulse(f"{consumer}.{lane}" if lane else consumer)
        self._began = 0.0
        self._lag: set[Partition] = set()  # what the gauge shows
        self._count_from_zero()

    def _count_from_zero(self) -> None:
        """A counter that appears with its first burst shows no increase: Prometheus has to see the zero before."""
        for counter in (metrics.MESSAGES, metrics.BATCHES, metrics.FENCED, metrics.OUTAGES):
            counter.labels(self.consumer, self.lane)
        for reason in DeadLetter.Reason.values:
            metrics.DEAD_LETTERS.labels(self.consumer, reason)

    @contextmanager
    def working_on(self, records: Sequence[Record]) -> Iterator[None]:
        """Goes on with the records' trace; where they have several, a trace of the batch's own begins that is tied to them."""
        self._began = time.perf_counter()
        headers = {
            (record.trace or b"")[:TRACE_ENDS]: record.trace for record in records
        }  # each event has its own span
        traces = [traceparent.trace_id_of(header) for header in islice(headers.values(), traceparent.NAMED)]
        if len(headers) == 1:
            with traceparent.continued(traces[0]):
                yield
            return
        with traceparent.continued(""), traceparent.joining(filter(None, traces), _trace_of_key(records)):
            yield

    def committed(self, batch: Batch) -> None:
        """The batch is in the database."""
        seconds, records = time.perf_counter() - self._began, batch.records
        oldest = min(records[0].message.timestamp()[1], records[-1].message.timestamp()[1]) / 1_000
        delay = max(0.0, time.time() - oldest)
        metrics.MESSAGES.labels(self.consumer, self.lane).inc(len(records))
        metrics.BATCHES.labels(self.consumer, self.lane).inc()
        metrics.BATCH_SECONDS.labels(self.consumer, self.lane).observe(seconds)
        metrics.DELAY.labels(self.consumer, self.lane).observe(delay)
        for letter in batch.dead:
            metrics.DEAD_LETTERS.labels(self.consumer, letter.reason).inc()
        logger.info(
            "batch", **self._line(records, len(batch.dead)), ms=round(seconds * 1_000, 1), delay_s=round(delay, 3)
        )

    def _line(self, records: Sequence[Record], dead: int) -> dict[str, Any]:
        line: dict[str, Any] = {"consumer": self.consumer, "lane": self.lane, "messages": len(records)}
        line |= logs.ids_summary(_ends(records)) | {
            "events": len(records) - sum(not record.event for record in records)
        }
        return line | ({"dead_letters": dead} if dead else {})

    def fenced(self) -> None:
        metrics.FENCED.labels(self.consumer, self.lane).inc()

    def waiting(self) -> None:
        """An outage is waited out: alive, and not working."""
        metrics.OUTAGES.labels(self.consumer, self.lane).inc()
        self.pulse.beat(working=False)

    def came_round(self, kafka: KafkaConsumer, held: Mapping[Partition, int], *, positioned: bool) -> None:
        """One round of the loop. The ends are those that the last fetch brought: no question to the broker."""
        self.pulse.beat(working=positioned)
        for topic, partition in self._lag - held.keys():
            metrics.LAG.remove(self.consumer, topic, str(partition))
        self._lag = {at for at, offset in held.items() if self._show_lag(kafka, at, offset)} | (self._lag & held.keys())

    def _show_lag(self, kafka: KafkaConsumer, at: Partition, offset: int) -> bool:
        try:
            _, end = kafka.get_watermark_offsets(TopicPartition(*at), cached=True)
        except KafkaException:  # a partition that is being taken away
            return False
        if end >= 0:
            metrics.LAG.labels(self.consumer, at[0], str(at[1])).set(max(0, end - offset))
        return bool(end >= 0)


def _ends(records: Sequence[Record]) -> list[UUID]:
    """The ids of the first and the last event, without looking at those between."""
    first = next((record.event.id for record in records if record.event), None)
    last = next((record.event.id for record in reversed(records) if record.event), None)
    return [] if first is None or last is None else [first, last]


def _trace_of_key(records: Sequence[Record]) -> Callable[[str], str]:
    """Of each key's last event, worked out only where something follows from one."""

    @cache
    def by_key() -> dict[str, str]:
        return {record.event.key: traceparent.trace_id_of(record.trace) for record in records if record.event}

    return lambda key: by_key().get(key, "")
