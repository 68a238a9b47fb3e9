"""Sending the weekly e-mails, by one process at a time.

A row lock holds the report while its e-mail is on the way; the same transaction then marks it. If a
worker is killed, its connection and the lock end, and another worker sends that e-mail. Only a kill
between SMTP's 250 and our commit repeats an e-mail, under the same Message-ID.

An e-mail refused for now is tried again later; the row stores the server's answer. Only a refusal
counts as an attempt: a server that is down delays e-mails and drops none, however long it is down.
"""

import logging
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from smtplib import SMTPDataError, SMTPException, SMTPRecipientsRefused, SMTPServerDisconnected
from typing import Final

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from gremio import mail
from ventas.models import Cuenta, ReporteSemanal
from ventas.semanas import emails
from ventas.semanas.emails import Carta

logger = logging.getLogger(__name__)

EstadoCorreo = ReporteSemanal.EstadoCorreo
_jitter: Final = secrets.SystemRandom()

BATCH: Final = 100  # e-mails over one SMTP connection
TURN_SECONDS: Final = 20.0  # afterwards the worker is free for other tasks: new tokens must not wait long
MAX_REFUSALS: Final = 12  # refusals "for now" of one e-mail: about eight hours
FIRST_RETRY: Final = timedelta(seconds=30)
LONGEST_RETRY: Final = timedelta(hours=2)
RETRY_WITHOUT_SERVER: Final = timedelta(minutes=8)  # for the e-mail that found it down; others are tried earlier
CLOSING_CONNECTION: Final = 421  # SMTP: the server closes this connection
SENDER_LOCK: Final = 0x636F7272  # "corr": the advisory lock of the process that sends


class Outcome(Enum):
    """What happened to one e-mail."""

    SENT = auto()
    TAKEN = auto()  # another worker is sending it, or has sent it
    REFUSED = auto()  # the server answered, but does not accept this e-mail
    NO_SERVER = auto()  # the server does not answer, so the other e-mails would fail too


@dataclass(frozen=True)
class Sweep:
    """How many e-mails were sent, and whether the turn ended before all due e-mails were sent."""

    sent: int
    unfinished: bool = False


def enviar_pendientes(turn_seconds: float = TURN_SECONDS) -> Sweep:
    """Send the e-mails that are due, for `turn_seconds`.

    Stops if the server does not answer. Sends nothing while another process is sending.
    """
    with _sender_lock() as acquired:
        return _send_due(until=time.monotonic() + turn_seconds) if acquired else Sweep(0)


@contextmanager
def _sender_lock() -> Iterator[bool]:
    """Try to take the lock of the process that sends; the value tells whether it was free.

    PostgreSQL releases the lock when the connection ends, also that of a killed process.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [SENDER_LOCK])
        [acquired] = cursor.fetchone()
        try:
            yield acquired
        finally:
            if acquired:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [SENDER_LOCK])


def _send_due(until: float) -> Sweep:
    """Send batch after batch until nothing is due, the server fails, or the turn ends."""
    sent = 0
    while reportes := list(pendientes(ahora=timezone.now()).order_by("id")[:BATCH]):
        outcomes = _send_batch(emails.cartas(reportes), until)
        sent += outcomes.count(Outcome.SENT)
        if Outcome.NO_SERVER in outcomes or set(outcomes) == {Outcome.TAKEN}:
            break
        if time.monotonic() > until:
            return Sweep(sent, unfinished=True)
    return Sweep(sent)


def pendientes(*, ahora: datetime) -> QuerySet[ReporteSemanal]:
    """Return the reports whose e-mail is due now, of maestros whose address is known."""
    cuenta = Cuenta.objects.filter(maestro_id=OuterRef("maestro_id"))
    due = Q(proximo_intento=None) | Q(proximo_intento__lte=ahora)
    return ReporteSemanal.objects.filter(due, Exists(cuenta), envio=EstadoCorreo.PENDIENTE)


def _send_batch(cartas: Sequence[Carta], until: float) -> list[Outcome]:
    """Send over one connection, at CORREOS_POR_SEGUNDO, until the server fails or the turn ends."""
    outcomes: list[Outcome] = []
    server = get_connection()
    try:
        for carta in cartas:
            outcomes.append(_send(server, carta))
            if outcomes[-1] is Outcome.NO_SERVER or time.monotonic() > until:
                break
            if outcomes[-1] is Outcome.SENT and settings.CORREOS_POR_SEGUNDO:
                time.sleep(1 / settings.CORREOS_POR_SEGUNDO)
    finally:
        server.close()
    return outcomes


def _send(server: BaseEmailBackend, carta: Carta) -> Outcome:
    """Lock the row, send the e-mail, mark the row: one transaction per e-mail."""
    with transaction.atomic():
        reporte = _claim(carta.reporte)
        if reporte is None:
            return Outcome.TAKEN
        try:
            _deliver(server, emails.componer(carta))
        except mail.DELIVERY_ERRORS as error:
            return _note_failure(reporte, error)
        reporte.envio, reporte.enviado_en = EstadoCorreo.ENVIADO, timezone.now()
        reporte.intentos, reporte.respuesta = reporte.intentos + 1, ""
        reporte.save()
        return Outcome.SENT


def _claim(seen: ReporteSemanal) -> ReporteSemanal | None:
    """Return the row, locked, if its e-mail is still due as read and no other worker holds it."""
    rows = ReporteSemanal.objects.select_for_update(skip_locked=True)
    return rows.filter(pk=seen.pk, envio=EstadoCorreo.PENDIENTE, proximo_intento=seen.proximo_intento).first()


def _deliver(server: BaseEmailBackend, message: EmailMultiAlternatives) -> None:
    """Send over the open connection; if the server closes a used one, once more over a new one."""
    was_open = server.open() is False
    try:
        server.send_messages([message])
    except (SMTPException, ConnectionError) as error:
        if not (was_open and _connection_failed(error)):
            raise
        server.close()
        server.open()
        server.send_messages([message])


def _connection_failed(error: Exception) -> bool:
    """Return whether the connection ended, or the server closes it (421).

    The e-mail is not to blame for that.
    """
    return isinstance(error, SMTPServerDisconnected | ConnectionError) or CLOSING_CONNECTION in mail.codes(error)


def _note_failure(reporte: ReporteSemanal, error: Exception) -> Outcome:
    """Store the server's answer; a refusal that is final or the last ends the attempts."""
    refused = _email_is_refused(error)
    reporte.respuesta = mail.answer(error)
    if refused:
        reporte.intentos += 1
        final = mail.recipient_is_refused_for_good(error) or mail.content_is_refused_for_good(error)
        if final or reporte.intentos >= MAX_REFUSALS:
            reporte.envio = EstadoCorreo.FALLIDO
    reporte.proximo_intento = timezone.now() + (_backoff(reporte.intentos) if refused else RETRY_WITHOUT_SERVER)
    reporte.save()
    logger.warning("report %d not sent after %d refusals: %s", reporte.pk, reporte.intentos, type(error).__name__)
    return Outcome.REFUSED if refused else Outcome.NO_SERVER


def _email_is_refused(error: Exception) -> bool:
    """Return whether only this e-mail is refused; otherwise the other e-mails would fail too."""
    of_email = isinstance(error, SMTPRecipientsRefused | SMTPDataError | ValueError)
    return of_email and CLOSING_CONNECTION not in mail.codes(error)


def _backoff(refusals: int) -> timedelta:
    """Return a wait that doubles with each refusal, with 20 % jitter."""
    exact: timedelta = FIRST_RETRY * 2 ** (refusals - 1)
    return min(LONGEST_RETRY, exact) * _jitter.uniform(0.8, 1.2)


def reenviar(reportes: QuerySet[ReporteSemanal]) -> int:
    """Make the e-mails of these reports due again, sent ones too; return how many.

    They keep their Message-IDs.
    """
    return reportes.update(envio=EstadoCorreo.PENDIENTE, intentos=0, proximo_intento=None, respuesta="")
