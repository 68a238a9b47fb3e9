"""The catalogue as sales need it: price, cost and ingredients, kept in the process for a moment."""

import time
from dataclasses import dataclass
from typing import Final

from ventas.models import Producto, costo_de

MAX_AGE_SECONDS: Final = 2.0  # an edited price applies to sales accepted after this time


@dataclass(frozen=True, slots=True)
class EnVenta:
    """A product as it is sold now.

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


Catalogo = dict[str, EnVenta]


@dataclass
class _Cache:
    """The catalogue and the monotonic time of its reading.

    Both are replaced in one assignment, so threads need no lock.
    """

    kept: tuple[float, Catalogo] | None = None


_cache: Final = _Cache()


def vigente() -> Catalogo:
    """Return the active products by code, at most MAX_AGE_SECONDS old. Two queries if renewed."""
    now, kept = time.monotonic(), _cache.kept
    if kept is None or now - kept[0] > MAX_AGE_SECONDS:
        kept = _cache.kept = (now, _read())
    return kept[1]


def olvidar() -> None:
    """Drop the kept catalogue. For tests, which edit the catalogue between requests."""
    _cache.kept = None


def _read() -> Catalogo:
    productos = Producto.objects.filter(activo=True).prefetch_related("receta__insumo")
    return {producto.codigo: _en_venta(producto) for producto in productos}


def _en_venta(producto: Producto) -> EnVenta:
    receta = list(producto.receta.all())
    insumos = {linea.insumo_id: linea.cantidad for linea in receta}
    return EnVenta(producto.codigo, producto.nombre, producto.precio, costo_de(receta), insumos)
