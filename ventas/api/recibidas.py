"""What a maestro sent from the pages and the accounts do not have yet, kept in the session.

A sale is accepted a moment before a consumer writes it into the ledger. Until then the page shows
it as received, also after an answer that was lost on the way: the session is stored before the
answer is sent. Programs have no session; nothing here costs them anything.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from rest_framework.request import Request

from ventas.events import VentaRegistrada
from ventas.models import Venta

VENTAS: Final = "ventas_recibidas"
ANULACIONES: Final = "anulaciones_recibidas"
KEPT: Final = 100  # of each, in a session


@dataclass(frozen=True)
class Recibida:
    """A sale that was accepted from this session; `precio` is in CLP per unit.

    `anotada`: the ledger has it by now.
    """

    event_id: UUID
    venta_id: UUID
    producto: str
    cantidad: int
    precio: int
    vendida_en: datetime
    aceptada_en: datetime
    anotada: bool


def recordar(request: Request, venta: VentaRegistrada) -> None:
    """Note an accepted sale, once."""
    moments = [venta.vendida_en.isoformat(), venta.time.isoformat()]
    _note(request, VENTAS, [str(venta.venta_id), venta.producto, venta.cantidad, venta.precio_unitario, *moments])


def recordar_anulacion(request: Request, venta_id: UUID) -> None:
    """Note the accepted void of a sale."""
    _note(request, ANULACIONES, [str(venta_id)])


def _note(request: Request, kind: str, row: list[Any]) -> None:
    if request.auth is not None:  # a program with a token, to which we give no session
        return
    session = request._request.session
    session[kind] = [*(other for other in session.get(kind, []) if other[0] != row[0]), row][-KEPT:]


def recibidas(request: Request, maestro_id: UUID) -> list[Recibida]:
    """Return the noted sales, newest first; those that the ledger has by now are forgotten after.

    One query if there are any, else none.
    """
    rows = request._request.session.get(VENTAS, [])
    if not rows:
        return []
    ids = {VentaRegistrada.derive_id(maestro_id, UUID(row[0])): row for row in rows}
    written = set(Venta.objects.filter(pk__in=ids).values_list("pk", flat=True))
    if written:
        request._request.session[VENTAS] = [row for event_id, row in ids.items() if event_id not in written]
    return [_read(event_id, row, event_id in written) for event_id, row in reversed(ids.items())]


def por_anular(request: Request) -> set[UUID]:
    """Return the sales whose void was accepted from this session."""
    return {UUID(id_) for [id_] in request._request.session.get(ANULACIONES, [])}


def _read(event_id: UUID, row: list[Any], anotada: bool) -> Recibida:
    venta_id, producto, cantidad, precio, *moments = row
    vendida_en, aceptada_en = map(datetime.fromisoformat, moments)
    return Recibida(event_id, UUID(venta_id), producto, cantidad, precio, vendida_en, aceptada_en, anotada)
