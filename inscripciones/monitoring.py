"""What the enrolments owe: credentials, rejections and notices by e-mail."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db.models import Count, Min, Q
from django.urls import reverse

from inscripciones import ids as inscripcione_ids
from inscripciones.admision import maestro_id
from inscripciones.events import InscripcionAprobada, InscripcionRechazada, InscripcionRecibida
from inscripciones.models import Envio, Inscripcion, Maestro
from kafka_bridge.events import Event
from kafka_bridge.monitoring.due_work import DueWork, due_work, overdue
from kafka_bridge.monitoring.lookup.registry import ExpectedEvent, Ids, Limitation, Row, lookup

PACIENCIA: Final = 180.0  # a sweep comes each minute
INTENTOS: Final = 3  # a mail that failed so often needs a look, though it is still being tried


@due_work
def correos(now: datetime) -> DueWork:
    """The e-mails that are due, and those that do not get through."""
    abiertos = ~Q(estado__in=[Envio.Estado.ENVIADO, Envio.Estado.DETENIDO])
    recientes = Q(estado=Envio.Estado.DETENIDO, creado_en__gte=now - timedelta(days=7))
    found = Envio.objects.filter(abiertos | recientes).aggregate(
        since=Min("proximo_intento", filter=abiertos & Q(proximo_intento__lte=now)),
        failed=Count("pk", filter=recientes | Q(intentos__gte=INTENTOS)),
    )
    return DueWork(
        work="correos",
        overdue_s=overdue(found["since"], now),
        tolerance_s=PACIENCIA,
        late="Hay correos de inscripciones que debieron salir",
        late_advice="Revisa que el worker de Celery y Beat estén corriendo, y que Valkey responda.",
        failed=found["failed"],
        failure="correos de inscripciones no llegan a su destino",
        failure_advice="En «correos por enviar» está lo que dijo el servidor: corrige la dirección o el servidor, y reintenta.",
    )


RECIENTES = 5_000  # forms among which the one behind an event's id is looked for
EVENTOS = (InscripcionRecibida, InscripcionAprobada, InscripcionRechazada)


@lookup
def seguir(ids: Ids) -> Iterator[ExpectedEvent | Row | Limitation]:
    """By the enrolment's id, the maestro's, or that of an event of a recent enrolment."""
    if Inscripcion.objects.order_by("-recibida_en")[RECIENTES:].exists():
        yield Limitation(
            f"los eventos de inscripciones se buscaron entre las {RECIENTES} más recientes",
            "Busca con el id de la inscripción o el del maestro.",
        )
    claves = ids | _de_eventos(ids) | set(Maestro.objects.filter(pk__in=ids).values_list("inscripcion_id", flat=True))
    filas = {fila.pk: fila for fila in Inscripcion.objects.filter(pk__in=claves)}
    for fila in filas.values():
        yield from _de_inscripcion(fila)
    for maestro in Maestro.objects.filter(inscripcion__in=filas):
        yield Row(what="Maestro", state="aprobado", at=maestro.aprobado_en, url=_pagina("maestro", maestro.pk))
    for envio in Envio.objects.filter(inscripcion__in=filas):
        yield _correo(envio)
    for pendiente in ids - filas.keys():
        if via := inscripcione_ids.via(pendiente):
            yield _pista(InscripcionRecibida, pendiente, str(pendiente), priority=via == "paid")


def _de_eventos(ids: Ids) -> set[UUID]:
    """An event's id is derived from the enrolment's, which cannot be turned around: each recent one is tried."""
    recientes = Inscripcion.objects.order_by("-recibida_en").values_list("pk", flat=True)[:RECIENTES]
    return {pk for pk in recientes if any(evento.derive_id(pk) in ids for evento in EVENTOS)}


def _de_inscripcion(fila: Inscripcion) -> Iterator[ExpectedEvent | Row]:
    estado = f"{fila.get_estado_display()}, vía {fila.via}"
    yield Row(
        what="Inscripción",
        state=estado,
        at=fila.registrada_en,
        url=_pagina("inscripcion", fila.pk),
        written_by=("aprobacion", InscripcionRecibida.derive_id(fila.pk)),
    )
    priority = inscripcione_ids.via(fila.pk) == "paid"  # as it was sent: one that paid later travelled with the rest
    yield _pista(InscripcionRecibida, fila.pk, str(fila.pk), priority=priority, near=fila.recibida_en)
    if fila.estado == Inscripcion.Estado.APROBADA:
        yield _pista(InscripcionAprobada, fila.pk, str(maestro_id(fila.pk)), near=fila.resuelta_en)
    if fila.estado == Inscripcion.Estado.RECHAZADA:
        yield _pista(InscripcionRechazada, fila.pk, str(fila.pk), near=fila.resuelta_en)


def _pista(
    evento: type[Event], pk: UUID, key: str, *, priority: bool = False, near: datetime | None = None
) -> ExpectedEvent:
    return ExpectedEvent(id=evento.derive_id(pk), event=evento, key=key, priority=priority, near=near)


def _correo(envio: Envio) -> Row:
    estado = f"{envio.get_estado_display()}, {envio.intentos} intentos"
    momento = envio.enviado_en or envio.creado_en
    return Row(
        what=f"Correo: {envio.get_tipo_display()}",
        state=estado,
        at=momento,
        url=_pagina("envio", envio.pk),
        is_mail=True,
    )


def _pagina(modelo: str, pk: UUID) -> str:
    return reverse(f"admin:inscripciones_{modelo}_change", args=[pk])
