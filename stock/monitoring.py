"""What this app knows of an id: the movement of an event, the notice that followed, its restock.

Sentences for staff are in Spanish.
"""

from collections.abc import Iterator

from django.db.models import Q
from django.urls import reverse

from kafka_bridge.monitoring.lookup.registry import ExpectedEvent, Ids, Row, lookup
from stock.events import StockAgotado, StockRepuesto
from stock.models import Aviso, Movimiento


@lookup
def seguir(ids: Ids) -> Iterator[ExpectedEvent | Row]:
    """Find movements and notices by the id of an event or of a notice."""
    movimientos = list(Movimiento.objects.filter(evento_id__in=ids))
    raised = {StockAgotado.derive_id("automatico", m.carro_id, m.evento_id) for m in movimientos}
    avisos = list(Aviso.objects.filter(aviso_id__in=ids | raised))
    for movimiento in [*movimientos, *_restocks(avisos)]:
        yield from _of_movement(movimiento)
    for aviso in avisos:
        yield from _of_notice(aviso)


def _restocks(avisos: list[Aviso]) -> list[Movimiento]:
    """Return the restocks of these notices.

    Cart and time are in the condition because the ledger has an index on them, and none on
    `referencia`.
    """
    if not avisos:
        return []
    of_notices = Q()
    for aviso in avisos:
        of_notices |= Q(carro=aviso.carro_id, ocurrido_en__gte=aviso.abierto_en, referencia=aviso.aviso_id)
    return list(Movimiento.objects.filter(of_notices, tipo=Movimiento.Tipo.REPOSICION))


def _of_movement(movimiento: Movimiento) -> Iterator[ExpectedEvent | Row]:
    yield Row(
        what="Movimiento del carro",
        state=str(movimiento),
        at=movimiento.ocurrido_en,
        url=reverse("admin:stock_movimiento_change", args=[movimiento.pk]),
    )
    if movimiento.tipo == Movimiento.Tipo.REPOSICION:
        key, near = str(movimiento.carro_id), movimiento.ocurrido_en
        yield ExpectedEvent(id=movimiento.evento_id, event=StockRepuesto, key=key, near=near)


def _of_notice(aviso: Aviso) -> Iterator[ExpectedEvent | Row]:
    yield Row(
        what=f"Aviso {aviso.get_origen_display()}",
        state=str(aviso),
        at=aviso.cerrado_en or aviso.abierto_en,
        url=reverse("admin:stock_aviso_change", args=[aviso.pk]),
    )
    key = str(aviso.carro_id)
    yield ExpectedEvent(id=StockAgotado.derive_id(aviso.aviso_id), event=StockAgotado, key=key, near=aviso.abierto_en)
