"""What this app reports to the monitoring: e-mails that are due, and what it knows of an id.

Sentences for staff are in Spanish.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db.models import Count, Min, Q
from django.urls import reverse

from inscripciones.events import InscripcionAprobada, InscripcionRechazada, InscripcionRecibida
from inscripciones.formulario.ids import lane_of
from inscripciones.models import Envio, Inscripcion, Maestro
from inscripciones.tramite.admision import maestro_id
from kafka_bridge.events import Event
from kafka_bridge.monitoring.due_work import DueWork, due_work, overdue
from kafka_bridge.monitoring.lookup.registry import ExpectedEvent, Ids, Limitation, Row, lookup

# How late a mail may be before that is a problem; a sweep looks for due mails twice per minute.
PATIENCE_SECONDS: Final = 180.0
# A mail that failed so often needs a look, although it is still being tried.
MANY_ATTEMPTS: Final = 3
# Forms among which the one behind an event's id is searched.
RECENT_FORMS: Final = 5_000
EVENTS: Final = (InscripcionRecibida, InscripcionAprobada, InscripcionRechazada)


@due_work
def correos(now: datetime) -> DueWork:
    """Report the e-mails that are due, and those that fail."""
    abiertos = ~Q(estado__in=[Envio.Estado.ENVIADO, Envio.Estado.DETENIDO])
    recent_stops = Q(estado=Envio.Estado.DETENIDO, creado_en__gte=now - timedelta(days=7))
    found = Envio.objects.filter(abiertos | recent_stops).aggregate(
        since=Min("proximo_intento", filter=abiertos & Q(proximo_intento__lte=now)),
        failed=Count("pk", filter=recent_stops | Q(intentos__gte=MANY_ATTEMPTS)),
    )
    return DueWork(
        work="correos",
        overdue_s=overdue(found["since"], now),
        tolerance_s=PATIENCE_SECONDS,
        late="Hay correos de inscripciones que debieron salir",
        late_advice="Revisa que el worker de Celery y Beat estén corriendo, y que Valkey responda.",
        failed=found["failed"],
        failure="correos de inscripciones no llegan a su destino",
        failure_advice="En «correos por enviar» está lo que dijo el servidor:"
        " corrige la dirección o el servidor, y reintenta.",
    )


@lookup
def look_up(ids: Ids) -> Iterator[ExpectedEvent | Row | Limitation]:
    """Find rows and events by the id of an enrolment, a maestro, or a recent enrolment's event."""
    if Inscripcion.objects.order_by("-recibida_en")[RECENT_FORMS:].exists():
        yield Limitation(
            f"los eventos de inscripciones se buscaron entre las {RECENT_FORMS} más recientes",
            "Busca con el id de la inscripción o el del maestro.",
        )
    of_maestros = set(Maestro.objects.filter(pk__in=ids).values_list("inscripcion_id", flat=True))
    inscripciones = Inscripcion.objects.in_bulk(ids | _enrolments_of_events(ids) | of_maestros)
    for inscripcion in inscripciones.values():
        yield from _of_enrolment(inscripcion)
    for maestro in Maestro.objects.filter(inscripcion__in=inscripciones):
        yield Row(what="Maestro", state="aprobado", at=maestro.aprobado_en, url=_admin_page("maestro", maestro.pk))
    for envio in Envio.objects.filter(inscripcion__in=inscripciones):
        yield _mail_row(envio)
    for unwritten in ids - inscripciones.keys():
        if lane := lane_of(unwritten):
            yield _expected(InscripcionRecibida, unwritten, str(unwritten), priority=lane == "paid")


def _enrolments_of_events(ids: Ids) -> set[UUID]:
    """Return the recent enrolments of which one of `ids` is an event's id.

    An event's id is a hash of the enrolment's id, so every recent enrolment is tried.
    """
    recent = Inscripcion.objects.order_by("-recibida_en").values_list("pk", flat=True)[:RECENT_FORMS]
    return {pk for pk in recent if any(event.derive_id(pk) in ids for event in EVENTS)}


def _of_enrolment(inscripcion: Inscripcion) -> Iterator[ExpectedEvent | Row]:
    yield Row(
        what="Inscripción",
        state=f"{inscripcion.get_estado_display()}, vía {inscripcion.via}",
        at=inscripcion.registrada_en,
        url=_admin_page("inscripcion", inscripcion.pk),
        written_by=("aprobacion", InscripcionRecibida.derive_id(inscripcion.pk)),
    )
    pk, key = inscripcion.pk, str(inscripcion.pk)
    # The lane of the form as it was sent: an enrolment that was paid later used the normal lane.
    priority = lane_of(pk) == "paid"
    yield _expected(InscripcionRecibida, pk, key, priority=priority, near=inscripcion.recibida_en)
    if inscripcion.estado == Inscripcion.Estado.APROBADA:
        yield _expected(InscripcionAprobada, pk, str(maestro_id(pk)), near=inscripcion.resuelta_en)
    if inscripcion.estado == Inscripcion.Estado.RECHAZADA:
        yield _expected(InscripcionRechazada, pk, key, near=inscripcion.resuelta_en)


def _expected(
    event: type[Event], pk: UUID, key: str, *, priority: bool = False, near: datetime | None = None
) -> ExpectedEvent:
    return ExpectedEvent(id=event.derive_id(pk), event=event, key=key, priority=priority, near=near)


def _mail_row(envio: Envio) -> Row:
    return Row(
        what=f"Correo: {envio.get_tipo_display()}",
        state=f"{envio.get_estado_display()}, {envio.intentos} intentos",
        at=envio.enviado_en or envio.creado_en,
        url=_admin_page("envio", envio.pk),
        is_mail=True,
    )


def _admin_page(model: str, pk: UUID) -> str:
    return reverse(f"admin:inscripciones_{model}_change", args=[pk])
