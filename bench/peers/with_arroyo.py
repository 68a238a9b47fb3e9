"""A stream processor of arroyo: batches, a task that enters them, commits."""

from collections.abc import Mapping
from uuid import uuid4

from arroyo.backends.kafka import KafkaConsumer, KafkaPayload
from arroyo.backends.kafka.configuration import build_kafka_consumer_configuration
from arroyo.processing.processor import StreamProcessor
from arroyo.processing.strategies import CommitOffsets, ProcessingStrategy, ProcessingStrategyFactory, RunTask
from arroyo.processing.strategies.batching import BatchStep, ValuesBatch
from arroyo.types import Commit, Message, Partition, Topic
from django.conf import settings

from bench.peers.applied import Progress
from ventas.events import VENTAS


def with_our_codec(count: int, batch: int) -> float:
    """Return the sales per second of a stream processor that decodes as our consumers do."""
    configuration = build_kafka_consumer_configuration(
        settings.KAFKA_CLIENT_CONFIG,
        group_id=f"bench-{uuid4()}",
        auto_offset_reset="earliest",
        override_params={"fetch.queue.backoff.ms": 10},
    )
    strategies = Strategies(Progress(count), batch)
    processor = StreamProcessor(KafkaConsumer(configuration), Topic(VENTAS.name), strategies)
    strategies.processor = processor
    processor.run()
    return strategies.progress.rate


class Strategies(ProcessingStrategyFactory[KafkaPayload]):
    """Batches by size or after a second, then the ledger, then the offsets."""

    processor: StreamProcessor[KafkaPayload]

    def __init__(self, progress: Progress, batch: int) -> None:
        self.progress = progress
        self.batch = batch

    def create_with_partitions(
        self, commit: Commit, partitions: Mapping[Partition, int]
    ) -> ProcessingStrategy[KafkaPayload]:
        return BatchStep(self.batch, 1.0, RunTask(self.enter, CommitOffsets(commit)))

    def enter(self, message: Message[ValuesBatch[KafkaPayload]]) -> None:
        payloads = [each.payload for each in message.payload]
        if self.progress.decode_and_enter((payload.headers, payload.value) for payload in payloads):
            self.processor.signal_shutdown()
