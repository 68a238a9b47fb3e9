"""What the carts know of an id: the movement that an event caused, the notice that followed, and its restock."""

from collections.abc import Iterator
from uuid import UUID

from django.db.models import Q
from django.urls import reverse

from kafka_bridge.monitoring.lookup.registry import ExpectedEvent, Ids, Row, lookup
from stock.events import StockAgotado, StockRepuesto
from stock.models import Aviso, Movimiento


@lookup
def seguir(ids: Ids) -> Iterator[ExpectedEvent | Row]:
    """By the event's id, or the notice's."""
    movimientos = list(Movimiento.objects.filter(evento_id__in=ids))
    causados = {StockAgotado.derive_id("automatico", uno.carro_id, uno.evento_id) for uno in movimientos}
    avisos = list(Aviso.objects.filter(aviso_id__in=ids | causados))
    for movimiento in [*movimientos, *_reposiciones(avisos)]:
        yield _de_movimiento(movimiento)
        if movimiento.tipo == Movimiento.Tipo.REPOSICION:
            key, near = str(movimiento.carro_id), movimiento.ocurrido_en
            yield ExpectedEvent(id=movimiento.evento_id, event=StockRepuesto, key=key, near=near)
    for aviso in avisos:
        yield from _de_aviso(aviso)


def _reposiciones(avisos: list[Aviso]) -> list[Movimiento]:
    """The restocks of these notices, by cart and time as the ledger's index has them."""
    if not avisos:
        return []
    suyas = Q()
    for aviso in avisos:
        suyas |= Q(carro=aviso.carro_id, ocurrido_en__gte=aviso.abierto_en, referencia=aviso.aviso_id)
    return list(Movimiento.objects.filter(suyas, tipo=Movimiento.Tipo.REPOSICION))


def _de_movimiento(movimiento: Movimiento) -> Row:
    return Row(
        what="Movimiento del carro",
        state=str(movimiento),
        at=movimiento.ocurrido_en,
        url=_pagina("movimiento", movimiento.pk),
    )


def _de_aviso(aviso: Aviso) -> Iterator[ExpectedEvent | Row]:
    yield Row(
        what=f"Aviso {aviso.get_origen_display()}",
        state=str(aviso),
        at=aviso.cerrado_en or aviso.abierto_en,
        url=_pagina("aviso", aviso.pk),
    )
    key = str(aviso.carro_id)
    yield ExpectedEvent(id=StockAgotado.derive_id(aviso.aviso_id), event=StockAgotado, key=key, near=aviso.abierto_en)


def _pagina(modelo: str, pk: int | UUID) -> str:
    return reverse(f"admin:stock_{modelo}_change", args=[pk])
