"""Every metric of the system, declared once with its explanation; `manage.py metrics_page` writes docs/metricas.md.

Labels are names that the code declares (consumer, lane, topic, reason, task) or a partition's number: never an id, never
personal data. Web and worker fork: their processes share the files of PROMETHEUS_MULTIPROC_DIR.
"""

from dataclasses import dataclass
from typing import Final, Literal

from prometheus_client import Counter, Gauge, Histogram

from kafka_bridge import conf

Where = Literal["web", "consumidor", "relay", "worker"]


@dataclass(frozen=True)
class Declared:
    """One metric: `name` as Prometheus sees it, and which of our processes exposes it."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    where: tuple[Where, ...]
    labels: tuple[str, ...]
    explanation: str


DECLARED: Final[list[Declared]] = []


def _counter(name: str, explanation: str, *labels: str, where: tuple[Where, ...]) -> Counter:
    name = f"{conf.PREFIX}_{name}"
    DECLARED.append(Declared(f"{name}_total", "counter", where, labels, explanation))
    return Counter(name, explanation, labels)


def _gauge(name: str, explanation: str, *labels: str, where: tuple[Where, ...]) -> Gauge:
    name = f"{conf.PREFIX}_{name}"
    DECLARED.append(Declared(name, "gauge", where, labels, explanation))
    return Gauge(name, explanation, labels, multiprocess_mode="max")


def _histogram(
    name: str, explanation: str, *labels: str, where: tuple[Where, ...], buckets: tuple[float, ...]
) -> Histogram:
    name = f"{conf.PREFIX}_{name}"
    DECLARED.append(Declared(name, "histogram", where, labels, explanation))
    return Histogram(name, explanation, labels, buckets=buckets)


def _at_scrape(name: str, explanation: str, *labels: str) -> Declared:
    """A gauge of the whole system, looked up when Prometheus asks the web process (scrape.py)."""
    declared = Declared(f"{conf.PREFIX}_{name}", "gauge", ("web",), labels, explanation)
    DECLARED.append(declared)
    return declared


SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
DELAYS: Final = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0)

# What is published
PUBLISHED: Final = _counter(
    "published",
    "Eventos aceptados, por dónde quedaron: «kafka», o «outbox» si Kafka no respondía.",
    "way",
    where=("web", "worker"),
)

PUBLISH_SECONDS: Final = _histogram(
    "publish_seconds",
    "Lo que tarda aceptar una publicación: hasta el acuse de Kafka o el COMMIT del outbox.",
    where=("web", "worker"),
    buckets=SECONDS,
)

REFUSED: Final = _counter(
    "refused", "Publicaciones rechazadas con 503: ni Kafka ni la base de datos respondían.", where=("web",)
)

# Consumers
MESSAGES: Final = _counter(
    "consumer_messages",
    "Mensajes cuyo lote quedó confirmado en la base de datos.",
    "consumer",
    "lane",
    where=("consumidor",),
)

BATCHES: Final = _counter(
    "consumer_batches",
    "Lotes confirmados: una transacción cada uno.",
    "consumer",
    "lane",
    where=("consumidor",),
)

BATCH_SECONDS: Final = _histogram(
    "consumer_batch_seconds",
    "Lo que tarda un lote, reintentos incluidos.",
    "consumer",
    "lane",
    where=("consumidor",),
    buckets=SECONDS,
)

DELAY: Final = _histogram(
    "consumer_delay_seconds",
    "Del reloj del broker al COMMIT: espera del mensaje más antiguo de cada lote.",
    "consumer",
    "lane",
    where=("consumidor",),
    buckets=DELAYS,
)

DEAD_LETTERS: Final = _counter(
    "consumer_dead_letters",
    "Mensajes apartados porque no se pudieron aplicar, por motivo.",
    "consumer",
    "reason",
    where=("consumidor",),
)

FENCED: Final = _counter(
    "consumer_fenced",
    "Lotes deshechos porque otro miembro ya había movido el offset.",
    "consumer",
    "lane",
    where=("consumidor",),
)

OUTAGES: Final = _counter(
    "consumer_outages",
    "Esperas por la base de datos o Kafka; mientras dura, no se pierde nada.",
    "consumer",
    "lane",
    where=("consumidor",),
)

LAG: Final = _gauge(
    "consumer_lag_messages",
    "Mensajes que le faltan a este proceso en cada partición que tiene asignada.",
    "consumer",
    "topic",
    "partition",
    where=("consumidor",),
)

LAST_STEP: Final = _gauge(
    "last_step_timestamp_seconds",
    "Última vuelta del ciclo de este proceso (hora Unix). Si no avanza, está colgado.",
    "process",
    where=("consumidor", "relay", "worker"),
)

# Relay
RELAYED: Final = _counter("relay_messages", "Mensajes del outbox que Kafka ya confirmó.", where=("relay",))
RELAY_FAILED: Final = _counter(
    "relay_unacknowledged", "Envíos del outbox que Kafka no confirmó: se repiten.", where=("relay",)
)

RELAY_OUTAGES: Final = _counter(
    "relay_outages", "Esperas del relay porque la base de datos no respondía.", where=("relay",)
)

# Celery's worker
TASKS: Final = _counter("tasks", "Tareas terminadas, por nombre y resultado.", "task", "state", where=("worker",))

TASK_SECONDS: Final = _histogram("task_seconds", "Lo que tarda cada tarea.", "task", where=("worker",), buckets=SECONDS)

for _way in ("kafka", "outbox"):
    PUBLISHED.labels(_way)  # from zero: of a counter that appears with its first burst, Prometheus sees no increase

# The whole, looked up at each scrape
DATABASE_UP: Final = _at_scrape("database_up", "1 si la base de datos le respondió a la web; si no, 0.")
KAFKA_UP: Final = _at_scrape("kafka_up", "1 si un broker respondió dentro de un segundo; si no, 0.")
GROUP_MEMBERS: Final = _at_scrape(
    "group_members", "Procesos que atienden cada grupo: 0 es un consumidor detenido.", "group"
)

LAG_MESSAGES: Final = _at_scrape(
    "lag_messages",
    "Mensajes que le faltan a cada consumidor, esté corriendo o no: fin de la partición menos el offset de la base de datos.",
    "consumer",
    "topic",
    "partition",
)

UNDER_REPLICATED: Final = _at_scrape(
    "under_replicated_partitions", "Particiones con menos réplicas al día que las debidas."
)

OUTBOX: Final = _at_scrape("outbox_messages", "Mensajes aceptados que esperan a Kafka en la base de datos.")
OUTBOX_AGE: Final = _at_scrape("outbox_oldest_seconds", "Edad del más antiguo de ellos; 0 si no hay.")
OPEN_DEAD_LETTERS: Final = _at_scrape(
    "open_dead_letters", "Mensajes no procesados que esperan a una persona.", "consumer"
)

WORK_OVERDUE: Final = _at_scrape(
    "work_overdue_seconds",
    "Hace cuánto debió hacerse lo más antiguo de cada trabajo (correos, reportes, cierre, beat); 0 si nada espera.",
    "work",
)

WORK_FAILED: Final = _at_scrape(
    "work_failed", "Lo que una persona debe mirar de cada trabajo: no salió, o falla una y otra vez.", "work"
)
