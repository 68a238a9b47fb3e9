"""The catalogue as sales need it: price, cost and ingredients of each product, kept in the process for a moment."""

import time
from dataclasses import dataclass
from typing import Final

from ventas.models import Producto, costo_de

SEGUNDOS: Final = 2.0  # an edited price counts for sales accepted after this


@dataclass(frozen=True, slots=True)
class EnVenta:
    """A product as it is sold now: CLP for one unit, and what one unit takes of each ingredient, in its own unit."""

    codigo: str
    nombre: str
    precio: int
    costo: int
    insumos: dict[str, int]

    def insumos_de(self, cantidad: int) -> dict[str, int]:
        """What `cantidad` units take from the cart."""
        return {insumo: por_unidad * cantidad for insumo, por_unidad in self.insumos.items()}


Catalogo = dict[str, EnVenta]
_guardado: tuple[float, Catalogo] | None = None  # replaced whole, so threads need no lock


def vigente() -> Catalogo:
    """The active products by code, at most SEGUNDOS old. Two queries when it is renewed."""
    global _guardado  # noqa: PLW0603 - the cache of this process
    ahora = time.monotonic()
    if _guardado is None or ahora - _guardado[0] > SEGUNDOS:
        _guardado = (ahora, _leer())
    return _guardado[1]


def olvidar() -> None:
    """Reads the catalogue again next time: for tests, which edit it in between."""
    global _guardado  # noqa: PLW0603
    _guardado = None


def _leer() -> Catalogo:
    productos = Producto.objects.filter(activo=True).prefetch_related("receta__insumo")
    return {producto.codigo: _en_venta(producto) for producto in productos}


def _en_venta(producto: Producto) -> EnVenta:
    receta = list(producto.receta.all())
    insumos = {linea.insumo_id: linea.cantidad for linea in receta}
    return EnVenta(producto.codigo, producto.nombre, producto.precio, costo_de(receta), insumos)
