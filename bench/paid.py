"""Paid enrolments posted at a steady rate, with an empty queue and with 20,000 normal ones waiting: from POST to decision."""

import threading
import time
from collections.abc import Callable
from itertools import count
from statistics import median, quantiles
from uuid import UUID

from confluent_kafka import Producer
from django.conf import settings
from django.db import connection
from django.utils import timezone
from stdnum.cl.rut import calc_check_digit

from bench.result import RESULTS, Result
from bench.system import Http, running
from deploy.embedded.waiting import wait_until
from inscripciones import ids
from inscripciones.events import INSCRIPCIONES, InscripcionRecibida
from kafka_bridge.brokers import topic_admin
from kafka_bridge.consuming import progress
from kafka_bridge.events.codec import encode
from kafka_bridge.events.topics import PRIORITY_PARTITION
from kafka_bridge.publishing import producer

SUMMARY = "Paid's p99 from POST to decision with 20,000 normal enrolments waiting, against an empty queue"
PAID, NORMAL, ROUNDS = 1_000, 20_000, 5
LEAST_SHARE = 0.3  # of the normal lane's rate alone: web and bench take their part of the cores too
PER_SECOND = 50
LOOK_SECONDS = 0.002  # the resolution of what is measured
Say = Callable[[str], None]
people = count(10_000_000)


def form_of_another(*, paid: bool) -> dict[str, object]:
    """The form of another person each time, which passes every rule."""
    number = str(next(people))
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
    form = form_of_another(paid=paid)
    inscripcion_id = ids.issue(form, day=timezone.localdate())
    event_id = InscripcionRecibida.derive_id(inscripcion_id)
    return InscripcionRecibida.now(id=event_id, inscripcion_id=inscripcion_id, **form)


class Decisions(threading.Thread):
    """Looks every 2 ms, on a connection of its own, which of the posted ones are decided and committed."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.posted: dict[UUID, float] = {}
        self.waits: list[float] = []  # ms
        self.done = threading.Event()

    def run(self) -> None:
        with connection.cursor() as cursor:
            while not self.done.wait(LOOK_SECONDS):
                pending = list(self.posted)
                cursor.execute("SELECT id FROM inscripciones_inscripcion WHERE id = ANY(%s)", [pending])
                now = time.perf_counter()
                self.waits += [(now - self.posted.pop(found)) * 1_000 for (found,) in cursor.fetchall()]
        connection.close()


def at_a_steady_rate(post: Callable[[], UUID], count: int = PAID, per_second: float = PER_SECOND) -> list[float]:
    """Milliseconds from the beginning of each `post`, which returns an enrolment's id, to its decision."""
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


def fill_normal_lane(count: int = NORMAL) -> list[UUID]:
    """As fast as Kafka takes them; returns their ids."""
    raw = Producer({**settings.KAFKA_CLIENT_CONFIG, "linger.ms": 20, "acks": "all"})
    events = [enrolment(paid=False) for _ in range(count)]
    for message in map(encode, events):
        raw.produce(message.topic, message.value, message.key, message.partition, headers=list(message.headers))
        raw.poll(0)
    raw.flush()
    return [event.inscripcion_id for event in events]


def normal_waiting() -> int:
    ends = progress.end_offsets(INSCRIPCIONES.name)
    lacking = progress.behind("aprobacion", INSCRIPCIONES.name, ends, progress.topic_uuid(INSCRIPCIONES.name))
    return sum(messages for partition, messages in lacking.items() if partition != PRIORITY_PARTITION)


def decided(inscripcion_id: UUID) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM inscripciones_inscripcion WHERE id = %s", [inscripcion_id])
        return cursor.fetchone() is not None


def p99(waits: list[float]) -> float:
    return quantiles(waits, n=100)[98]


def one_round(web: Http, say: Say) -> tuple[list[float], list[float], float]:
    """Waits with an empty queue, waits under load, and the normal lane's rate under Paid's load over its rate alone."""

    def post() -> UUID:
        return UUID(web.post("inscripciones/", form_of_another(paid=True))["id"])

    wait_until(lambda: normal_waiting() == 0, 300, interval=0.5)
    empty = at_a_steady_rate(post)
    fill_normal_lane()
    before, began = normal_waiting(), time.perf_counter()
    loaded = at_a_steady_rate(post)
    left, seconds = normal_waiting(), time.perf_counter() - began
    if not left:
        raise RuntimeError("the normal lane was empty before Paid's round ended: raise NORMAL")
    alone = time.perf_counter()
    wait_until(lambda: normal_waiting() == 0, 300, interval=0.2)
    share = ((before - left) / seconds) / (left / (time.perf_counter() - alone))
    say(f"p99 {p99(empty):.1f} ms empty, {p99(loaded):.1f} ms with {NORMAL:,} waiting; normal lane at {share:.0%}")
    return empty, loaded, share


def run(say: Say) -> Result:
    """The ratio is the empty queue's p99 over the loaded one's, round by round, then the median: 0.5 is twice as long.

    Raises RuntimeError where the normal lane moved slower than LEAST_SHARE of its rate alone.
    """
    topic_admin.create_topics(topic_admin.declared_topics())
    with running("web", "consumer-aprobacion") as web:
        producer.publish(warm_up := enrolment(paid=True), enrolment(paid=False))
        wait_until(lambda: decided(warm_up.inscripcion_id), 60)
        rounds = [one_round(web, say) for _ in range(ROUNDS)]
    share = median(share for _, _, share in rounds)
    if share < LEAST_SHARE:
        raise RuntimeError(f"the normal lane kept {share:.0%} of its rate beside Paid, less than {LEAST_SHARE:.0%}")
    plot([wait for empty, _, _ in rounds for wait in empty], [wait for _, loaded, _ in rounds for wait in loaded])
    figures = {
        "Paid p99, empty queue": [p99(empty) for empty, _, _ in rounds],
        f"Paid p99, {NORMAL:,} normal waiting": [p99(loaded) for _, loaded, _ in rounds],
        "Paid p50, empty queue": [median(empty) for empty, _, _ in rounds],
        f"Paid p50, {NORMAL:,} normal waiting": [median(loaded) for _, loaded, _ in rounds],
        "normal lane's rate beside Paid, % of alone": [100 * share for _, _, share in rounds],
    }
    ratio = median(p99(empty) / p99(loaded) for empty, loaded, _ in rounds)
    return Result("paid", SUMMARY, "ms", figures, ratio, "p99 of an empty queue over p99 with normal ones waiting")


def plot(empty: list[float], loaded: list[float]) -> None:
    """The share of enrolments decided within so many ms."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="ms from POST to decision", ylabel="share of Paid enrolments", xscale="log")
    for waits, label in ((empty, "empty queue"), (loaded, f"{NORMAL:,} normal ones waiting")):
        axes.plot(sorted(waits), [(rank + 1) / len(waits) for rank in range(len(waits))], label=label)
    axes.grid(alpha=0.3)
    axes.legend()
    RESULTS.mkdir(exist_ok=True)
    figure.savefig(RESULTS / "paid.svg")
