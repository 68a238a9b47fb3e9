"""Sales with one poisoned in a thousand: messages that are malformed, or that make the handler fail when it has written."""

import gc
import threading
import time
from collections.abc import Callable
from random import Random
from statistics import median
from typing import Final, cast
from uuid import uuid4

from confluent_kafka import KafkaError, Producer
from confluent_kafka import Message as KafkaMessage
from django.conf import settings
from django.db import connection

from bench import sink
from bench.result import Result
from kafka_bridge.brokers import topic_admin, watermarks
from kafka_bridge.consuming.handlers import Consumer, consumers
from kafka_bridge.consuming.record import Record
from kafka_bridge.consuming.runner import Runner
from kafka_bridge.models import ConsumerOffset, DeadLetter
from ventas import libro
from ventas.events import VENTAS, VentaRegistrada
from ventas.models import Venta

SUMMARY = "contabilidad's rows per second with one sale in a thousand poisoned, in three ways, against none"
SALES, ONE_IN = 100_000, 1_000
ROUNDS = 5
POISON, HIDDEN = "veneno", "oculto"
MALFORMED, LATE, UNSEEN = "0.1 % malformed", "0.1 % fail late", "0.1 % fail unseen"
Say = Callable[[str], None]
Place = tuple[int, int]  # partition, offset
SPOILT: Final[dict[str, Callable[[bytes], bytes]]] = {
    "clean": lambda value: value,
    MALFORMED: lambda value: value[:-1],
    LATE: lambda value: value.replace(b'"mediano"', f'"{POISON}"'.encode()),
    UNSEEN: lambda value: value.replace(b'"mediano"', f'"{HIDDEN}"'.encode()),
}
REASONS: Final = {"clean": {}, MALFORMED: {"undecodable": 100}, LATE: {"handler": 100}, UNSEEN: {"handler": 100}}


def registrar(ventas: list[VentaRegistrada]) -> None:
    """As production does it; then it fails where a sale is poisoned, so that all the work must be undone.

    Either at that sale, as code that looks at one event after the other; or without a hint, as a
    constraint does at COMMIT.
    """
    libro.registrar(ventas)
    for venta in ventas:
        if venta.producto == POISON:
            raise ValueError(POISON)
    if HIDDEN in {venta.producto for venta in ventas}:  # has looked at all
        raise ValueError(HIDDEN)


def fill(kind: str) -> set[Place]:
    """Writes the sales to the topic; returns where those are that one in ONE_IN makes bad, or would."""
    raw = Producer({**settings.KAFKA_CLIENT_CONFIG, "linger.ms": 50, "acks": "all"})
    bad = set(Random(1).sample(range(SALES), SALES // ONE_IN))
    places: set[Place] = set()

    def note(_error: KafkaError | None, message: KafkaMessage) -> None:
        places.add((cast(int, message.partition()), cast(int, message.offset())))

    for number, message in enumerate(sink.messages(SALES)):
        spoil, report = (SPOILT[kind], note) if number in bad else (None, None)
        value = spoil(message.value) if spoil else message.value
        headers = list(message.headers)
        raw.produce(message.topic, value, message.key, message.partition, headers=headers, on_delivery=report)
        raw.poll(0)
    raw.flush()
    return places


class Until(Runner):
    """contabilidad, until it has applied all that the topic has."""

    began = 0.0
    goal = 0
    seen = 0

    def _apply(self, records: list[Record]) -> bool:
        self.began = self.began or time.perf_counter()
        done = super()._apply(records)
        self.seen += len(records) if done else 0
        if self.seen >= self.goal:
            self.stop.set()
        return done


def one_run(start: dict[tuple[str, int], int]) -> float:
    """Messages per second from `start` (the next offset of each partition) to the end of the topic."""
    sink.empty_ledger()
    DeadLetter.objects.all().delete()
    ConsumerOffset.objects.all().delete()
    uuid = topic_admin.topic_uuids([VENTAS.name])[VENTAS.name]
    ConsumerOffset.objects.bulk_create(
        ConsumerOffset(consumer="contabilidad", topic=topic, partition=partition, next_offset=offset, topic_uuid=uuid)
        for (topic, partition), offset in start.items()
    )
    consumer = Consumer("contabilidad", consumers["contabilidad"].max_batch, {VentaRegistrada: registrar})
    runner = Until(consumer, stop=threading.Event(), group=f"bench-{uuid4()}")
    runner.goal = SALES
    runner.run()
    return SALES / (time.perf_counter() - runner.began)


def check_outcome(kind: str, places: set[Place]) -> None:
    """99,900 rows and 100 dead letters that say where their messages lie, or the figure means nothing."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT reason, count(*) FROM kafka_bridge_deadletter GROUP BY 1")
        letters = dict(cursor.fetchall())
    if Venta.objects.count() != SALES - sum(letters.values()) or letters != REASONS[kind]:
        raise RuntimeError(f"{Venta.objects.count()} rows and {letters} are not what was sent")
    told = sorted(DeadLetter.objects.values_list("partition", "offset"))
    if told != (sorted(places) if letters else []):
        raise RuntimeError("the dead letters are not those that were sent")


def run(say: Say) -> Result:
    """Alternating rounds, each over a stretch of the topic that it writes first; the ratio is of the medians."""
    rounds: dict[str, list[float]] = {kind: [] for kind in SPOILT}
    gc.freeze()  # as run_consumer does
    for number in range(1, ROUNDS + 1):
        for kind, rates in rounds.items():
            start = watermarks.end_offsets(topic_admin.partitions_of(VENTAS.name))
            places = fill(kind)
            rates.append(one_run(start))
            check_outcome(kind, places)
        say(f"round {number}/{ROUNDS}: " + ", ".join(f"{kind} {rates[-1]:,.0f}/s" for kind, rates in rounds.items()))
    slowest = min(median(rounds[MALFORMED]), median(rounds[LATE]))
    return Result(
        "poison",
        SUMMARY,
        "messages/s",
        rounds,
        slowest / median(rounds["clean"]),
        f"the slower of {MALFORMED} and {LATE}, over clean",
    )
