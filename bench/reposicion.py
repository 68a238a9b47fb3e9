"""From a notice's 202 to the filled cart, against a bare Kafka round trip (produce, acknowledge, consume) in the same run."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from uuid import UUID, uuid4

from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import Producer
from django.apps import apps
from django.conf import settings
from django.db import connection

from bench import sink
from bench.result import RESULTS, Result
from deploy.embedded.waiting import wait_until
from inscripciones.events import InscripcionAprobada
from kafka_bridge import broker, producer
from kafka_bridge.topics import Topic
from stock import services
from stock.models import Existencia
from stock.seed import sembrar

SUMMARY = "p99 from the 202 of a maestro's notice to the filled cart, against a bare Kafka round trip"
NOTICES, ROUNDS = 200, 5
FULL = 10  # cups
LOOK_SECONDS = 0.0005
Say = Callable[[str], None]


@contextmanager
def running(*names: str) -> Iterator[None]:
    """Consumers in processes of their own, as in production."""
    root, environment = Path(__file__).parents[1], {**os.environ, "LOG_FORMAT": "json"}
    processes = [
        subprocess.Popen(  # noqa: S603
            [sys.executable, "manage.py", "run_consumer", name], cwd=root, env=environment, stderr=subprocess.DEVNULL
        )
        for name in names
    ]
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(30)


def open_cart() -> UUID:
    """A maestro whose cart is open and full."""
    maestro, inscripcion, now = uuid4(), uuid4(), datetime.now(UTC)
    producer.publish(
        InscripcionAprobada(
            id=InscripcionAprobada.derive_id(inscripcion),
            time=now,
            inscripcion_id=inscripcion,
            maestro_id=maestro,
            nombre="Rosa Ñáñez Peña",
            email="rosa@example.cl",
            aprobada_en=now,
        )
    )
    wait_until(lambda: cups(maestro) == FULL, 60)
    return maestro


def cups(maestro: UUID) -> int | None:
    found = Existencia.objects.filter(carro=maestro, insumo="vaso").values_list("cantidad", flat=True)
    return next(iter(found), None)


def notice_to_full(maestro: UUID) -> float:
    """ms: a sale takes a cup, the notice names cups; from the notice's acknowledgement to the row that says full."""
    producer.publish(sink.sale(0, [maestro], datetime.now(UTC)))
    wait_until(lambda: cups(maestro) == FULL - 1, 60, interval=LOOK_SECONDS)
    producer.publish(services.aviso_de_maestro(uuid4(), maestro, ["vaso"]))
    accepted = time.perf_counter()
    wait_until(lambda: cups(maestro) == FULL, 60, interval=LOOK_SECONDS)
    return (time.perf_counter() - accepted) * 1_000


class RoundTrips:
    """A producer and a consumer on a topic of their own, configured as ours are."""

    def __init__(self) -> None:
        self.topic = f"bench.{uuid4()}"
        broker.create_topics([Topic(name=self.topic, partitions=1)])
        self.producer = Producer({**settings.KAFKA_CLIENT_CONFIG, "acks": "all", "linger.ms": 2})
        self.consumer = KafkaConsumer(
            {
                **settings.KAFKA_CLIENT_CONFIG,
                "group.id": self.topic,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 100,
            }
        )
        self.consumer.subscribe([self.topic])
        self.one()

    def one(self) -> float:
        """ms from produce to the message in the consumer's hand."""
        began, arrived = time.perf_counter(), threading.Event()
        self.producer.produce(self.topic, b"x", on_delivery=lambda *_: arrived.set())
        self.producer.poll(0)
        while (message := self.consumer.poll(0.1)) is None or message.error():
            self.producer.poll(0)
        elapsed = (time.perf_counter() - began) * 1_000
        self.producer.flush()
        return elapsed


def p99(times: list[float]) -> float:
    return quantiles(times, n=100)[98]


def run(say: Say) -> Result:
    """Alternating rounds; the ratio is the round trip's p99 over the restock's, medians: 0.1 is ten times as long."""
    sembrar(apps)
    trips, restocks, bare = RoundTrips(), list[list[float]](), list[list[float]]()
    with running("inventario", "distribuidores"):
        maestro = open_cart()
        notice_to_full(maestro)
        for number in range(1, ROUNDS + 1):
            bare.append([trips.one() for _ in range(NOTICES)])
            restocks.append([notice_to_full(maestro) for _ in range(NOTICES)])
            say(
                f"round {number}/{ROUNDS}: p99 {p99(bare[-1]):.1f} ms bare, {p99(restocks[-1]):.1f} ms to the full cart"
            )
    connection.close()
    plot([each for times in bare for each in times], [each for times in restocks for each in times])
    rounds = {
        "bare round trip, p99": [p99(times) for times in bare],
        "notice to full cart, p99": [p99(times) for times in restocks],
        "bare round trip, p50": [median(times) for times in bare],
        "notice to full cart, p50": [median(times) for times in restocks],
    }
    ratio = median(rounds["bare round trip, p99"]) / median(rounds["notice to full cart, p99"])
    return Result("reposicion", SUMMARY, "ms", rounds, ratio, "bare round trip's p99 over the restock's")


def plot(bare: list[float], restocks: list[float]) -> None:
    """The share done within so many ms."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="ms", ylabel="share", xscale="log")
    for times, label in ((bare, "bare Kafka round trip"), (restocks, "notice's 202 to full cart")):
        axes.plot(sorted(times), [(rank + 1) / len(times) for rank in range(len(times))], label=label)
    axes.grid(alpha=0.3)
    axes.legend()
    RESULTS.mkdir(exist_ok=True)
    figure.savefig(RESULTS / "reposicion.svg")
