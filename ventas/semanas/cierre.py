"""Closing a week: once every sale accepted before its boundary is in the ledger, write its reports.

Each step is stored, so a later call continues where an earlier one stopped. Calls from several
processes at once are safe.
"""

import logging
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from kafka_bridge.consuming import progress
from kafka_bridge.consuming.progress import TopicEnds
from kafka_bridge.events.topics import Partition
from kafka_bridge.exceptions import KafkaUnavailable
from kafka_bridge.models import DeadLetter
from kafka_bridge.publishing import outbox
from kafka_bridge.publishing.producer import DEADLINE_MS
from ventas import calendario
from ventas.libro import CONTABILIDAD
from ventas.models import Semana
from ventas.semanas import reports

logger = logging.getLogger(__name__)

# How long after the boundary a request that began before it may still be running: the wait for
# Kafka, the INSERT into the outbox, and the difference between the machines' clocks.
GRACE: Final = timedelta(milliseconds=DEADLINE_MS) + timedelta(seconds=5) + timedelta(seconds=2)


def cerrar_vencidas(*, ahora: datetime, semana: str = "", hasta: str = "") -> list[bool]:
    """Close the weeks that are due, missed weeks too, and the given week; oldest first.

    `semana`, such as 2026-W48, and `hasta`, an ISO 8601 moment (Chilean time if it has no offset),
    close a running week early. Returns for each of these weeks whether it is closed now.
    """
    boundaries: dict[date, datetime | None] = dict.fromkeys(semanas_vencidas(ahora=ahora))
    if semana:
        boundary = calendario.con_zona(datetime.fromisoformat(hasta)) if hasta else None
        boundaries[calendario.lunes_de_codigo(semana)] = boundary
    return [cerrar_semana(lunes, ahora=ahora, hasta=boundaries[lunes]) for lunes in sorted(boundaries)]


def semanas_vencidas(*, ahora: datetime) -> list[date]:
    """Return the Mondays of the open weeks whose boundary has passed, oldest first.

    Adds the missing weeks before: after a month without Beat there are four, and a week in which
    nothing was sold closes too.
    """
    _add_missing_weeks(calendario.semana_de(ahora))
    pendientes = Semana.objects.exclude(estado=Semana.Estado.CERRADA).filter(hasta__lte=ahora)
    return list(pendientes.order_by("lunes").values_list("lunes", flat=True))


def _add_missing_weeks(current: date) -> None:
    """Add a row for each week up to the current one.

    The first is the last closed week, or the first known week if none is closed.
    """
    closed = Semana.objects.filter(estado=Semana.Estado.CERRADA).order_by("-lunes")
    known = closed.first() or Semana.objects.order_by("lunes").first()
    first = known.lunes if known else current
    weeks = (current - first) // calendario.SEMANA + 1
    Semana.objects.bulk_create(
        [Semana.nueva(first + n * calendario.SEMANA) for n in range(weeks)], ignore_conflicts=True
    )


def cerrar_semana(lunes: date, *, ahora: datetime, hasta: datetime | None = None) -> bool:
    """Close the week of a Monday if it is complete; otherwise note what it waits for.

    `hasta` is a boundary before the end of the week, to close it early: later sales count in the
    next week, as adjustments. Returns whether the week is closed. Raises ValueError if `lunes` is
    not a Monday or `hasta` lies outside of the week.
    """
    semana = _week(lunes, hasta)
    if semana.cerrada:
        return True
    # In this order: once no older event waits in the outbox, all that was accepted before the
    # boundary lies below the ends of the topics.
    waits_for = (
        _an_earlier_week(semana)
        or _its_boundary(semana, ahora)
        or _unpublished_events(semana)
        or _the_ends_of_its_topics(semana)
        or _unapplied_messages(semana)
    )
    if waits_for:
        Semana.objects.filter(pk=lunes).exclude(estado=Semana.Estado.CERRADA).update(espera=waits_for)
        logger.info("week %s waits: %s", semana, waits_for)
        return False
    contabilizar(lunes, ahora=ahora)
    return True


def _week(lunes: date, hasta: datetime | None) -> Semana:
    """Return the week's row, with its boundary moved to `hasta` if given.

    The stored ends of another boundary no longer apply and are dropped.
    """
    if lunes.weekday():
        raise ValueError(f"{lunes} is not a Monday")
    semana = Semana.nueva(lunes)
    if hasta is not None and not semana.desde <= hasta <= semana.hasta:
        raise ValueError(f"{hasta} lies outside of the week {semana}")
    Semana.objects.bulk_create([semana], ignore_conflicts=True)
    if hasta is not None:
        _drop_ends(Semana.objects.filter(pk=lunes).exclude(hasta=hasta), hasta=hasta)
    return Semana.objects.get(pk=lunes)


def _drop_ends(weeks: QuerySet[Semana], **fields: datetime) -> None:
    """Drop the stored ends of those weeks that are not closed; the next call stores them again."""
    weeks.exclude(estado=Semana.Estado.CERRADA).update(fines=None, estado=Semana.Estado.ABIERTA, **fields)


# The steps of a closing. Each returns what the week waits for, in Spanish for staff, or nothing.


def _an_earlier_week(semana: Semana) -> str:
    earlier = Semana.objects.exclude(estado=Semana.Estado.CERRADA).filter(lunes__lt=semana.lunes).first()
    return f"Espera que se cierre la semana {earlier}." if earlier else ""


def _its_boundary(semana: Semana, ahora: datetime) -> str:
    if ahora >= semana.hasta + GRACE:
        return ""
    return f"Espera que pase el {timezone.localtime(semana.hasta + GRACE):%d-%m-%Y a las %H:%M:%S}."


def _unpublished_events(semana: Semana) -> str:
    """Wait for the outbox, unless that was done before the ends were stored."""
    if semana.fines is not None:
        return ""
    waiting = outbox.older_than(semana.hasta + GRACE, progress.topic_names(CONTABILIDAD))
    if not waiting:
        return ""
    return f"Espera que salgan a Kafka mensajes que se aceptaron antes del cierre: {_listed(waiting)}."


def _the_ends_of_its_topics(semana: Semana) -> str:
    """Store where each topic of the consumer ends now, unless that is stored already."""
    if semana.fines is not None:
        return ""
    try:
        ends = {topic: progress.topic_ends(topic) for topic in progress.topic_names(CONTABILIDAD)}
    except KafkaUnavailable as error:
        return f"Espera a Kafka, que no dice dónde terminan los tópicos: {error}."
    fines = {topic: {"topico": end.topic_uuid, "fines": end.offsets} for topic, end in ends.items()}
    Semana.objects.filter(pk=semana.pk, fines__isnull=True).update(fines=fines, estado=Semana.Estado.CERRANDO)
    semana.refresh_from_db()
    return ""


def _unapplied_messages(semana: Semana) -> str:
    """Wait until the consumer has applied all messages below the stored ends.

    The ends of a topic that was recreated since are dropped: nothing will ever reach them.
    """
    remaining = {
        (topic, partition): messages
        for topic, ends in _stored_ends(semana).items()
        for partition, messages in progress.remaining(CONTABILIDAD, topic, ends).items()
    }
    if not remaining:
        return ""
    if recreated := _recreated_topics(semana):
        _drop_ends(Semana.objects.filter(pk=semana.pk))
        return f"Se mide de nuevo: se rehizo {', '.join(recreated)}, y lo que se esperaba era del anterior."
    total = sum(remaining.values())
    by_name = {f"{topic}[{partition}]": messages for (topic, partition), messages in remaining.items()}
    waits_for = f"Espera que contabilidad registre {total} mensajes: {_listed(by_name)}."
    return f"{waits_for} {_open_transactions(remaining) or '¿Está corriendo?'}"


def _open_transactions(remaining: Iterable[Partition]) -> str:
    """Say which of these partitions are held up by a transaction of another program, and where.

    Empty if none is, or while Kafka does not answer.
    """
    try:
        held_up = progress.open_transactions(remaining)
    except KafkaUnavailable:
        return ""
    if not held_up:
        return ""
    places = ", ".join(f"{topic}[{partition}] desde el offset {at}" for (topic, partition), at in held_up.items())
    return (
        f"Otro programa tiene una transacción abierta en {places}: lo que está detrás no se entrega hasta que la "
        "termine (docs/operation.md dice cómo encontrarla)."
    )


def _stored_ends(semana: Semana) -> dict[str, TopicEnds]:
    """Return the stored ends by topic; JSON has turned the partitions' numbers into texts."""
    return {
        topic: TopicEnds(stored["topico"], {int(partition): end for partition, end in stored["fines"].items()})
        for topic, stored in (semana.fines or {}).items()
    }


def _recreated_topics(semana: Semana) -> list[str]:
    """Return the topics that were recreated since their ends were stored.

    Empty while Kafka does not answer.
    """
    try:
        return [topic for topic, ends in _stored_ends(semana).items() if progress.topic_uuid(topic) != ends.topic_uuid]
    except KafkaUnavailable:
        return []


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} de {name}" for name, count in sorted(counts.items()))


def contabilizar(lunes: date, *, ahora: datetime) -> None:
    """Write the reports of a complete week and close it, all or nothing.

    A closed week stays as it is.
    FOR UPDATE waits for the transactions that hold the week FOR SHARE to enter sales; later ones
    find it closed and count their sales in the next week.
    """
    with transaction.atomic():
        semana = Semana.objects.select_for_update().get(pk=lunes)
        if semana.cerrada:
            return
        written = reports.escribir(semana)
        semana.estado, semana.cerrada_en, semana.espera = Semana.Estado.CERRADA, ahora, ""
        semana.advertencia = _warning()
        semana.save()
    logger.info("week %s closed with %d reports", semana, written)


def _warning() -> str:
    """Return a text that counts what a person must decide about and what delays no closing.

    That is the consumer's open dead letters, and messages that Kafka refuses for good.
    """
    count = DeadLetter.objects.filter(consumer=CONTABILIDAD, state=DeadLetter.State.OPEN).count()
    dead = f"Al cerrar había {count} mensajes que contabilidad no pudo registrar." if count else ""
    by_topic = outbox.refused(progress.topic_names(CONTABILIDAD))
    refused = f"Kafka rechazó mensajes ya aceptados: {_listed(by_topic)}." if by_topic else ""
    return " ".join(filter(None, [dead, refused]))


def retener_correos(*, ahora: datetime) -> int:
    """After a restored backup, hold the e-mails of the weeks that are due; return how many weeks.

    These weeks may have closed, and their e-mails been sent, since the backup was made. Staff
    decide which e-mails to send again.
    """
    return Semana.objects.filter(pk__in=semanas_vencidas(ahora=ahora)).update(correos_retenidos=True)
