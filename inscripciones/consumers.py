"""What this app does when an event arrives."""

from django.utils import timezone

from inscripciones import services
from inscripciones.events import InscripcionRecibida
from kafka_bridge.handlers import handles


@handles(InscripcionRecibida, consumer="aprobacion", max_batch=20)
def registrar_inscripciones(formularios: list[InscripcionRecibida]) -> None:
    """Enrolments: each form is judged by the rules and approved, rejected, or left for a person to review."""
    services.registrar(formularios, ahora=timezone.now())
