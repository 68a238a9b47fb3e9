"""TODO."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.contrib.admin.models import CHANGE, LogEntry
from django.db import transaction
from django.db.models import Q

from inscripciones import credenciales, envios, normalizacion
from inscripciones.admision import (
    Estado,
    _admitir,
    _claves,
    _deber,
    _envio_de_rechazo,
    _lock_identities,
    _rechazada,
    _reclamar,
)
from inscripciones.events import CorreoCorregido
from inscripciones.models import Inscripcion, Maestro, Usuario
from kafka_bridge.publishing import outbox

ACCION: Final = {Estado.APROBADA: "Aprobada", Estado.RECHAZADA: "Rechazada"}


@dataclass(frozen=True)
class Resolucion:
    """What became of the enrolments that a person chose: `resueltas`, and why each of the others was left as it was."""

    resueltas: list[Inscripcion]
    omitidas: list[tuple[Inscripcion, str]]


@transaction.atomic
def aprobar(ids: Collection[UUID], *, por: Usuario, motivo: str = "", ahora: datetime) -> Resolucion:
    """Approves what is still pending and whose RUT and e-mail nobody else holds; the rest is left, with why.

    `motivo` is for the history only.
    """
    return _resolver(ids, Estado.APROBADA, por=por, motivo=motivo, ahora=ahora)


@transaction.atomic
def rechazar(ids: Collection[UUID], *, por: Usuario, motivo: str, ahora: datetime) -> Resolucion:
    """Rejects what is still pending; `motivo` is what the applicant reads. Raises ValueError without one."""
    if not motivo.strip():
        raise ValueError("Un rechazo lleva su motivo: es lo que lee quien postula.")
    return _resolver(ids, Estado.RECHAZADA, por=por, motivo=motivo.strip(), ahora=ahora)


def _resolver(
    ids: Collection[UUID], estado: Estado, *, por: Usuario | None, motivo: str, ahora: datetime
) -> Resolucion:
    """Locks the rows, in the order of their ids, so that of two reviewers the second finds them resolved.

    Their identities first, as `registrar` does: the two never wait for each other in a ring.
    """
    _lock_identities(clave for fila in Inscripcion.objects.filter(pk__in=ids) for clave in _claves(fila))
    filas = list(Inscripcion.objects.select_for_update().filter(pk__in=ids).order_by("pk"))
    resolucion = _partition(filas, estado)
    for fila in resolucion.resueltas:
        fila.estado, fila.resuelta_por, fila.resuelta_en = estado, por, ahora
        fila.motivo = motivo if estado == Estado.RECHAZADA else ""  # that of an approval is the history's
    Inscripcion.objects.bulk_update(resolucion.resueltas, ["estado", "motivo", "resuelta_por", "resuelta_en"])
    if por:
        _anotar(resolucion.resueltas, estado, por, motivo)
    if estado == Estado.APROBADA:
        _reclamar(resolucion.resueltas)
        _admitir(resolucion.resueltas)
    elif resolucion.resueltas:
        outbox.add(*map(_rechazada, resolucion.resueltas))
        _deber([_envio_de_rechazo(fila) for fila in resolucion.resueltas])
    return resolucion


def _partition(filas: list[Inscripcion], estado: Estado) -> Resolucion:
    """Which of the locked rows may go to `estado`."""
    resolucion = Resolucion([], [])
    ocupadas = _ocupadas(filas) if estado == Estado.APROBADA else set()
    for fila in filas:
        if fila.estado not in Inscripcion.PENDIENTES:
            resolucion.omitidas.append((fila, f"ya está {fila.get_estado_display()}"))
        elif {fila.rut, fila.email} & ocupadas and fila.estado == Estado.REPETIDA:
            resolucion.omitidas.append((fila, "su RUT o su correo es de otra inscripción, pendiente o aprobada"))
        else:
            resolucion.resueltas.append(fila)
            ocupadas |= {fila.rut, fila.email} if estado == Estado.APROBADA else set()
    return resolucion


def _ocupadas(filas: list[Inscripcion]) -> set[str]:
    """The RUTs and e-mails of repeated enrolments that a living one holds."""
    repetidas = [fila for fila in filas if fila.estado == Estado.REPETIDA]
    de_ellas = Q(rut__in=[fila.rut for fila in repetidas]) | Q(email__in=[fila.email for fila in repetidas])
    vivas = (
        Inscripcion.objects.filter(de_ellas, estado__in=Inscripcion.VIVAS) if repetidas else Inscripcion.objects.none()
    )
    return {valor for par in vivas.values_list("rut", "email") for valor in par}


def _anotar(filas: list[Inscripcion], estado: Estado, por: Usuario, motivo: str) -> None:
    """The history of who decided what, where the admin shows it."""
    texto = f"{ACCION[estado]}. {motivo}".strip()
    LogEntry.objects.log_actions(por.pk, filas, CHANGE, texto)


@transaction.atomic
def corregir_correo(maestro_id: UUID, correo: str, *, ahora: datetime) -> None:
    """Where the address was mistyped: the token that a stranger may have is void, and credentials go to the right one.

    Raises ValueError, in Spanish, where that address is another's.
    """
    correo = normalizacion.email(correo)
    maestro = Maestro.objects.select_related("inscripcion", "usuario").get(pk=maestro_id)
    _lock_identities([f"email|{correo}", f"buzon|{normalizacion.buzon(correo)}"])
    if Inscripcion.objects.filter(email=correo, estado__in=Inscripcion.VIVAS).exists():
        raise ValueError("Ese correo es de otra inscripción, pendiente o aprobada, o es el que ya tenía.")
    recordar_correos({maestro_id: correo})
    causa = CorreoCorregido.derive_id(maestro_id, ahora)
    outbox.add(CorreoCorregido(id=causa, time=ahora, maestro_id=maestro_id, email=correo))
    envios.reenviar_credenciales(maestro.inscripcion_id, ahora=ahora)
    credenciales.revocar(maestro.usuario)


def recordar_correos(correos: Mapping[UUID, str]) -> None:
    """The address of each of these maestros, also of the enrolment that made them."""
    maestros = list(Maestro.objects.select_related("inscripcion").filter(pk__in=correos))
    for maestro in maestros:
        maestro.email = maestro.inscripcion.email = correos[maestro.pk]
        maestro.inscripcion.buzon = normalizacion.buzon(maestro.email)
    Maestro.objects.bulk_update(maestros, ["email"])
    Inscripcion.objects.bulk_update([maestro.inscripcion for maestro in maestros], ["email", "buzon"])
