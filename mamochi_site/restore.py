"""The last step of restoring a backup: tokens, sessions and e-mails (docs/restore.md)."""

from dataclasses import dataclass

from django.contrib.sessions.models import Session
from django.db import transaction
from django.utils import timezone
from knox.models import AuthToken

from gremio.clock import database_now
from inscripciones.models import Envio
from kafka_bridge.consuming import progress
from kafka_bridge.consuming.handlers import consumers
from ventas.models import ReporteSemanal
from ventas.semanas import cierre
from ventas.semanas.reports import RETENIDO


class ReplayUnfinished(Exception):
    """Consumers have not replayed all messages; the text names them. Let them run and try again."""


@dataclass(frozen=True)
class Restored:
    """What was done, as numbers of rows."""

    tokens_voided: int
    mails_held: int
    credentials: int


def finish_restore(*, send_credentials: bool) -> Restored:
    """Void every token and session and hold the e-mails that may have been sent since the backup.

    Each active maestro gets new credentials; their e-mails are held too unless `send_credentials`.
    Raises ReplayUnfinished, and KafkaException if Kafka cannot be reached.
    """
    require_replay_finished()
    with transaction.atomic():
        tokens, _ = AuthToken.objects.all().delete()
        Session.objects.all().delete()
        held = _hold_mails()
        credentials = _renew_credentials(send=send_credentials)
    return Restored(tokens, held, credentials)


def require_replay_finished() -> None:
    """Raise ReplayUnfinished while Kafka has messages that a consumer has not applied."""
    waiting = [
        f"{name} lacks {sum(lacking.values())} messages of {topic.name}"
        for name, consumer in sorted(consumers.items())
        for topic in consumer.topics
        if (lacking := _lacking(name, topic.name))
    ]
    if waiting:
        raise ReplayUnfinished("; ".join(waiting) + _open_transactions())


def _open_transactions() -> str:
    """Name the open transactions of other programs: consumers are handed nothing behind them."""
    names = {topic.name for consumer in consumers.values() for topic in consumer.topics}
    held_up = progress.open_transactions(
        (name, number) for name in sorted(names) for number in progress.end_offsets(name)
    )
    places = [f"{topic}[{partition}] from offset {at} on" for (topic, partition), at in held_up.items()]
    return f". Another program has an open transaction in {', '.join(places)}" if places else ""


def _lacking(consumer: str, topic: str) -> dict[int, int]:
    """Return how many messages of the topic the consumer has not applied, by partition."""
    return progress.remaining(consumer, topic, progress.topic_ends(topic))


def _hold_mails() -> int:
    """Hold every unsent e-mail for a person to decide, and return how many.

    The backup cannot say whether such an e-mail was sent after it was made. Weeks that closed since
    the backup will be closed again by Beat, and their e-mails are held too.
    """
    cierre.retener_correos(ahora=max(timezone.now(), database_now()))  # rather one week more
    letters = Envio.objects.filter(estado__in=Envio.ABIERTOS).update(estado=Envio.Estado.DETENIDO)
    reports = ReporteSemanal.objects.filter(envio__in=ReporteSemanal.POR_ENVIAR)
    return letters + reports.update(envio=ReporteSemanal.EstadoCorreo.FALLIDO, respuesta=RETENIDO)


def _renew_credentials(*, send: bool) -> int:
    """Queue (or hold) a credentials e-mail for every active maestro, and return how many.

    All need one because every token is void.
    """
    state = Envio.Estado.PENDIENTE if send else Envio.Estado.DETENIDO
    theirs = Envio.objects.filter(tipo=Envio.Tipo.CREDENCIALES, inscripcion__maestro__usuario__is_active=True)
    return theirs.update(estado=state, proximo_intento=database_now())
