"""What the event engine adds to the admin's home: dead letters, refused messages, its health."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final, NamedTuple

from django.db.models import Count, Min
from django.urls import reverse

from gremio.desk import Waiting
from inscripciones.models import Usuario
from kafka_bridge.models import DeadLetter, OutboxMessage
from kafka_bridge.monitoring import overview
from kafka_bridge.monitoring.problems import Problem

HEALTH_SECONDS: Final = 15.0  # how old the health may be: the brokers are not asked for each person


class Health(NamedTuple):
    """The system's health in a sentence, and the page that says more to those who may see it."""

    is_well: bool
    sentence: str
    url: str


def waiting(user: Usuario, now: datetime) -> Iterator[Waiting]:
    """Yield the dead letters and the messages that Kafka refused."""
    if user.has_perm("kafka_bridge.view_deadletter"):
        letters = DeadLetter.objects.filter(state=DeadLetter.State.OPEN).order_by()
        found = letters.aggregate(Count("pk"), since=Min("created_at"))
        url = reverse("admin:kafka_bridge_deadletter_changelist")
        yield Waiting(what="Mensajes no procesados", count=found["pk__count"], since=found["since"], url=url)
    if user.has_perm("kafka_bridge.view_outboxmessage"):
        refused = OutboxMessage.objects.filter(refused_at__isnull=False).order_by()
        found = refused.aggregate(Count("pk"), since=Min("refused_at"))
        url = f"{reverse('admin:kafka_bridge_outboxmessage_changelist')}?refused_at__isempty=0"
        yield Waiting(what="Mensajes que Kafka rechazó", count=found["pk__count"], since=found["since"], url=url)


def health(user: Usuario) -> Health:
    """Return the system's health, as it was seen at most HEALTH_SECONDS ago."""
    problems = overview.recent(HEALTH_SECONDS).problems
    if user.has_perm("kafka_bridge.view_overviewpage"):
        return Health(not problems, _told(problems), reverse("admin:kafka_bridge_overviewpage_changelist"))
    grave = any(problem.grave for problem in problems)
    return Health(not grave, _in_short(grave), "")


def _told(problems: list[Problem]) -> str:
    if not problems:
        return "Todo funciona."
    others = f" Y {len(problems) - 1} más." if len(problems) > 1 else ""
    return f"{problems[0].summary}{others}"


def _in_short(grave: bool) -> str:
    if grave:
        return (
            "El sistema tiene un problema: lo que se envía queda guardado, pero puede tardar. Avisa a quien lo opera."
        )
    return "El sistema funciona."
