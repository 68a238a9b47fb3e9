"""Sales with one poison message in a thousand, of three kinds.

The message is malformed; or the handler fails at it, in its loop over the events ("late"); or the
handler fails after the loop, so that no event is suspected ("unseen").
"""

import gc
from collections.abc import Callable
from random import Random
from statistics import median
from typing import Final, cast

from confluent_kafka import KafkaError, Producer
from confluent_kafka import Message as KafkaMessage
from django.conf import settings
from django.db import connection

from bench import sales
from bench.result import Result, Say
from kafka_bridge.brokers import topic_admin, watermarks
from kafka_bridge.consuming.handlers import Consumer, consumers
from kafka_bridge.models import ConsumerOffset, DeadLetter
from ventas import libro
from ventas.events import VENTAS, VentaRegistrada
from ventas.models import Venta

SUMMARY = "contabilidad's rows per second with one sale in a thousand poisoned, in three ways, against none"
SALES, ONE_IN = 100_000, 1_000
ROUNDS = 5

# Products of sales that make the handler fail.
FAILS_AT_SALE, FAILS_AT_END = "veneno", "oculto"

CLEAN, MALFORMED, LATE, UNSEEN = "clean", "0.1 % malformed", "0.1 % fail late", "0.1 % fail unseen"
SPOIL: Final[dict[str, Callable[[bytes], bytes]]] = {
    CLEAN: lambda value: value,
    MALFORMED: lambda value: value[:-1],
    LATE: lambda value: value.replace(b'"mediano"', f'"{FAILS_AT_SALE}"'.encode()),
    UNSEEN: lambda value: value.replace(b'"mediano"', f'"{FAILS_AT_END}"'.encode()),
}
REASONS: Final = {CLEAN: {}, MALFORMED: {"undecodable": 100}, LATE: {"handler": 100}, UNSEEN: {"handler": 100}}

# Partition and offset.
Place = tuple[int, int]


def run(say: Say) -> Result:
    """Run all kinds in alternating rounds, each over messages that it writes first.

    The ratio is of the medians.
    """
    rounds: dict[str, list[float]] = {kind: [] for kind in SPOIL}
    # run_consumer does this too.
    gc.freeze()
    for number in range(1, ROUNDS + 1):
        for kind, rates in rounds.items():
            start = watermarks.end_offsets(topic_admin.partitions_of(VENTAS.name))
            places = fill_topic(kind)
            rates.append(messages_per_second(start))
            check_outcome(kind, places)
        say(f"round {number}/{ROUNDS}: " + ", ".join(f"{kind} {rates[-1]:,.0f}/s" for kind, rates in rounds.items()))
    slowest = min(median(rounds[MALFORMED]), median(rounds[LATE]))
    return Result(
        "poison",
        SUMMARY,
        "messages/s",
        rounds,
        slowest / median(rounds[CLEAN]),
        f"the slower of {MALFORMED} and {LATE}, over clean",
    )


def fill_topic(kind: str) -> set[Place]:
    """Write the sales to the topic and return the places of the poisoned ones.

    For CLEAN, these are the places that another kind would poison.
    """
    raw = Producer({**settings.KAFKA_CLIENT_CONFIG, "linger.ms": 50, "acks": "all"})
    # The seed makes it the same sales in each run.
    poisoned = set(Random(1).sample(range(SALES), SALES // ONE_IN))
    places: set[Place] = set()

    def note_place(_error: KafkaError | None, message: KafkaMessage) -> None:
        places.add((cast(int, message.partition()), cast(int, message.offset())))

    for number, message in enumerate(sales.messages(SALES)):
        value, on_delivery = message.value, None
        if number in poisoned:
            value, on_delivery = SPOIL[kind](message.value), note_place
        headers: list[tuple[str, str | bytes | None]] = [*message.headers]
        raw.produce(message.topic, value, message.key, message.partition, headers=headers, on_delivery=on_delivery)
        raw.poll(0)
    raw.flush()
    return places


def messages_per_second(start: dict[tuple[str, int], int]) -> float:
    """Return the rate from `start` (the next offset of each partition) to the end of the topic."""
    sales.empty_ledger()
    DeadLetter.objects.all().delete()
    sales.forget_offsets()
    uuid = topic_admin.topic_uuids([VENTAS.name])[VENTAS.name]
    ConsumerOffset.objects.bulk_create(
        ConsumerOffset(consumer="contabilidad", topic=topic, partition=partition, next_offset=offset, topic_uuid=uuid)
        for (topic, partition), offset in start.items()
    )
    consumer = Consumer("contabilidad", consumers["contabilidad"].max_batch, {VentaRegistrada: registrar})
    return sales.messages_per_second(consumer, SALES)


def registrar(ventas: list[VentaRegistrada]) -> None:
    """Record the sales as production does, then fail for a poisoned one, so all is rolled back.

    FAILS_AT_SALE makes the loop fail at that event. FAILS_AT_END fails after all events, as a
    constraint does at COMMIT, so that no event is suspected.
    """
    libro.registrar(ventas)
    for venta in ventas:
        if venta.producto == FAILS_AT_SALE:
            raise ValueError(FAILS_AT_SALE)
    if FAILS_AT_END in {venta.producto for venta in ventas}:
        raise ValueError(FAILS_AT_END)


def check_outcome(kind: str, places: set[Place]) -> None:
    """Raise RuntimeError unless the poisoned messages, and no others, became dead letters."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT reason, count(*) FROM kafka_bridge_deadletter GROUP BY 1")
        letters = dict(cursor.fetchall())
    if Venta.objects.count() != SALES - sum(letters.values()) or letters != REASONS[kind]:
        raise RuntimeError(f"{Venta.objects.count()} rows and dead letters {letters} do not fit what was sent")
    found = sorted(DeadLetter.objects.values_list("partition", "offset"))
    if found != (sorted(places) if letters else []):
        raise RuntimeError("the dead letters are not the poisoned messages")
