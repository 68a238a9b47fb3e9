"""Closing a week: it waits until all that was accepted before its boundary is in the ledger, then writes its reports.

Resumable and safe to call from anywhere at once: each step is stored, and calling again goes on where it stopped.
"""

import logging
from datetime import date, datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from kafka_bridge.consuming import progress
from kafka_bridge.consuming.progress import TopicEnds
from kafka_bridge.exceptions import KafkaUnavailable
from kafka_bridge.models import DeadLetter
from kafka_bridge.publishing import outbox
from kafka_bridge.publishing.producer import DEADLINE_MS
from ventas import calendario
from ventas.models import Semana
from ventas.semanas import reports

logger = logging.getLogger(__name__)

CONSUMIDOR: Final = "contabilidad"

# After the boundary, how long a request that began before it may still be at work: the wait for Kafka, the
# INSERT into the outbox, and the difference between the machines' clocks.
MARGEN: Final = timedelta(milliseconds=DEADLINE_MS) + timedelta(seconds=5) + timedelta(seconds=2)


def semanas_vencidas(*, ahora: datetime) -> list[date]:
    """The Mondays of the weeks whose boundary has passed and that are not closed, oldest first. Makes missing weeks.

    A Beat that was off for a month finds four; a week in which nothing was sold closes too.
    """
    _asegurar_semanas(calendario.semana_de(ahora))
    pendientes = Semana.objects.exclude(estado=Semana.Estado.CERRADA).filter(hasta__lte=ahora)
    return list(pendientes.order_by("lunes").values_list("lunes", flat=True))


def retener_correos(*, ahora: datetime) -> int:
    """After a restore: weeks that are due may have closed before, and their e-mails be sent. Staff decide what to resend.

    Returns how many weeks.
    """
    return Semana.objects.filter(pk__in=semanas_vencidas(ahora=ahora)).update(correos_retenidos=True)


def _asegurar_semanas(actual: date) -> None:
    """A row for each week from the last closed one (or the first known) to the current one."""
    cerradas = Semana.objects.filter(estado=Semana.Estado.CERRADA).order_by("-lunes")
    conocida = cerradas.first() or Semana.objects.order_by("lunes").first()
    primera = conocida.lunes if conocida else actual
    faltan = ((actual - primera) // calendario.SEMANA) + 1
    Semana.objects.bulk_create(
        [Semana.nueva(primera + n * calendario.SEMANA) for n in range(faltan)], ignore_conflicts=True
    )


def cerrar_semana(lunes: date, *, ahora: datetime, hasta: datetime | None = None) -> bool:
    """Closes the week of a Monday if it is complete; else notes what it waits for. Returns whether it is closed.

    `hasta`: a boundary earlier than the week's end, to close it early: what comes later counts in the next one as an
    adjustment. Raises ValueError where `lunes` is no Monday or `hasta` lies outside of the week.
    """
    semana = _semana(lunes, hasta)
    if semana.cerrada:
        return True
    espera = _que_espera(semana, ahora)
    if espera:
        Semana.objects.filter(pk=lunes).exclude(estado=Semana.Estado.CERRADA).update(espera=espera)
        logger.info("Semana %s: %s", semana, espera)
        return False
    contabilizar(lunes, ahora=ahora)
    return True


def _semana(lunes: date, hasta: datetime | None) -> Semana:
    """The week's row, with its boundary moved to `hasta` if it is given; the offsets of another boundary are forgotten."""
    if lunes.weekday():
        raise ValueError(f"{lunes} is no Monday")
    nueva = Semana.nueva(lunes)
    if hasta is not None and not nueva.desde <= hasta <= nueva.hasta:
        raise ValueError(f"{hasta} lies outside of the week {nueva}")
    Semana.objects.bulk_create([nueva], ignore_conflicts=True)
    if hasta is not None:
        _olvidar_fines(Semana.objects.filter(pk=lunes).exclude(hasta=hasta), hasta=hasta)
    return Semana.objects.get(pk=lunes)


def _que_espera(semana: Semana, ahora: datetime) -> str:
    """What must happen before the week is complete, in words for staff; empty when it is. The order matters.

    Once nothing older waits in the outbox, the topics' ends are stored: all that was accepted before lies below.
    """
    anterior = Semana.objects.exclude(estado=Semana.Estado.CERRADA).filter(lunes__lt=semana.lunes).first()
    if anterior:
        return f"Espera que se cierre la semana {anterior}."
    completa = semana.hasta + MARGEN
    if ahora < completa:
        return f"Espera que pase el {timezone.localtime(completa):%d-%m-%Y a las %H:%M:%S}."
    if semana.fines is None:
        if por_publicar := outbox.older_than(completa, progress.topic_names(CONSUMIDOR)):
            return f"Espera que salgan a Kafka mensajes que se aceptaron antes del cierre: {_lista(por_publicar)}."
        if error := _guardar_fines(semana):
            return error
    return _atraso(semana)


def _lista(cuantos: dict[str, int]) -> str:
    return ", ".join(f"{numero} de {donde}" for donde, numero in sorted(cuantos.items()))


def _guardar_fines(semana: Semana) -> str:
    """Stores where each of the consumer's topics ends now; what stops it, in words, if Kafka does not answer."""
    try:
        finales = {topic: progress.topic_ends(topic) for topic in progress.topic_names(CONSUMIDOR)}
    except KafkaUnavailable as error:
        return f"Espera a Kafka, que no dice dónde terminan los tópicos: {error}."
    fines = {topic: {"topico": final.topic_uuid, "fines": final.offsets} for topic, final in finales.items()}
    Semana.objects.filter(pk=semana.pk, fines__isnull=True).update(fines=fines, estado=Semana.Estado.CERRANDO)
    semana.refresh_from_db()
    return ""


def _atraso(semana: Semana) -> str:
    """What `contabilidad` has yet to enter of what the stored offsets name."""
    faltan = {
        f"{topic}[{particion}]": cuantos
        for topic, final in _por_alcanzar(semana).items()
        for particion, cuantos in progress.remaining(CONSUMIDOR, topic, final).items()
    }
    if not faltan:
        return ""
    if rehechos := _rehechos(semana):
        _olvidar_fines(Semana.objects.filter(pk=semana.pk))
        return f"Se mide de nuevo: se rehizo {', '.join(rehechos)}, y lo que se esperaba era del anterior."
    return f"Espera que contabilidad registre {sum(faltan.values())} mensajes: {_lista(faltan)}. ¿Está corriendo?"


def _por_alcanzar(semana: Semana) -> dict[str, TopicEnds]:
    """Return the stored ends that `contabilidad` must reach, by topic."""
    return {
        topic: TopicEnds(stored["topico"], {int(particion): fin for particion, fin in stored["fines"].items()})
        for topic, stored in (semana.fines or {}).items()
    }


def _rehechos(semana: Semana) -> list[str]:
    """The topics that were deleted and made anew since their ends were stored; none while Kafka does not answer."""
    try:
        return [
            topic for topic, final in _por_alcanzar(semana).items() if progress.topic_uuid(topic) != final.topic_uuid
        ]
    except KafkaUnavailable:
        return []


def _olvidar_fines(elegidas: QuerySet[Semana], **campos: Any) -> None:
    """Of weeks that are not closed; they are stored anew by the next call."""
    abiertas = elegidas.exclude(estado=Semana.Estado.CERRADA)
    abiertas.update(fines=None, estado=Semana.Estado.ABIERTA, **campos)


def contabilizar(lunes: date, *, ahora: datetime) -> None:
    """Writes the reports of a complete week and closes it, all or nothing. A closed week stays as it is.

    FOR UPDATE waits for the sales that hold the week FOR SHARE; those after it find it closed and count in the next.
    """
    with transaction.atomic():
        semana = Semana.objects.select_for_update().get(pk=lunes)
        if semana.cerrada:
            return
        escritos = reports.escribir(semana)
        semana.estado, semana.cerrada_en, semana.espera = Semana.Estado.CERRADA, ahora, ""
        semana.advertencia = _advertencia()
        semana.save()
    logger.info("Semana %s cerrada con %d reportes", semana, escritos)


def _advertencia() -> str:
    """Messages that could not be entered do not hold the week up; they are named."""
    abiertos = DeadLetter.objects.filter(consumer=CONSUMIDOR, state=DeadLetter.State.OPEN).count()
    return f"Al cerrar había {abiertos} mensajes que contabilidad no pudo registrar." if abiertos else ""
