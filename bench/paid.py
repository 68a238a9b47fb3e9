"""The time from POST to decision of Paid enrolments, which arrive at a steady rate.

It is measured with an empty queue, and with 20,000 normal enrolments waiting.
"""

import threading
import time
from collections.abc import Callable
from itertools import count
from statistics import median
from uuid import UUID

from confluent_kafka import Producer
from django.conf import settings
from django.db import connection
from django.utils import timezone
from stdnum.cl.rut import calc_check_digit

from bench.result import Result, Say, p99, plot_distribution
from bench.system import Http, running
from deploy.embedded.waiting import wait_until
from inscripciones.events import INSCRIPCIONES, InscripcionRecibida
from inscripciones.formulario import ids
from kafka_bridge.brokers import topic_admin
from kafka_bridge.consuming import progress
from kafka_bridge.events.codec import encode
from kafka_bridge.events.topics import PRIORITY_PARTITION
from kafka_bridge.publishing import producer

SUMMARY = "Paid's p99 from POST to decision with 20,000 normal enrolments waiting, against an empty queue"
PAID, NORMAL, ROUNDS = 1_000, 20_000, 5
# The least share of its rate alone that the normal lane must keep: web and benchmark use the same
# cores.
LEAST_SHARE = 0.3
PER_SECOND = 50
# The resolution of the measurement.
POLL_SECONDS = 0.002

numbers = count(10_000_000)


def run(say: Say) -> Result:
    """Measure both situations in alternating rounds.

    The ratio is the median over the rounds of the empty queue's p99 over the loaded one's: 0.5
    means twice as long. Raises RuntimeError if the normal lane kept less than LEAST_SHARE of its
    rate.
    """
    topic_admin.create_topics(topic_admin.declared_topics())
    with running("web", "consumer-aprobacion") as web:
        producer.publish(warm_up := enrolment(paid=True), enrolment(paid=False))
        wait_until(lambda: is_decided(warm_up.inscripcion_id), 60)
        rounds = [one_round(web, say) for _ in range(ROUNDS)]
    share = median(share for _, _, share in rounds)
    if share < LEAST_SHARE:
        raise RuntimeError(f"the normal lane kept {share:.0%} of its rate beside Paid, less than {LEAST_SHARE:.0%}")
    plot_distribution(
        "paid",
        {
            "empty queue": [wait for empty, _, _ in rounds for wait in empty],
            f"{NORMAL:,} normal enrolments waiting": [wait for _, loaded, _ in rounds for wait in loaded],
        },
        title="Decision of Paid enrolments",
        x="ms from POST to decision",
        y="share of Paid enrolments",
    )
    figures = {
        "Paid p99, empty queue": [p99(empty) for empty, _, _ in rounds],
        f"Paid p99, {NORMAL:,} normal waiting": [p99(loaded) for _, loaded, _ in rounds],
        "Paid p50, empty queue": [median(empty) for empty, _, _ in rounds],
        f"Paid p50, {NORMAL:,} normal waiting": [median(loaded) for _, loaded, _ in rounds],
        "normal lane's rate beside Paid, % of alone": [100 * share for _, _, share in rounds],
    }
    ratio = median(p99(empty) / p99(loaded) for empty, loaded, _ in rounds)
    return Result("paid", SUMMARY, "ms", figures, ratio, "p99 of an empty queue over p99 with normal ones waiting")


def one_round(web: Http, say: Say) -> tuple[list[float], list[float], float]:
    """Return the waits (ms) with an empty queue, those under load, and the normal lane's share.

    The share is the normal lane's rate beside Paid over its rate alone.
    """

    def post() -> UUID:
        return UUID(web.post("inscripciones/", form(paid=True))["id"])

    wait_until(lambda: normal_waiting() == 0, 300, interval=0.5)
    empty = at_a_steady_rate(post)
    fill_normal_lane()
    before, began = normal_waiting(), time.perf_counter()
    loaded = at_a_steady_rate(post)
    left, seconds = normal_waiting(), time.perf_counter() - began
    if not left:
        raise RuntimeError("the normal lane was empty before Paid's round ended: raise NORMAL")
    began_alone = time.perf_counter()
    wait_until(lambda: normal_waiting() == 0, 300, interval=0.2)
    share = ((before - left) / seconds) / (left / (time.perf_counter() - began_alone))
    say(f"p99 {p99(empty):.1f} ms empty, {p99(loaded):.1f} ms with {NORMAL:,} waiting; normal lane at {share:.0%}")
    return empty, loaded, share


def at_a_steady_rate(post: Callable[[], UUID], count: int = PAID, per_second: float = PER_SECOND) -> list[float]:
    """Return the ms from the beginning of each `post`, which returns an id, to the decision."""
    decisions = Decisions()
    decisions.start()
    began = time.perf_counter()
    for number in range(count):
        time.sleep(max(0.0, began + number / per_second - time.perf_counter()))
        posted = time.perf_counter()
        decisions.posted[post()] = posted
    wait_until(lambda: not decisions.posted, 120)
    decisions.done.set()
    decisions.join()
    return decisions.waits


class Decisions(threading.Thread):
    """Polls, every 2 ms on its own connection, which of the posted enrolments are decided.

    `posted` has the time of each POST; `waits` are in ms.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.posted: dict[UUID, float] = {}
        self.waits: list[float] = []
        self.done = threading.Event()

    def run(self) -> None:
        with connection.cursor() as cursor:
            while not self.done.wait(POLL_SECONDS):
                pending = list(self.posted)
                cursor.execute("SELECT id FROM inscripciones_inscripcion WHERE id = ANY(%s)", [pending])
                now = time.perf_counter()
                self.waits += [(now - self.posted.pop(found)) * 1_000 for (found,) in cursor.fetchall()]
        connection.close()


def fill_normal_lane(count: int = NORMAL) -> list[UUID]:
    """Write normal enrolments as fast as Kafka accepts them; return their ids."""
    raw = Producer({**settings.KAFKA_CLIENT_CONFIG, "linger.ms": 20, "acks": "all"})
    events = [enrolment(paid=False) for _ in range(count)]
    for message in map(encode, events):
        raw.produce(message.topic, message.value, message.key, message.partition, headers=list(message.headers))
        raw.poll(0)
    raw.flush()
    return [event.inscripcion_id for event in events]


def normal_waiting() -> int:
    """Return how many normal enrolments the consumer has yet to apply."""
    ends = progress.topic_ends(INSCRIPCIONES.name)
    lacking = progress.remaining("aprobacion", INSCRIPCIONES.name, ends)
    return sum(messages for partition, messages in lacking.items() if partition != PRIORITY_PARTITION)


def is_decided(inscripcion_id: UUID) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM inscripciones_inscripcion WHERE id = %s", [inscripcion_id])
        return cursor.fetchone() is not None


def form(*, paid: bool) -> dict[str, object]:
    """Return the form of a new person, which passes every rule."""
    number = str(next(numbers))
    return {
        "nombre": "Rosa Ñáñez Peña",
        "rut": f"{number}-{calc_check_digit(number)}",
        "email": f"maestro{number}@example.cl",
        "telefono": "+56987654321",
        "comuna": "Ñuñoa",
        "paid": paid,
        "comprobante_pago": f"TRX-{number}" if paid else "",
    }


def enrolment(*, paid: bool) -> InscripcionRecibida:
    """Return the event of a new person's form."""
    fields = form(paid=paid)
    inscripcion_id = ids.issue(fields, day=timezone.localdate())
    event_id = InscripcionRecibida.derive_id(inscripcion_id)
    return InscripcionRecibida.now(id=event_id, inscripcion_id=inscripcion_id, **fields)
