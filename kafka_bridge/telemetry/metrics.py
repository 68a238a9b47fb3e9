"""Every metric of the system, declared once with its explanation (see `manage.py metrics_page`).

Labels are names from the code (consumer, lane, topic, reason, task) or a partition's number: never
an id, never personal data. The web server and Celery's worker fork; their processes share the files
of PROMETHEUS_MULTIPROC_DIR.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from prometheus_client import Counter, Gauge, Histogram

from kafka_bridge import conf

Where = Literal["web", "web (whole system)", "consumer", "relay", "worker"]  # who exposes a metric


@dataclass(frozen=True)
class Declared:
    """A metric with its name in Prometheus, its explanation and the processes that expose it."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    where: tuple[Where, ...]
    labels: tuple[str, ...]
    explanation: str


DECLARED: Final[list[Declared]] = []

# Each metric opens a file there when it is declared. A container begins with an empty /tmp.
if _folder := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
    Path(_folder).mkdir(parents=True, exist_ok=True)


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
    """Declare a gauge of the whole system, computed when Prometheus asks the web (scrape.py)."""
    declared = Declared(f"{conf.PREFIX}_{name}", "gauge", ("web (whole system)",), labels, explanation)
    DECLARED.append(declared)
    return declared


SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
DELAYS: Final = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0)

# Publishing
PUBLISHED: Final = _counter(
    "published",
    "Events accepted, by where they were stored: `kafka`, or `outbox` while Kafka did not answer.",
    "way",
    where=("web", "worker"),
)

PUBLISH_SECONDS: Final = _histogram(
    "publish_seconds",
    "Time to accept a publication: until Kafka acknowledges or the outbox commits.",
    where=("web", "worker"),
    buckets=SECONDS,
)

REFUSED: Final = _counter(
    "refused", "Publications rejected with 503: neither Kafka nor the database answered.", where=("web",)
)

# Consumers
MESSAGES: Final = _counter(
    "consumer_messages",
    "Messages whose batch was committed to the database.",
    "consumer",
    "lane",
    where=("consumer",),
)

BATCHES: Final = _counter(
    "consumer_batches",
    "Committed batches: one transaction each.",
    "consumer",
    "lane",
    where=("consumer",),
)

BATCH_SECONDS: Final = _histogram(
    "consumer_batch_seconds",
    "Duration of a batch, retries included.",
    "consumer",
    "lane",
    where=("consumer",),
    buckets=SECONDS,
)

DELAY: Final = _histogram(
    "consumer_delay_seconds",
    "From the broker's timestamp to COMMIT: delay of the oldest message of each batch.",
    "consumer",
    "lane",
    where=("consumer",),
    buckets=DELAYS,
)

DEAD_LETTERS: Final = _counter(
    "consumer_dead_letters",
    "Messages set aside as dead letters because they could not be applied, by reason.",
    "consumer",
    "reason",
    where=("consumer",),
)

FENCED: Final = _counter(
    "consumer_fenced",
    "Batches rolled back because another member had already moved the offset.",
    "consumer",
    "lane",
    where=("consumer",),
)

OUTAGES: Final = _counter(
    "consumer_outages",
    "Waits for the database or Kafka. Nothing is lost meanwhile.",
    "consumer",
    "lane",
    where=("consumer",),
)

LAG: Final = _gauge(
    "consumer_lag_messages",
    "Messages not yet applied in each partition that is assigned to this process.",
    "consumer",
    "topic",
    "partition",
    where=("consumer",),
)

LAST_STEP: Final = _gauge(
    "last_step_timestamp_seconds",
    "Last round of this process's loop (Unix time). If it does not advance, the process hangs.",
    "process",
    where=("consumer", "relay", "worker"),
)

# Relay
RELAYED: Final = _counter("relay_messages", "Outbox messages that Kafka acknowledged.", where=("relay",))
RELAY_FAILED: Final = _counter(
    "relay_unacknowledged",
    "Outbox messages that Kafka did not acknowledge and that are sent again. Refused ones are not counted.",
    where=("relay",),
)

RELAY_OUTAGES: Final = _counter(
    "relay_outages", "Waits of the relay because the database did not answer.", where=("relay",)
)

# Celery's worker
TASKS: Final = _counter("tasks", "Finished tasks, by name and result.", "task", "state", where=("worker",))

TASK_SECONDS: Final = _histogram("task_seconds", "Duration of each task.", "task", where=("worker",), buckets=SECONDS)

# Start these counters at zero: Prometheus sees no increase in the first value of a counter.
for _way in ("kafka", "outbox"):
    PUBLISHED.labels(_way)

# The whole system, computed at each scrape
DATABASE_UP: Final = _at_scrape("database_up", "1 if the database answered the web process, otherwise 0.")
KAFKA_UP: Final = _at_scrape("kafka_up", "1 if a broker answered within a second, otherwise 0.")
GROUP_MEMBERS: Final = _at_scrape(
    "group_members", "Members of each consumer group. Zero means that the consumer is stopped.", "group"
)

LAG_MESSAGES: Final = _at_scrape(
    "lag_messages",
    "Messages not yet applied by each consumer, running or not: the partition's end minus the offset in the database.",
    "consumer",
    "topic",
    "partition",
)

UNDER_REPLICATED: Final = _at_scrape(
    "under_replicated_partitions", "Partitions with fewer in-sync replicas than configured."
)

OUTBOX: Final = _at_scrape("outbox_messages", "Accepted messages that wait for Kafka in the database.")
OUTBOX_AGE: Final = _at_scrape("outbox_oldest_seconds", "Age of the oldest message in the outbox; 0 if it is empty.")
OUTBOX_REFUSED: Final = _at_scrape(
    "outbox_refused_messages",
    "Accepted messages that Kafka refused for good and that wait for a person; `outbox_messages` does not count them.",
    "topic",
)
OPEN_DEAD_LETTERS: Final = _at_scrape("open_dead_letters", "Dead letters that wait for a person.", "consumer")

WORK_OVERDUE: Final = _at_scrape(
    "work_overdue_seconds",
    "For how long the oldest item of each kind of work has been overdue; 0 if none is.",
    "work",
)

WORK_FAILED: Final = _at_scrape(
    "work_failed", "Items of each kind of work that a person must look at: given up, or failing repeatedly.", "work"
)
