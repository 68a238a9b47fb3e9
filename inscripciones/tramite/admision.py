"""What follows from a decision: a maestro with a user, a used receipt, events, e-mails.

Rows and events (in the outbox) are written in the caller's transaction, so that both happen or
neither.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import cast
from uuid import UUID, uuid5

from django.contrib.auth.hashers import make_password

from gremio.transactions import transaction_required
from inscripciones.correos import correspondencia
from inscripciones.events import InscripcionAprobada, InscripcionRechazada
from inscripciones.formulario.normalizacion import clave_de_comprobante
from inscripciones.formulario.zonas import zona_de
from inscripciones.models import Comprobante, Inscripcion, Maestro, Usuario
from kafka_bridge import conf
from kafka_bridge.publishing import outbox


@transaction_required
def admitir(aprobadas: list[Inscripcion]) -> None:
    """Create a maestro and a user for each enrolment; publish approvals; queue credentials."""
    if not aprobadas:
        return
    usuarios = Usuario.objects.bulk_create([_user_of(aprobada) for aprobada in aprobadas])
    pares = zip(aprobadas, usuarios, strict=True)
    Maestro.objects.bulk_create([_maestro_of(aprobada, usuario) for aprobada, usuario in pares])
    outbox.add(*[_approval_event(aprobada) for aprobada in aprobadas])
    correspondencia.encargar([correspondencia.credenciales(aprobada) for aprobada in aprobadas])


@transaction_required
def publicar_rechazos(rechazadas: list[Inscripcion]) -> None:
    """Publish the rejection of each of these enrolments."""
    if rechazadas:
        outbox.add(*[_rejection_event(rechazada) for rechazada in rechazadas])


@transaction_required
def usar_comprobantes(inscripciones: Iterable[Inscripcion]) -> None:
    """Mark the receipts of paid enrolments as used; a receipt keeps the first one that used it."""
    comprobantes = [
        Comprobante(codigo=clave_de_comprobante(una.comprobante_pago), inscripcion=una.unida_a or una)
        for una in inscripciones
        if una.paid
    ]
    Comprobante.objects.bulk_create(comprobantes, ignore_conflicts=True)


def maestro_id(inscripcion_id: UUID) -> UUID:
    """Return the id of the maestro that an enrolment makes; it is the same after a restore."""
    return uuid5(conf.NAMESPACE, f"maestro|{inscripcion_id}")


def _user_of(inscripcion: Inscripcion) -> Usuario:
    id_ = maestro_id(inscripcion.pk)
    return Usuario(
        username=str(id_),
        first_name=inscripcion.nombre[:150],
        maestro_id=id_,
        zona=zona_de(inscripcion.comuna),
        password=make_password(None),
    )


def _maestro_of(inscripcion: Inscripcion, usuario: Usuario) -> Maestro:
    return Maestro(
        id=maestro_id(inscripcion.pk),
        inscripcion=inscripcion,
        usuario=usuario,
        nombre=inscripcion.nombre,
        rut=inscripcion.rut,
        email=inscripcion.email,
        telefono=inscripcion.telefono,
        comuna=inscripcion.comuna,
        aprobado_en=cast(datetime, inscripcion.resuelta_en),
    )


def _approval_event(inscripcion: Inscripcion) -> InscripcionAprobada:
    resuelta_en = cast(datetime, inscripcion.resuelta_en)
    return InscripcionAprobada(
        time=resuelta_en,  # of a decision that comes back after a restore, the first one's (restore.py)
        id=InscripcionAprobada.derive_id(inscripcion.pk),
        inscripcion_id=inscripcion.pk,
        maestro_id=maestro_id(inscripcion.pk),
        nombre=inscripcion.nombre,
        email=inscripcion.email,
        aprobada_en=resuelta_en,
    )


def _rejection_event(inscripcion: Inscripcion) -> InscripcionRechazada:
    resuelta_en = cast(datetime, inscripcion.resuelta_en)
    return InscripcionRechazada(
        time=resuelta_en,
        id=InscripcionRechazada.derive_id(inscripcion.pk),
        inscripcion_id=inscripcion.pk,
        motivo=inscripcion.motivo,
        rechazada_en=resuelta_en,
    )
