"""People and forms: each call returns another person."""

from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import UUID

from django.utils import timezone
from stdnum.cl.rut import calc_check_digit

from inscripciones import ids
from inscripciones.events import InscripcionRecibida

_numeros = count(11_000_000)
AHORA = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)


def un_rut(numero: int | None = None) -> str:
    """Return a valid RUT in normal form."""
    cuerpo = str(numero or next(_numeros))
    return f"{cuerpo}-{calc_check_digit(cuerpo)}"


def formulario(**campos: Any) -> dict[str, Any]:
    """Return a normalised form that passes every rule."""
    rut = un_rut()
    return {
        "nombre": "Rosa Ñáñez Peña",
        "rut": rut,
        "email": f"rosa{rut[:8]}@example.cl",
        "telefono": "+56987654321",
        "comuna": "Ñuñoa",
        "paid": False,
        "comprobante_pago": "",
        **campos,
    }


def pagado(**campos: Any) -> dict[str, Any]:
    return formulario(**{"paid": True, "comprobante_pago": f"TRX-{next(_numeros)}", **campos})


def evento(campos: dict[str, Any] | None = None, *, time: datetime = AHORA) -> InscripcionRecibida:
    campos = campos or formulario()
    inscripcion_id: UUID = ids.emitir(campos, dia=timezone.localdate(time))
    event_id = InscripcionRecibida.derive_id(inscripcion_id)
    return InscripcionRecibida(id=event_id, time=time, inscripcion_id=inscripcion_id, **campos)
