"""The review: a person approves or rejects pending enrolments."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from django.contrib.admin.models import CHANGE, LogEntry
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from gremio.transactions import transaction_required
from inscripciones.correos import correspondencia
from inscripciones.formulario import locks
from inscripciones.models import Inscripcion, Usuario
from inscripciones.tramite import admision

Estado = Inscripcion.Estado
HISTORY_NOTES: Final = {Estado.APROBADA: "Aprobada", Estado.RECHAZADA: "Rechazada"}


@dataclass(frozen=True)
class Resolucion:
    """The enrolments that were decided, and the others with the reason why not (in Spanish)."""

    resueltas: list[Inscripcion] = field(default_factory=list)
    omitidas: list[tuple[Inscripcion, str]] = field(default_factory=list)


@transaction.atomic
def aprobar(ids: Collection[UUID], *, por: Usuario, motivo: str = "", ahora: datetime) -> Resolucion:
    """Approve the pending enrolments whose RUT and e-mail address no other enrolment holds.

    `motivo` is for the history only.
    """
    return resolver(ids, Estado.APROBADA, por=por, motivo=motivo, ahora=ahora)


@transaction.atomic
def rechazar(ids: Collection[UUID], *, por: Usuario, motivo: str, ahora: datetime) -> Resolucion:
    """Reject the pending enrolments. The applicants read `motivo`.

    Raises ValueError if `motivo` is empty.
    """
    if not motivo.strip():
        raise ValueError("Un rechazo lleva su motivo: es lo que lee quien postula.")
    return resolver(ids, Estado.RECHAZADA, por=por, motivo=motivo.strip(), ahora=ahora)


@transaction_required
def resolver(ids: Collection[UUID], estado: Estado, *, por: Usuario | None, motivo: str, ahora: datetime) -> Resolucion:
    """Move the pending enrolments among `ids` to `estado` and write what follows from it.

    `por` is None for a decision that comes back from Kafka. Identities are locked before rows, as
    in `recepcion.registrar`, and rows are locked in the order of their ids, so that two calls never
    deadlock. If two reviewers decide the same rows, the second finds them resolved.
    """
    locks.acquire(key for fila in Inscripcion.objects.filter(pk__in=ids) for key in locks.identity_keys(fila))
    chosen = Inscripcion.objects.select_for_update(of=("self",)).select_related("resuelta_por").filter(pk__in=ids)
    filas = list(chosen.order_by("pk"))
    resolucion = _split(filas, estado)
    resueltas = resolucion.resueltas
    for fila in resueltas:
        fila.estado, fila.resuelta_por, fila.resuelta_en = estado, por, ahora
        # The reason of an approval is for the history only.
        fila.motivo = motivo if estado == Estado.RECHAZADA else ""
    Inscripcion.objects.bulk_update(resueltas, ["estado", "motivo", "resuelta_por", "resuelta_en"])
    if por:
        LogEntry.objects.log_actions(por.pk, resueltas, CHANGE, f"{HISTORY_NOTES[estado]}. {motivo}".strip())
    if estado == Estado.APROBADA:
        admision.usar_comprobantes(resueltas)
        admision.admitir(resueltas)
    else:
        admision.publicar_rechazos(resueltas)
        correspondencia.encargar([correspondencia.rechazo(fila) for fila in resueltas])
    return resolucion


def _split(filas: list[Inscripcion], estado: Estado) -> Resolucion:
    """Split the locked rows into those that may move to `estado` and the others."""
    resolucion = Resolucion()
    taken = _taken_identities(filas) if estado == Estado.APROBADA else set()
    for fila in filas:
        identity = {fila.rut, fila.email}
        if fila.estado not in Inscripcion.PENDIENTES:
            resolucion.omitidas.append((fila, _decided(fila)))
        elif fila.estado == Estado.REPETIDA and identity & taken:
            resolucion.omitidas.append((fila, "su RUT o su correo es de otra inscripción, pendiente o aprobada"))
        else:
            resolucion.resueltas.append(fila)
            if estado == Estado.APROBADA:
                taken |= identity
    return resolucion


def _decided(fila: Inscripcion) -> str:
    """Return what the enrolment is already, and who decided it and when, if a person did."""
    by = f" por {fila.resuelta_por.get_username()}" if fila.resuelta_por else ""
    when = f" el {timezone.localtime(fila.resuelta_en):%d-%m-%Y %H:%M}" if fila.resuelta_en else ""
    return f"ya está {fila.get_estado_display()}{by}{when}"


def _taken_identities(filas: list[Inscripcion]) -> set[str]:
    """Return the RUTs and e-mail addresses of the repeated rows that living enrolments hold."""
    repetidas = [fila for fila in filas if fila.estado == Estado.REPETIDA]
    if not repetidas:
        return set()
    theirs = Q(rut__in=[fila.rut for fila in repetidas]) | Q(email__in=[fila.email for fila in repetidas])
    vivas = Inscripcion.objects.filter(theirs, estado__in=Inscripcion.VIVAS)
    return {value for pair in vivas.values_list("rut", "email") for value in pair}
