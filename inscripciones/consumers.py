"""The handlers of the consumer `aprobacion`: each makes one service call per batch of events."""

from django.utils import timezone

from inscripciones.events import CorreoCorregido, InscripcionAprobada, InscripcionRechazada, InscripcionRecibida
from inscripciones.tramite import recepcion, restauracion
from kafka_bridge.consuming.handlers import handles


@handles(InscripcionRecibida, consumer="aprobacion", max_batch=20)
def registrar_inscripciones(formularios: list[InscripcionRecibida]) -> None:
    """Judge each form by the rules: approve it, reject it, or leave it for a person to review."""
    recepcion.registrar(formularios, ahora=timezone.now())


@handles(InscripcionAprobada, consumer="aprobacion", max_batch=20)
def recordar_aprobadas(aprobadas: list[InscripcionAprobada]) -> None:
    """Apply the approvals that a restored database lost; skip the others."""
    restauracion.recordar(aprobadas)


@handles(InscripcionRechazada, consumer="aprobacion", max_batch=20)
def recordar_rechazadas(rechazadas: list[InscripcionRechazada]) -> None:
    """Apply the rejections that a restored database lost; skip the others."""
    restauracion.recordar(rechazadas)


@handles(CorreoCorregido, consumer="aprobacion", max_batch=20)
def recordar_correos(corregidos: list[CorreoCorregido]) -> None:
    """Apply the corrected addresses that a restored database lost; skip the others."""
    restauracion.recordar_correos(corregidos)
