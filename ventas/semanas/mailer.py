"""Sending the weekly e-mails, by one process at a time.

A worker claims a report, sends its e-mail, and marks the report: no transaction is open meanwhile,
and no lock of a database session is used, so a slow mail server and a connection pool do no harm.
Claims are dated by the database's clock: those of the workers may differ by more than a claim.
The claim of a killed worker lapses, and another worker sends that e-mail. Only a kill between
SMTP's 250 and our mark repeats an e-mail, under the same Message-ID.

An e-mail refused for now is tried again later; the row stores the server's answer. Only a refusal
counts as an attempt: a server that is down delays e-mails and drops none, however long it is down.
"""

import logging
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from smtplib import SMTPException, SMTPServerDisconnected
from typing import Final

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from gremio import mail
from gremio.clock import database_now
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
RETRY_WITHOUT_SERVER: Final = timedelta(seconds=15)  # for the e-mail that found it down; it goes behind the others
LATEST: Final = 2 * LONGEST_RETRY
# Longer than two SMTP conversations in which many steps take EMAIL_TIMEOUT. As long as a claim
# lasts, no other worker sends that e-mail.
CLAIM: Final = timedelta(minutes=4)
# The worker of a claim that is older no longer keeps others from sending other e-mails: it was
# killed, or the mail server is slow.
TURN: Final = timedelta(seconds=10)


class Outcome(Enum):
    """What happened to one e-mail."""

    SENT = auto()
    TAKEN = auto()  # another worker is sending it or has sent it, or a person has changed its row
    REFUSED = auto()  # the server answered, but does not accept this e-mail
    NO_SERVER = auto()  # the server does not answer, so the other e-mails would fail too


@dataclass(frozen=True)
class Sweep:
    """How many e-mails were sent, and why not all due ones: the turn has ended, or no server."""

    sent: int
    unfinished: bool = False
    no_server: bool = False


def enviar_pendientes(turn_seconds: float = TURN_SECONDS) -> Sweep:
    """Send the e-mails that are due, for `turn_seconds`.

    Stops if the server does not answer. Sends nothing while another process is sending.
    """
    until = time.monotonic() + turn_seconds
    sent = 0
    while not _another_sends() and (reportes := _next_batch()):
        outcomes = _send_batch(emails.cartas(reportes), until)
        sent += outcomes.count(Outcome.SENT)
        if Outcome.NO_SERVER in outcomes:
            return Sweep(sent, no_server=True)
        if time.monotonic() > until:
            return Sweep(sent, unfinished=True)
    return Sweep(sent)


def _next_batch() -> list[ReporteSemanal]:
    """Return the e-mails to send now.

    Those that were tried come last: an e-mail at which the server fails each time, such as one that
    a filter never lets pass, holds up no other.
    """
    due = pendientes(ahora=database_now())
    return list(due.order_by(F("proximo_intento").asc(nulls_first=True), "id")[:BATCH])


def _another_sends() -> bool:
    """Return whether another worker is sending.

    A fresh claim shows that: between two batches this worker has claimed none.
    """
    now = database_now()
    claims = ReporteSemanal.objects.filter(envio=EstadoCorreo.ENVIANDO)
    # A later claim was dated by a clock that was ahead and has been set right.
    return claims.filter(proximo_intento__gt=now - TURN + CLAIM, proximo_intento__lte=now + TURN + CLAIM).exists()


def pendientes(*, ahora: datetime) -> QuerySet[ReporteSemanal]:
    """Return the reports whose e-mail is due now, of maestros whose address is known.

    Among them are those whose claim has lapsed, and those that a clock dated which was ahead.
    """
    cuenta = Cuenta.objects.filter(maestro_id=OuterRef("maestro_id"))
    due = Q(proximo_intento=None) | Q(proximo_intento__lte=ahora) | Q(proximo_intento__gt=ahora + LATEST)
    return ReporteSemanal.objects.filter(due, Exists(cuenta), envio__in=ReporteSemanal.POR_ENVIAR)


def _send_batch(cartas: Sequence[Carta], until: float) -> list[Outcome]:
    """Send over one connection, at CORREOS_POR_SEGUNDO.

    Ends early if the server fails, the turn ends, or another worker has taken an e-mail.
    """
    outcomes: list[Outcome] = []
    server = get_connection()
    try:
        for carta in cartas:
            outcomes.append(_send(server, carta))
            if outcomes[-1] in (Outcome.NO_SERVER, Outcome.TAKEN) or time.monotonic() > until:
                break
            if outcomes[-1] is Outcome.SENT and settings.CORREOS_POR_SEGUNDO:
                time.sleep(1 / settings.CORREOS_POR_SEGUNDO)
    finally:
        server.close()
    return outcomes


def _send(server: BaseEmailBackend, carta: Carta) -> Outcome:
    """Claim the row, send the e-mail, mark the row. Each is committed before the next begins."""
    claimed = _claim(carta.reporte)
    if claimed is None:
        return Outcome.TAKEN
    try:
        _deliver(server, emails.componer(carta))
    except mail.DELIVERY_ERRORS as error:
        return _note_failure(carta.reporte, claimed, error)
    except Exception as error:
        # A bug of ours must not keep the e-mail claimed, nor the others waiting behind it.
        due = database_now() + RETRY_WITHOUT_SERVER
        claimed.update(envio=EstadoCorreo.PENDIENTE, proximo_intento=due, respuesta=type(error).__name__)
        raise
    claimed.update(
        envio=EstadoCorreo.ENVIADO,
        enviado_en=timezone.now(),
        intentos=F("intentos") + 1,
        proximo_intento=None,
        respuesta="",
    )
    return Outcome.SENT


def _claim(seen: ReporteSemanal) -> QuerySet[ReporteSemanal] | None:
    """Claim the row if its e-mail is still due as read, and return the query for it, else None.

    The query finds no row once the claim has lapsed and another worker has the e-mail, or once a
    person has asked for it again: what happened to the earlier e-mail then changes nothing.
    """
    row = ReporteSemanal.objects.filter(pk=seen.pk)
    lapses = database_now() + CLAIM
    still_due = row.filter(envio=seen.envio, proximo_intento=seen.proximo_intento, reenvios=seen.reenvios)
    if not still_due.update(envio=EstadoCorreo.ENVIANDO, proximo_intento=lapses):
        return None
    return row.filter(envio=EstadoCorreo.ENVIANDO, proximo_intento=lapses, reenvios=seen.reenvios)


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
    return isinstance(error, SMTPServerDisconnected | ConnectionError) or mail.CLOSING_CONNECTION in mail.codes(error)


def _note_failure(reporte: ReporteSemanal, claimed: QuerySet[ReporteSemanal], error: Exception) -> Outcome:
    """Store the server's answer; a refusal that is final or the last ends the attempts."""
    refused = mail.email_is_refused(error)
    intentos = reporte.intentos + refused
    final = mail.recipient_is_refused_for_good(error) or mail.content_is_refused_for_good(error)
    given_up = refused and (final or intentos >= MAX_REFUSALS)
    claimed.update(
        envio=EstadoCorreo.FALLIDO if given_up else EstadoCorreo.PENDIENTE,
        intentos=intentos,
        proximo_intento=database_now() + (_backoff(intentos) if refused else RETRY_WITHOUT_SERVER),
        respuesta=mail.answer(error),
    )
    logger.warning("report %d not sent after %d refusals: %s", reporte.pk, intentos, type(error).__name__)
    return Outcome.REFUSED if refused else Outcome.NO_SERVER


def _backoff(refusals: int) -> timedelta:
    """Return a wait that doubles with each refusal, with 20 % jitter."""
    exact: timedelta = FIRST_RETRY * 2 ** (refusals - 1)
    return min(LONGEST_RETRY, exact) * _jitter.uniform(0.8, 1.2)


def reenviar(reportes: QuerySet[ReporteSemanal]) -> int:
    """Make the e-mails of these reports due again, sent ones too; return how many.

    They are new messages, with new Message-IDs: mailboxes drop a message that they have.
    """
    return reportes.update(
        envio=EstadoCorreo.PENDIENTE, intentos=0, proximo_intento=None, respuesta="", reenvios=F("reenvios") + 1
    )
