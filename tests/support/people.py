"""People, their forms, and enrolments: each call makes another person."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import msgspec
from django.db import transaction
from django.utils import timezone
from stdnum.cl.rut import calc_check_digit

from inscripciones.events import InscripcionRecibida
from inscripciones.formulario import ids
from inscripciones.models import Inscripcion
from inscripciones.tramite import recepcion
from kafka_bridge.models import OutboxMessage

NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
_numbers = count(11_000_000)


def make_rut(number: int | None = None) -> str:
    """Return a valid RUT in normal form."""
    body = str(number or next(_numbers))
    return f"{body}-{calc_check_digit(body)}"


def make_form(**fields: Any) -> dict[str, Any]:
    """Return a normalised form that passes every rule."""
    rut = make_rut()
    return {
        "nombre": "Rosa Ñáñez Peña",
        "rut": rut,
        "email": f"rosa{rut[:8]}@example.cl",
        "telefono": "+56987654321",
        "comuna": "Ñuñoa",
        "paid": False,
        "comprobante_pago": "",
        **fields,
    }


def make_paid_form(**fields: Any) -> dict[str, Any]:
    """Return a form with a receipt of its own."""
    return make_form(**{"paid": True, "comprobante_pago": f"TRX-{next(_numbers)}", **fields})


def make_event(form: dict[str, Any] | None = None, *, time: datetime = NOW) -> InscripcionRecibida:
    """Return the event of a form that arrived at `time`."""
    form = form or make_form()
    inscripcion_id: UUID = ids.issue(form, day=timezone.localdate(time))
    event_id = InscripcionRecibida.derive_id(inscripcion_id)
    return InscripcionRecibida(id=event_id, time=time, inscripcion_id=inscripcion_id, **form)


def register(
    *forms: dict[str, Any],
    days: int = 0,
    apart: timedelta = timedelta(0),
    decided_after: timedelta = timedelta(seconds=1),
) -> list[Inscripcion]:
    """Register a batch of forms: the first arrives `days` after NOW, then one every `apart`."""
    first = NOW + timedelta(days=days)
    events = [make_event(form, time=first + apart * n) for n, form in enumerate(forms)]
    with transaction.atomic():
        return recepcion.registrar(events, ahora=first + decided_after)


def published() -> list[dict[str, Any]]:
    """Return the events in the outbox, in order."""
    return [msgspec.json.decode(row.value) for row in OutboxMessage.objects.order_by("id")]
