"""What this app does when an event arrives."""

from django.utils import timezone

from inscripciones import recepcion, restauracion, revision
from inscripciones.events import CorreoCorregido, InscripcionAprobada, InscripcionRechazada, InscripcionRecibida
from kafka_bridge.consuming.handlers import handles
from kafka_bridge.consuming.restore import is_before_restore


@handles(InscripcionRecibida, consumer="aprobacion", max_batch=20)
def registrar_inscripciones(formularios: list[InscripcionRecibida]) -> None:
    """Enrolments: each form is judged by the rules and approved, rejected, or left for a person to review."""
    recepcion.registrar(formularios, ahora=timezone.now())


@handles(InscripcionAprobada, consumer="aprobacion", max_batch=20)
def recordar_aprobadas(aprobadas: list[InscripcionAprobada]) -> None:
    """Approvals: known already, except those that a restored database lost."""
    restauracion.recordar(aprobadas)


@handles(InscripcionRechazada, consumer="aprobacion", max_batch=20)
def recordar_rechazadas(rechazadas: list[InscripcionRechazada]) -> None:
    """Rejections: known already, except those that a restored database lost."""
    restauracion.recordar(rechazadas)


@handles(CorreoCorregido, consumer="aprobacion", max_batch=20)
def recordar_correos(corregidos: list[CorreoCorregido]) -> None:
    """Corrected addresses: known already, except those that a restored database lost."""
    if is_before_restore(corregidos[0].time):
        revision.recordar_correos({uno.maestro_id: uno.email for uno in corregidos})
