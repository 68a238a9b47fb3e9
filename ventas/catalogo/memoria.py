"""The catalogue as sales need it, now and in the past, kept in the process for a moment."""

import logging
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import DatabaseError
from django.utils import timezone

from kafka_bridge.diagnosis import describe
from ventas.catalogo import historia
from ventas.models import CambioDeCatalogo

logger = logging.getLogger(__name__)

MAX_AGE_SECONDS: Final = 2.0  # an edited price applies to sales accepted after this time
HISTORY: Final = timedelta(days=61)  # how far back prices are kept; longer than `entrada.MAX_AGE`
CLOCK_SKEW: Final = timedelta(minutes=5)  # a phone's clock may differ from ours by this much


@dataclass(frozen=True, slots=True)
class EnVenta:
    """A product as it is, or was, sold.

    Price and cost are in CLP per unit; `insumos` is what one unit takes of each ingredient, in the
    ingredient's own unit.
    """

    codigo: str
    nombre: str
    precio: int
    costo: int
    insumos: dict[str, int]

    def insumos_de(self, cantidad: int) -> dict[str, int]:
        """Return what `cantidad` units take from the cart."""
        return {insumo: por_unidad * cantidad for insumo, por_unidad in self.insumos.items()}


Vigente = dict[str, EnVenta]


@dataclass(frozen=True, slots=True)
class _Historia:
    """The moments at which a product changed, and what was valid from each; None: not sold."""

    desde: list[datetime]
    estados: list[EnVenta | None]

    def en(self, momento: datetime) -> EnVenta | None:
        posicion = bisect_right(self.desde, momento)
        return self.estados[posicion - 1] if posicion else None


@dataclass(frozen=True, slots=True)
class Catalogo:
    """What is sold now, and what was sold within HISTORY."""

    vigente: Vigente
    historia: dict[str, _Historia]

    def en(self, codigo: str, momento: datetime | None) -> EnVenta | None:
        """Return the product as it was sold at `momento` (None: now), or None if it was not sold.

        A sale counts as sold if the product was on sale within CLOCK_SKEW of its moment: phones'
        clocks are not exact, and a sale at the minute of a change has happened.
        """
        if momento is None:
            return self.vigente.get(codigo)
        if codigo not in self.historia:
            return None
        estado = self.historia[codigo].en
        return estado(momento) or estado(momento + CLOCK_SKEW) or estado(momento - CLOCK_SKEW)

    def en_venta(self, momento: datetime | None) -> list[str]:
        """Return the codes that were on sale at `momento`, in the order of the catalogue."""
        codigos = [*self.vigente, *sorted(self.historia.keys() - self.vigente.keys())]
        return [codigo for codigo in codigos if self.en(codigo, momento)]


@dataclass
class _Cache:
    """The catalogue and the monotonic time of its reading.

    Both are replaced in one assignment, so threads need no lock.
    """

    kept: tuple[float, Catalogo] | None = None


_cache: Final = _Cache()


def leer() -> Catalogo:
    """Return the catalogue, at most MAX_AGE_SECONDS old. Three queries if renewed."""
    now, kept = time.monotonic(), _cache.kept
    if kept is None or now - kept[0] > MAX_AGE_SECONDS:
        kept = _cache.kept = (now, _read(timezone.now()))
    return kept[1]


def vigente() -> Vigente:
    """Return the products on sale by code, as `leer`."""
    return leer().vigente


def olvidar() -> None:
    """Drop the kept catalogue. For tests, which edit the catalogue between requests."""
    _cache.kept = None


def _read(ahora: datetime) -> Catalogo:
    actuales = historia.actual()
    cambios = historia.desde(ahora - HISTORY)
    if historia.diferencias(actuales, {uno.producto: uno for uno in cambios}):
        cambios = _corrected(ahora) or cambios
    return Catalogo({uno.producto: _en_venta(uno) for uno in actuales if uno.activo}, _por_producto(cambios))


def _corrected(ahora: datetime) -> list[CambioDeCatalogo]:
    """Write down a change that no signal reported; a database that only reads stops no sale."""
    try:
        historia.corregir()
    except DatabaseError as error:
        logger.warning("the history of the catalogue is behind: %s", describe(error))
        return []
    return historia.desde(ahora - HISTORY)


def _por_producto(cambios: Iterable[CambioDeCatalogo]) -> dict[str, _Historia]:
    por_producto: defaultdict[str, _Historia] = defaultdict(lambda: _Historia([], []))
    for cambio in cambios:
        por_producto[cambio.producto].desde.append(cambio.desde)
        por_producto[cambio.producto].estados.append(_en_venta(cambio) if cambio.activo else None)
    return dict(por_producto)


def _en_venta(uno: CambioDeCatalogo) -> EnVenta:
    return EnVenta(uno.producto, uno.nombre, uno.precio, uno.costo, uno.insumos)
