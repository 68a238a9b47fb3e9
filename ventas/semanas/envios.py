"""Sending the weekly e-mails, one sender at a time: each report is held by a row lock while its mail is on its way, then marked.

A worker that is killed lets go of its row with its connection: another sends that mail. Only a kill between SMTP's 250 and
our commit repeats one, under the same Message-ID. What SMTP refuses for now is tried again later; the rows say what it said.
Only a refusal counts as an attempt: a server that is down delays mails for as long as it is, and drops none.
"""

import logging
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum, auto
from smtplib import (
    SMTPDataError,
    SMTPException,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPServerDisconnected,
)
from typing import Final
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from ventas import calendario
from ventas.models import Cuenta, Producto, ReporteSemanal
from ventas.semanas import emails, reports
from ventas.semanas.reports import Resumen

logger = logging.getLogger(__name__)

TANDA: Final = 100  # mails over one SMTP connection
MAX_INTENTOS: Final = 12  # refusals "for now" of one mail: about eight hours
PRIMERA_ESPERA: Final = timedelta(seconds=30)
MAYOR_ESPERA: Final = timedelta(hours=2)
ESPERA_SIN_SERVIDOR: Final = timedelta(minutes=8)  # of the mail that found it down; the next ones are tried meanwhile
TURNO: Final = 20.0  # seconds, after which the worker is left to other tasks: a token must not wait for a guild's mails
SE_DESPIDE: Final = 421  # SMTP: the server closes this connection
UN_REMITENTE: Final = 0x636F7272  # "corr": the advisory lock of who sends


class Desenlace(Enum):
    """What became of one mail."""

    ENVIADO = auto()
    DE_OTRO = auto()  # another worker has it, or had it
    RECHAZADO = auto()  # the server answered, and does not take this one
    SIN_SERVIDOR = auto()  # the server does not answer: the others would fare no better


@dataclass(frozen=True)
class Barrido:
    """How many mails went out, and whether the turn ended before the mails did."""

    enviados: int
    siguen: bool = False


def enviar_pendientes(turno: float = TURNO) -> Barrido:
    """Sends the mails that are due, for `turno` seconds. Stops where the server does not answer; nothing if another sends."""
    with _solo_uno() as solo:
        return _barrer(time.monotonic() + turno) if solo else Barrido(0)


@contextmanager
def _solo_uno() -> Iterator[bool]:
    """Whether nobody else is sending, in any process; PostgreSQL lets go of it with the connection of who dies."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [UN_REMITENTE])
        [solo] = cursor.fetchone()
        try:
            yield solo
        finally:
            if solo:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [UN_REMITENTE])


def _barrer(hasta: float) -> Barrido:
    enviados = 0
    while cartas := _cartas(ahora=timezone.now()):
        desenlaces = _enviar_tanda(cartas, hasta)
        enviados += desenlaces.count(Desenlace.ENVIADO)
        if Desenlace.SIN_SERVIDOR in desenlaces or set(desenlaces) == {Desenlace.DE_OTRO}:
            break
        if time.monotonic() > hasta:
            return Barrido(enviados, siguen=True)
    return Barrido(enviados)


def pendientes(*, ahora: datetime) -> QuerySet[ReporteSemanal]:
    """The reports whose mail is due: never tried or to be tried again, of maestros whose address is known."""
    cuenta = Cuenta.objects.filter(maestro_id=OuterRef("maestro_id"))
    debidos = ReporteSemanal.objects.filter(Q(proximo_intento=None) | Q(proximo_intento__lte=ahora), Exists(cuenta))
    return debidos.filter(envio=ReporteSemanal.Envio.PENDIENTE)


def reenviar(reportes: QuerySet[ReporteSemanal]) -> int:
    """Owes the mails of these reports anew, sent ones too, under the same Message-ID. Returns how many."""
    return reportes.update(envio=ReporteSemanal.Envio.PENDIENTE, intentos=0, proximo_intento=None, respuesta="")


def _cartas(*, ahora: datetime) -> list[emails.Carta]:
    """The next mails that are due with all that they say: five queries, however many of a week."""
    reportes = list(pendientes(ahora=ahora).order_by("id")[:TANDA])
    cuentas = Cuenta.objects.in_bulk([reporte.maestro_id for reporte in reportes])
    anteriores = _anteriores(reportes)
    nombres = dict(Producto.objects.values_list("codigo", "nombre")) if reportes else {}
    resumenes = _resumenes(reportes)
    return [
        emails.Carta(
            reporte=reporte,
            resumen=resumenes[reporte.semana_id, reporte.maestro_id],
            cuenta=cuentas[reporte.maestro_id],
            anterior=anteriores.get((reporte.semana_id, reporte.maestro_id)),
            nombres=nombres,
        )
        for reporte in reportes
    ]


def _resumenes(reportes: list[ReporteSemanal]) -> dict[tuple[date, UUID], Resumen]:
    """By week and maestro, the days and products; one query a week."""
    por_semana: dict[date, list[UUID]] = defaultdict(list)
    for reporte in reportes:
        por_semana[reporte.semana_id].append(reporte.maestro_id)
    return {
        (lunes, maestro): resumen
        for lunes, maestros in por_semana.items()
        for maestro, resumen in reports.resumenes(lunes, maestros).items()
    }


def _anteriores(reportes: list[ReporteSemanal]) -> dict[tuple[date, UUID], ReporteSemanal]:
    """By week and maestro, the report of the week before."""
    lunes = {reporte.semana_id - calendario.SEMANA for reporte in reportes}
    maestros = [reporte.maestro_id for reporte in reportes]
    anteriores = ReporteSemanal.objects.filter(semana_id__in=lunes, maestro_id__in=maestros)
    return {(anterior.semana_id + calendario.SEMANA, anterior.maestro_id): anterior for anterior in anteriores}


def _enviar_tanda(cartas: list[emails.Carta], hasta: float) -> list[Desenlace]:
    """Sends over one connection, at CORREOS_POR_SEGUNDO, until the server stops answering or the turn ends."""
    desenlaces: list[Desenlace] = []
    conexion = get_connection()
    try:
        for carta in cartas:
            desenlaces.append(_enviar(conexion, carta))
            if desenlaces[-1] is Desenlace.SIN_SERVIDOR or time.monotonic() > hasta:
                break
            if desenlaces[-1] is Desenlace.ENVIADO and settings.CORREOS_POR_SEGUNDO:
                time.sleep(1 / settings.CORREOS_POR_SEGUNDO)
    finally:
        conexion.close()
    return desenlaces


def _enviar(conexion: BaseEmailBackend, carta: emails.Carta) -> Desenlace:
    """Holds the row, sends, marks the row: one transaction a mail."""
    with transaction.atomic():
        reporte = _tomar(carta.reporte)
        if reporte is None:
            return Desenlace.DE_OTRO
        try:
            _entregar(conexion, emails.componer(carta))
        except (SMTPException, OSError, ValueError) as error:  # ValueError: an address that no header can hold
            return _anotar(reporte, error)
        reporte.envio, reporte.enviado_en = ReporteSemanal.Envio.ENVIADO, timezone.now()
        reporte.intentos, reporte.respuesta = reporte.intentos + 1, ""
        reporte.save()
        return Desenlace.ENVIADO


def _entregar(conexion: BaseEmailBackend, mail: EmailMultiAlternatives) -> None:
    """Over the connection that is open; over a new one, once, where the server has had enough of that one."""
    usada = conexion.open() is False
    try:
        conexion.send_messages([mail])
    except (SMTPException, ConnectionError) as error:
        if not (usada and _se_corto(error)):
            raise
        conexion.close()
        conexion.open()
        conexion.send_messages([mail])


def _tomar(visto: ReporteSemanal) -> ReporteSemanal | None:
    """The row, locked, if its mail is still owed as it was seen and nobody else is at it."""
    debidos = ReporteSemanal.objects.select_for_update(skip_locked=True)
    return debidos.filter(
        pk=visto.pk, envio=ReporteSemanal.Envio.PENDIENTE, proximo_intento=visto.proximo_intento
    ).first()


def _anotar(reporte: ReporteSemanal, error: Exception) -> Desenlace:
    """Writes down what the server said. A refusal counts: it is for good, or tried again later, or was one too many."""
    reporte.respuesta = respuesta_de(error)
    rechazado = _es_del_mensaje(error)
    if rechazado:
        reporte.intentos += 1
        if _es_definitivo(error) or reporte.intentos >= MAX_INTENTOS:
            reporte.envio = ReporteSemanal.Envio.FALLIDO
    reporte.proximo_intento = timezone.now() + (_espera(reporte.intentos) if rechazado else ESPERA_SIN_SERVIDOR)
    reporte.save()
    logger.warning("report %d not sent after %d refusals: %s", reporte.pk, reporte.intentos, type(error).__name__)
    return Desenlace.RECHAZADO if rechazado else Desenlace.SIN_SERVIDOR


def _espera(intentos: int) -> timedelta:
    """Twice as long each time, with jitter."""
    exacta: timedelta = PRIMERA_ESPERA * 2 ** (intentos - 1)
    return min(MAYOR_ESPERA, exacta) * random.uniform(0.8, 1.2)  # noqa: S311 - jitter


def _se_corto(error: Exception) -> bool:
    """Whether the connection is what failed, or the server closes it (421): nothing is wrong with the mail."""
    return isinstance(error, SMTPServerDisconnected | ConnectionError) or SE_DESPIDE in _codigos(error)


def _es_del_mensaje(error: Exception) -> bool:
    """Whether this mail is what was refused; else the others would fare no better."""
    del_mensaje = isinstance(error, SMTPRecipientsRefused | SMTPDataError | ValueError)
    return del_mensaje and SE_DESPIDE not in _codigos(error)


def _codigos(error: Exception) -> set[int]:
    if isinstance(error, SMTPRecipientsRefused):
        return {codigo for codigo, _ in error.recipients.values()}
    return {error.smtp_code} if isinstance(error, SMTPResponseException) else set()


def _es_definitivo(error: Exception) -> bool:
    """SMTP's 5xx for the mailbox or for the message, and a mail that cannot be written at all; all else may pass."""
    if isinstance(error, SMTPRecipientsRefused):
        return all(codigo >= 500 for codigo in _codigos(error))
    return isinstance(error, ValueError) or (isinstance(error, SMTPDataError) and error.smtp_code >= 500)


def respuesta_de(error: Exception) -> str:
    """What the server answered (`550 5.1.1 no such user`), or what went wrong on the way. For staff; never logged."""
    if isinstance(error, SMTPRecipientsRefused):
        return "; ".join(_texto(codigo, texto) for codigo, texto in error.recipients.values())
    if isinstance(error, SMTPResponseException):
        return _texto(error.smtp_code, error.smtp_error)
    return f"{type(error).__name__}: {error}".replace("\x00", "")[:1_000]


def _texto(codigo: int, texto: bytes | str) -> str:
    legible = texto.decode(errors="replace") if isinstance(texto, bytes) else texto
    return f"{codigo} {legible}".replace("\x00", "")[:1_000]
