"""`manage.py after_restore`: what a replay must not decide by itself, once a backup is restored (docs/restore.md)."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.sessions.models import Session
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone
from knox.models import AuthToken

from inscripciones.models import Envio
from kafka_bridge.consuming import progress
from kafka_bridge.consuming.handlers import consumers
from ventas.models import ReporteSemanal
from ventas.semanas import cierre
from ventas.semanas.reports import RETENIDO


class Command(BaseCommand):
    help = (
        "Run it when a backup was restored and the consumers have replayed what it lacked, before worker, Beat and web "
        "start: voids every token and session, and holds the e-mails that may have been sent already."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--send-credentials",
            action="store_true",
            help="send every maestro new credentials as soon as the worker runs",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        refuse_while_behind()
        with transaction.atomic():
            tokens, _ = AuthToken.objects.all().delete()
            Session.objects.all().delete()
            held = hold_mails()
            credentials = owe_credentials(send=options["send_credentials"])
        self.stdout.write(f"{tokens} tokens voided. {held} e-mails held: see the admin, resend what is missing.")
        state = "will be sent" if options["send_credentials"] else "are held (--send-credentials sends them)"
        self.stdout.write(f"New credentials for {credentials} maestros {state}. Now start worker, Beat and web.")


def refuse_while_behind() -> None:
    """Raises CommandError, naming the consumers, while something is still to be replayed."""
    waiting = [
        f"{name} lacks {sum(lacking.values())} messages of {topic.name}"
        for name, consumer in sorted(consumers.items())
        for topic in consumer.topics
        if (lacking := lacking_of(name, topic.name))
    ]
    if waiting:
        raise CommandError(f"Not yet: {'; '.join(waiting)}. Let the consumers run, then try again.")


def lacking_of(consumer: str, topic: str) -> dict[int, int]:
    """By partition, the messages of the topic that the consumer has yet to apply."""
    return progress.remaining(consumer, topic, progress.topic_ends(topic))


def hold_mails() -> int:
    """Whether an e-mail that is owed was sent since the backup, nobody knows any more: a person decides.

    The weeks that closed since will close again when Beat runs, with their e-mails held too.
    """
    cierre.retener_correos(ahora=timezone.now())
    letters = Envio.objects.filter(estado__in=Envio.ABIERTOS).update(estado=Envio.Estado.DETENIDO)
    reports = ReporteSemanal.objects.filter(envio=ReporteSemanal.EstadoCorreo.PENDIENTE)
    return letters + reports.update(envio=ReporteSemanal.EstadoCorreo.FALLIDO, respuesta=RETENIDO)


def owe_credentials(*, send: bool) -> int:
    """Every token is void, so every active maestro is owed a new one."""
    state = Envio.Estado.PENDIENTE if send else Envio.Estado.DETENIDO
    theirs = Envio.objects.filter(tipo=Envio.Tipo.CREDENCIALES, inscripcion__maestro__usuario__is_active=True)
    return theirs.update(estado=state, proximo_intento=timezone.now())
