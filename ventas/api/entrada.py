"""From what a maestro sends to events: the hot path. A well-formed sale costs microseconds; a bad one is explained in Spanish."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from rest_framework.exceptions import ValidationError

from ventas.api.catalogo import Catalogo
from ventas.api.serializers import VentaEntradaSerializer
from ventas.calendario import CHILE
from ventas.events import MAX_UNIDADES, VentaRegistrada

ADELANTO: Final = timedelta(minutes=5)  # how far ahead a phone's clock may be
ANTIGUEDAD: Final = timedelta(days=60)  # how long a phone may have been offline
Errores = dict[str, list[str]]  # by field


class ListaInvalida(ValidationError):
    """400: which sales of a list are bad, and why. DRF would write the indices as text."""

    def __init__(self, errores: dict[int, Errores]) -> None:
        super().__init__()
        con_indice: list[Any] = [{"indice": indice, **errores[indice]} for indice in sorted(errores)]
        self.detail = {"errores": con_indice}


class VentaEntrada(msgspec.Struct, frozen=True):
    """A sale as it was sent; `id` and `vendida_en` are optional. Aware times, once it is read."""

    producto: str
    cantidad: Annotated[int, msgspec.Meta(ge=1, le=MAX_UNIDADES)]
    id: UUID | None = None
    vendida_en: datetime | None = None


def leer_una(datos: Any, *, catalogo: Catalogo, ahora: datetime) -> VentaEntrada:
    """The sale in a request's body. Raises ValidationError: `{"cantidad": ["..."]}`."""
    entrada = _leer(datos, catalogo, ahora)
    if isinstance(entrada, VentaEntrada):
        return entrada
    raise ValidationError(entrada)


def leer_lista(datos: Sequence[Any], *, catalogo: Catalogo, ahora: datetime) -> list[VentaEntrada]:
    """The sales of a list, all or none. Raises ListaInvalida: `{"errores": [{"indice": 3, "cantidad": ["..."]}]}`."""
    if not datos:
        raise ValidationError({"detail": "La lista está vacía."})
    leidas = [_leer(una, catalogo, ahora) for una in datos]
    ventas = [leida for leida in leidas if isinstance(leida, VentaEntrada)]
    errores = {indice: leida for indice, leida in enumerate(leidas) if not isinstance(leida, VentaEntrada)}
    errores |= _repetidas(leidas)
    if errores:
        raise ListaInvalida(errores)
    return ventas


def _leer(datos: Any, catalogo: Catalogo, ahora: datetime) -> VentaEntrada | Errores:
    """The sale, or its errors by field."""
    try:
        entrada = msgspec.convert(datos, VentaEntrada)
    except msgspec.ValidationError:
        serializer = VentaEntradaSerializer(data=datos)  # reads more forms of the same, and explains the rest
        if not serializer.is_valid():
            return _explicar(serializer.errors)
        entrada = VentaEntrada(**serializer.validated_data)
    if entrada.vendida_en is not None and entrada.vendida_en.tzinfo is None:
        entrada = msgspec.structs.replace(entrada, vendida_en=entrada.vendida_en.replace(tzinfo=CHILE))
    return _errores(entrada, catalogo, ahora) or entrada


def _explicar(errores: Any) -> Errores:
    """The serializer's errors, of which one that is no field's is called `detail`."""
    return {"detail" if campo == "non_field_errors" else campo: textos for campo, textos in errores.items()}


def _errores(entrada: VentaEntrada, catalogo: Catalogo, ahora: datetime) -> Errores:
    errores: Errores = {}
    if entrada.producto not in catalogo:
        errores["producto"] = [f"No está en el catálogo. Se venden: {', '.join(catalogo)}."]
    if entrada.vendida_en is not None and entrada.vendida_en > ahora + ADELANTO:
        errores["vendida_en"] = ["La venta no puede estar en el futuro."]
    elif entrada.vendida_en is not None and entrada.vendida_en < ahora - ANTIGUEDAD:
        errores["vendida_en"] = [f"La venta tiene más de {ANTIGUEDAD.days} días: avisa al gremio."]
    return errores


def _repetidas(leidas: Sequence[VentaEntrada | Errores]) -> dict[int, Errores]:
    """The sales whose id stands earlier in the list."""
    primera: dict[UUID, int] = {}
    errores: dict[int, Errores] = {}
    for indice, venta in enumerate(leidas):
        if not isinstance(venta, VentaEntrada) or venta.id is None:
            continue
        if primera.setdefault(venta.id, indice) != indice:
            errores[indice] = {"id": [f"Es el mismo de la venta con índice {primera[venta.id]}."]}
    return errores


def evento(
    entrada: VentaEntrada, *, venta_id: UUID, maestro_id: UUID, catalogo: Catalogo, ahora: datetime
) -> VentaRegistrada:
    """The event of an accepted sale: price, cost and ingredients are the catalogue's of this moment."""
    producto = catalogo[entrada.producto]
    return VentaRegistrada(
        id=VentaRegistrada.derive_id(maestro_id, venta_id),
        time=ahora,
        venta_id=venta_id,
        maestro_id=maestro_id,
        producto=producto.codigo,
        cantidad=entrada.cantidad,
        precio_unitario=producto.precio,
        costo_unitario=producto.costo,
        insumos=producto.insumos_de(entrada.cantidad),
        vendida_en=entrada.vendida_en or ahora,
    )
