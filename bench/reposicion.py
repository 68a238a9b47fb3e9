"""The time from a notice's 202 to the filled cart, against a bare Kafka round trip in the same run.

Maestros sell every 5 to 7 s (compressed) and are out of stock every 10 sales. Every other time the
maestro sends no notice, and the automatic one fills the cart. The round trip is produce,
acknowledge, consume.
"""

import random
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from statistics import median
from uuid import UUID, uuid4

from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import Producer
from django.conf import settings
from django.db import connection, transaction

from bench.result import Result, Say, p99, plot_distribution
from bench.system import Http, running
from deploy.embedded.waiting import wait_until
from inscripciones import credenciales
from inscripciones.events import InscripcionAprobada
from inscripciones.models import Usuario
from kafka_bridge.brokers import topic_admin
from kafka_bridge.events.topics import Topic
from kafka_bridge.publishing import producer
from stock.models import Existencia

SUMMARY = "p99 from the 202 of a maestro's notice to the filled cart, against a bare Kafka round trip"
MAESTROS, TIMES_OUT, ROUNDS = 5, 20, 5
SALES_PER_CART = 10
# How many times faster than in reality the maestros sell.
COMPRESSION = 25
TRIPS = 200
# The resolution of the measurement.
POLL_SECONDS = 0.002

# Id and token.
Maestro = tuple[UUID, str]


def run(say: Say) -> Result:
    """Measure both in alternating rounds.

    The ratio is the round trip's p99 over the restock's (medians of the rounds): 0.1 means that the
    restock takes ten times as long.
    """
    trips, bare, noticed, silent = RoundTrips(), list[list[float]](), list[list[float]](), list[list[float]]()
    with running("web", "consumer-inventario", "consumer-distribuidores", "outbox-relay") as web:
        for number in range(1, ROUNDS + 1):
            maestros = [open_cart() for _ in range(MAESTROS)]
            bare.append([trips.one() for _ in range(TRIPS)])
            for times, found in zip((noticed, silent), one_round(web, maestros), strict=True):
                times.append(found)
            say(
                f"round {number}/{ROUNDS}: p99 {p99(bare[-1]):.1f} ms bare, {p99(noticed[-1]):.1f} ms from the notice, "
                f"{p99(silent[-1]):.1f} ms from the tenth sale"
            )
    trips.close()
    connection.close()
    named = {"bare round trip": bare, "notice's 202 to full cart": noticed, "tenth sale's 202 to full cart": silent}
    plot_distribution(
        "reposicion",
        {name: [ms for times in rounds for ms in times] for name, rounds in named.items()},
        title="Restock of an empty cart",
        x="ms until the cart is full, or until the message is consumed",
        y="share of restocks or round trips",
    )
    rounds = {f"{name}, p99": [p99(times) for times in rounds] for name, rounds in named.items()}
    rounds |= {f"{name}, p50": [median(times) for times in rounds] for name, rounds in named.items()}
    ratio = median(map(p99, bare)) / median(map(p99, noticed))
    return Result("reposicion", SUMMARY, "ms", rounds, ratio, "bare round trip's p99 over the restock's")


def open_cart() -> Maestro:
    """Return a new maestro whose cart is open and full."""
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
    wait_until(lambda: Existencia.objects.filter(carro=maestro, insumo="vaso", cantidad=10).exists(), 60)
    with transaction.atomic():
        token = credenciales.emitir(Usuario.objects.create(username=str(maestro), maestro_id=maestro))
    return maestro, token


def one_round(web: Http, maestros: list[Maestro]) -> tuple[list[float], list[float]]:
    """Let all maestros work at once; return the times of all, as `work` does."""
    restocks = Restocks([maestro for maestro, _ in maestros])
    restocks.start()
    with ThreadPoolExecutor(MAESTROS) as pool:
        times = list(pool.map(partial(work, web, restocks), maestros))
    restocks.done.set()
    restocks.join()
    return [ms for noticed, _ in times for ms in noticed], [ms for _, silent in times for ms in silent]


def work(web: Http, restocks: "Restocks", maestro: Maestro) -> tuple[list[float], list[float]]:
    """Sell until the cart is empty, again and again; return two lists of ms until the cart is full.

    The first counts from the 202 of the maestro's notice. The second counts from the 202 of the
    tenth sale, when the maestro sends no notice.
    """
    maestro_id, token = maestro
    chance = random.Random(str(maestro_id))
    noticed, silent = list[float](), list[float]()
    before = len(restocks.at[maestro_id])
    # Without this pause all carts would be empty at the same moment.
    time.sleep(chance.uniform(0, 6 * SALES_PER_CART / COMPRESSION))
    for time_out in range(TIMES_OUT):
        for _ in range(SALES_PER_CART):
            time.sleep(chance.uniform(5, 7) / COMPRESSION)
            web.post("ventas/", {"producto": "mediano", "cantidad": 1}, token)
        times = silent
        if time_out % 2:
            web.post("stock/avisos/", {}, token)
            times = noticed
        accepted = time.perf_counter()
        filled = restocks.moment(maestro_id, before + time_out + 1)
        # The automatic notice may fill the cart before the maestro's notice is accepted.
        times.append(max(0.0, filled - accepted) * 1_000)
    return noticed, silent


class Restocks(threading.Thread):
    """Polls, every 2 ms on its own connection, how often each cart has been filled.

    `at` has the time of each restock, by maestro.
    """

    def __init__(self, maestros: list[UUID]) -> None:
        super().__init__(daemon=True)
        self.maestros = maestros
        self.at: dict[UUID, list[float]] = defaultdict(list)
        self.changed = threading.Condition()
        self.done = threading.Event()

    def run(self) -> None:
        with connection.cursor() as cursor:
            while not self.done.wait(POLL_SECONDS):
                cursor.execute(
                    "SELECT maestro_id, count(*) FROM stock_movimiento "
                    "WHERE tipo = 'reposicion' AND maestro_id = ANY(%s) GROUP BY 1",
                    [self.maestros],
                )
                self._note(dict(cursor.fetchall()), time.perf_counter())
        connection.close()

    def _note(self, counts: dict[UUID, int], now: float) -> None:
        with self.changed:
            for maestro, count in counts.items():
                self.at[maestro] += [now] * (count - len(self.at[maestro]))
            self.changed.notify_all()

    def moment(self, maestro: UUID, number: int) -> float:
        """Wait until the cart has been filled `number` times; return the time of the last one."""
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.at[maestro]) >= number, 60):
                raise TimeoutError(f"a cart was not filled for the {number}th time")
            return self.at[maestro][number - 1]


class RoundTrips:
    """A producer and a consumer on a separate topic, configured like the application's."""

    def __init__(self) -> None:
        self.topic = f"bench.{uuid4()}"
        topic_admin.create_topics([Topic(name=self.topic, partitions=1)])
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
        """Return the ms from produce until the consumer has the message."""
        began = time.perf_counter()
        self.producer.produce(self.topic, b"x")
        self.producer.poll(0)
        while (message := self.consumer.poll(0.1)) is None or message.error():
            self.producer.poll(0)
        elapsed = (time.perf_counter() - began) * 1_000
        self.producer.flush()
        return elapsed

    def close(self) -> None:
        self.consumer.close()
