"""The rules of restocks: when an open notice fills a cart, and when it is unfounded.

A notice is looked at when it arrives, when a sale empties an ingredient that it names, when the
last sale accepted before it has been counted, and by a periodic sweep (tasks.py) until it is
closed. This is how it is decided:

- If an ingredient that the notice names is out, that ingredient is filled to capacity at once.
- Otherwise the notice waits until `inventario` has counted all the sales that were accepted before
  it. (Sales are in another topic, so the notice may have overtaken them.) After each batch, both
  consumers look whether these sales are counted.
- Once they are counted, the maestro is believed: a named ingredient below capacity is filled. If
  nothing is missing, the notice is closed as unfounded.

A notice that names no ingredient means everything that is out.
"""

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from django.db import transaction

from gremio.transactions import transaction_required
from kafka_bridge.consuming import progress
from kafka_bridge.publishing import outbox
from stock import movimientos, notice_rows
from stock.events import StockRepuesto
from stock.models import Aviso, Existencia, Insumo, Movimiento
from stock.movimientos import Asiento, StockKey
from stock.names import INVENTARIO, TOPICO_DE_VENTAS

MAX_NOTICES: Final = 1_000  # how many waiting notices one call looks at; the next call sees the others


Contadas = dict[tuple[str, int], int]  # the next offset to count, by id of the topic of sales and partition


class Nivel(NamedTuple):
    """What a cart holds of an ingredient and what fits, in the ingredient's unit."""

    cantidad: int
    capacidad: int

    @property
    def falta(self) -> int:
        return max(0, self.capacidad - self.cantidad)

    @property
    def agotado(self) -> bool:
        return self.cantidad <= 0


def por_reponer(nombrado: str, carro: dict[str, Nivel], *, ventas_contadas: bool) -> dict[str, int] | None:
    """Return what a notice adds to a cart: the amount of each ingredient, in its unit.

    The result is empty if the notice is unfounded, and None while it must wait.

    `nombrado`: the ingredient that the notice names, or empty. `carro`: the levels by ingredient.
    `ventas_contadas`: whether all the sales accepted before the notice are counted.
    """
    named = {insumo: nivel for insumo, nivel in carro.items() if nombrado in ("", insumo)}
    out = {insumo: nivel.falta for insumo, nivel in named.items() if nivel.agotado}
    if out:
        return out
    if not ventas_contadas:
        return None
    return {insumo: nivel.falta for insumo, nivel in named.items() if nombrado and nivel.falta}


@transaction_required
def decidir(avisos: Collection[Aviso], contadas: Contadas, *, ahora: datetime) -> set[StockKey]:
    """Decide these open notices of open carts: fill what they ask for; return what was filled.

    Unfounded notices are closed, and notices that must wait stay open. The caller holds the carts
    (`movimientos.tomar`). `contadas`: the result of `ventas_contadas`, read before this call reads
    the stock, so that the stock contains at least those sales.
    """
    if not avisos:
        return set()
    niveles = _niveles({aviso.carro_id for aviso in avisos})
    rellenos: dict[StockKey, tuple[UUID, int]] = {}  # the notice that fills, and how much
    infundados = []
    for aviso in avisos:
        faltan = por_reponer(aviso.insumo, niveles[aviso.carro_id], ventas_contadas=aviso.ventas_contadas(contadas))
        if faltan is None:
            continue
        if not faltan:
            infundados.append(aviso)
        for insumo, cantidad in faltan.items():
            # The first notice fills the ingredient; the others are served by the same restock.
            rellenos.setdefault((aviso.carro_id, insumo), (aviso.aviso_id, cantidad))
    _reponer(rellenos, ahora)
    notice_rows.close_unfounded(infundados, ahora)
    return set(rellenos)


def _niveles(maestros: Collection[UUID]) -> dict[UUID, dict[str, Nivel]]:
    """Return the level of every ingredient of the catalogue, by maestro and code."""
    filas = Existencia.objects.filter(carro__in=maestros).values_list("carro_id", "insumo_id", "cantidad")
    cantidades = {(maestro_id, insumo): cantidad for maestro_id, insumo, cantidad in filas}
    caben = capacidades()
    return {
        maestro_id: {
            insumo: Nivel(cantidades.get((maestro_id, insumo), 0), capacidad) for insumo, capacidad in caben.items()
        }
        for maestro_id in maestros
    }


def capacidades() -> dict[str, int]:
    """Return what a cart can hold of each ingredient of the catalogue, by code, in its unit."""
    return dict(Insumo.objects.values_list("codigo", "capacidad"))


def _reponer(rellenos: dict[StockKey, tuple[UUID, int]], ahora: datetime) -> None:
    """Write the restocks, close the notices they serve, and publish one event per notice."""
    if not rellenos:
        return
    por_aviso: dict[tuple[UUID, UUID], dict[str, int]] = defaultdict(dict)
    for (maestro_id, insumo), (aviso_id, cantidad) in rellenos.items():
        por_aviso[aviso_id, maestro_id][insumo] = cantidad
    eventos = [_repuesto(aviso_id, maestro_id, insumos, ahora) for (aviso_id, maestro_id), insumos in por_aviso.items()]
    tipo = Movimiento.Tipo.REPOSICION.value
    movimientos.asentar(Asiento(e.id, e.maestro_id, tipo, e.insumos, ahora, e.aviso_id) for e in eventos)
    notice_rows.close_served(rellenos, ahora)
    outbox.add(*eventos)


def _repuesto(aviso_id: UUID, maestro_id: UUID, insumos: dict[str, int], ahora: datetime) -> StockRepuesto:
    return StockRepuesto(
        # A notice of several ingredients may be served in two steps. The id names what is filled,
        # so that each step has its own event and no step is counted twice.
        id=StockRepuesto.derive_id(aviso_id, *sorted(insumos)),
        time=ahora,
        aviso_id=aviso_id,
        maestro_id=maestro_id,
        insumos=insumos,
        repuesto_en=ahora,
    )


@transaction_required
def recordar_reposiciones(eventos: list[StockRepuesto]) -> None:
    """Write restocks read back from Kafka, and close the notices they served.

    The ledger has them already, except those that a restored database lost. Carts are locked for
    these only: the batch may have locked carts of its notices, and a second lock leaves the
    order in which `inventario` locks, so that the two could deadlock.
    """
    escritas = movimientos.escritos(evento.id for evento in eventos)
    perdidas = [evento for evento in eventos if evento.id not in escritas]
    if not perdidas:
        return
    movimientos.tomar(evento.maestro_id for evento in perdidas)
    tipo = Movimiento.Tipo.REPOSICION.value
    movimientos.asentar(Asiento(e.id, e.maestro_id, tipo, e.insumos, e.repuesto_en, e.aviso_id) for e in perdidas)
    avisos = notice_rows.open_notices().filter(aviso_id__in=[evento.aviso_id for evento in perdidas])
    notice_rows.close_restocked(avisos)


def ventas_contadas() -> Contadas:
    """Return how far `inventario` has counted the sales."""
    return progress.consumer_offsets(INVENTARIO, TOPICO_DE_VENTAS)


def decidir_al_confirmar(ahora: datetime) -> None:
    """Decide the waiting notices after the current transaction has committed.

    Sales and a notice are applied by different consumers. Before its commit, neither sees what the
    other has written; the one that commits second then sees both and decides. An error at that
    point is only logged: the batch itself is done, and the sweep decides those notices later.
    """
    # A lambda and not `functools.partial`: Django logs the name of the function, and a partial has
    # none.
    transaction.on_commit(lambda: decidir_contados(ahora=ahora), robust=True)


def decidir_contados(*, ahora: datetime) -> None:
    """Decide the notices that waited for sales if `inventario` has counted the last of these sales.

    Makes one query if no notice waits.
    """
    if not notice_rows.some_wait_for_sales():
        return
    en_espera = list(notice_rows.open_notices().filter(ventas_hasta__isnull=False)[:MAX_NOTICES])
    contadas = ventas_contadas()
    maestros = {aviso.carro_id for aviso in en_espera if aviso.ventas_contadas(contadas)}
    if maestros:
        with transaction.atomic():
            decidir_carros(maestros, contadas, ahora=ahora)


@transaction_required
def decidir_carros(maestros: set[UUID], contadas: Contadas, *, ahora: datetime) -> set[UUID]:
    """Lock these carts and decide their open notices; return the maestros whose cart is open."""
    abiertos = movimientos.tomar(maestros)
    decidir(list(notice_rows.open_notices().filter(carro__in=maestros)), contadas, ahora=ahora)
    return abiertos
