"""What a lane of a consumer reports: a log line and metrics per batch, its lag, and a pulse."""

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

LAG_SECONDS: Final = 1.0
TRACE_ENDS: Final = 35  # the position in a `traceparent` header after the trace id


class LaneObserver:
    """Logs, metrics, trace and pulse of one lane. `lane` is empty for the main lane."""

    def __init__(self, consumer: str, lane: str) -> None:
        self.consumer, self.lane = consumer, lane or "main"
        self.pulse = Pulse(f"{consumer}.{lane}" if lane else consumer)
        self._began = 0.0
        self._with_lag: set[Partition] = set()  # the partitions that the gauge shows
        self._lag_at = 0.0  # monotonic seconds of the gauge's next change
        self._start_counters()

    def _start_counters(self) -> None:
        """Show each counter at zero.

        If a counter appeared with its first count, Prometheus would not see that as an increase.
        """
        for counter in (metrics.MESSAGES, metrics.BATCHES, metrics.FENCED, metrics.OUTAGES):
            counter.labels(self.consumer, self.lane)
        for reason in DeadLetter.Reason.values:
            metrics.DEAD_LETTERS.labels(self.consumer, reason)

    def round_finished(self, kafka: KafkaConsumer, held: Mapping[Partition, int], hindrances: Sequence[str]) -> None:
        """Note one round of the loop, what hinders it, and show the lag once per LAG_SECONDS.

        The partitions' ends are those that the last fetch brought, so no broker is asked.
        """
        self.pulse.beat(working=not hindrances, hindrances=hindrances)
        if held.keys() == self._with_lag and time.monotonic() < self._lag_at:
            return
        self._lag_at = time.monotonic() + LAG_SECONDS
        for topic, partition in self._with_lag - held.keys():
            metrics.LAG.remove(self.consumer, topic, str(partition))
        shown = {at for at, offset in held.items() if self._show_lag(kafka, at, offset)}
        self._with_lag = shown | (self._with_lag & held.keys())

    def _show_lag(self, kafka: KafkaConsumer, at: Partition, offset: int) -> bool:
        """Set the gauge of one partition; return False if its end is unknown."""
        try:
            _, end = kafka.get_watermark_offsets(TopicPartition(*at), cached=True)
        except KafkaException:  # the partition is being revoked
            return False
        if end >= 0:
            metrics.LAG.labels(self.consumer, at[0], str(at[1])).set(max(0, end - offset))
        return bool(end >= 0)

    @contextmanager
    def processing(self, records: Sequence[Record]) -> Iterator[None]:
        """Continue the records' trace in the block, and measure the time until `committed`.

        If the records belong to several traces, the batch gets a new trace that is linked to
        theirs.
        """
        self._began = time.perf_counter()
        # By trace id. Events of one trace differ in their span, and one header per trace is enough.
        headers = {(record.trace or b"")[:TRACE_ENDS]: record.trace for record in records}
        traces = [traceparent.trace_id_of(header) for header in islice(headers.values(), traceparent.NAMED)]
        if len(headers) == 1:
            with traceparent.continued(traces[0]):
                yield
            return
        with traceparent.continued(""), traceparent.joining(filter(None, traces), _trace_of_key(records)):
            yield

    def committed(self, batch: Batch) -> None:
        """Count and log a batch that is in the database; one without records moved offsets only."""
        if not batch.records:
            return
        seconds, records = time.perf_counter() - self._began, batch.records
        delay = _delay(records)
        metrics.MESSAGES.labels(self.consumer, self.lane).inc(len(records))
        metrics.BATCHES.labels(self.consumer, self.lane).inc()
        metrics.BATCH_SECONDS.labels(self.consumer, self.lane).observe(seconds)
        if delay is not None:
            metrics.DELAY.labels(self.consumer, self.lane).observe(delay)
        for letter in batch.dead:
            metrics.DEAD_LETTERS.labels(self.consumer, letter.reason).inc()
        waited = {} if delay is None else {"delay_s": round(delay, 3)}
        logger.info("batch", **self._line(records, len(batch.dead)), ms=round(seconds * 1_000, 1), **waited)

    def _line(self, records: Sequence[Record], dead: int) -> dict[str, Any]:
        line: dict[str, Any] = {"consumer": self.consumer, "lane": self.lane, "messages": len(records)}
        line |= logs.ids_summary(_first_and_last_id(records))
        line["events"] = len(records) - sum(not record.event for record in records)
        return line | ({"dead_letters": dead} if dead else {})

    def fenced(self) -> None:
        """Count a batch that was rolled back because another member had moved the offset."""
        metrics.FENCED.labels(self.consumer, self.lane).inc()

    def end(self) -> None:
        """Show pulse and lag no more.

        The process may live on: a helper waits for the next backlog.
        """
        self.pulse.end()
        for topic, partition in self._with_lag:
            metrics.LAG.remove(self.consumer, topic, str(partition))

    def waiting(self, why: str) -> None:
        """Note that the loop waits out an outage: it is alive, and not ready."""
        metrics.OUTAGES.labels(self.consumer, self.lane).inc()
        self.pulse.beat(working=False, hindrances=[why])


def _delay(records: Sequence[Record]) -> float | None:
    """Return the wait of the older of first and last record, in seconds; None if unknown."""
    stored = [at.timestamp() for record in (records[0], records[-1]) if (at := record.stored_at)]
    return max(0.0, time.time() - min(stored)) if stored else None


def _first_and_last_id(records: Sequence[Record]) -> list[UUID]:
    """Return the ids of the first and the last event, without a look at those between."""
    first = next((record.event.id for record in records if record.event), None)
    last = next((record.event.id for record in reversed(records) if record.event), None)
    return [] if first is None or last is None else [first, last]


def _trace_of_key(records: Sequence[Record]) -> Callable[[str], str]:
    """Return a function that gives the trace of a key's last event.

    The table is built at the first call, because most batches publish no event.
    """

    @cache
    def by_key() -> dict[str, str]:
        return {record.event.key: traceparent.trace_id_of(record.trace) for record in records if record.event}

    return lambda key: by_key().get(key, "")
