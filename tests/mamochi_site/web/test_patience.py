"""A request's waits for silent servers fit together into the 10 s that clients are promised."""

from django.conf import settings

from kafka_bridge.publishing.producer import DEADLINE_MS
from mamochi_site.web.patience import DATABASE_SECONDS

PROMISED_SECONDS = 10.0
OWN_WORK_SECONDS = 0.5  # on a busy machine


def test_waits_fit_into_what_clients_are_promised() -> None:
    """Of an enrolment in a cut: a statement, Kafka, and a new connection for the outbox."""
    connecting = settings.DATABASES["default"]["OPTIONS"]["connect_timeout"]
    assert DATABASE_SECONDS + DEADLINE_MS / 1_000 + connecting + OWN_WORK_SECONDS <= PROMISED_SECONDS
