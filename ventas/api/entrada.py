"""Sales as clients send them, read and checked.

This is the hot path: a well-formed sale takes microseconds; a bad one is explained in Spanish.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from rest_framework.exceptions import ValidationError

from ventas.api.catalogo import Catalogo
from ventas.api.serializers import VentaEntradaSerializer
from ventas.calendario import CHILE, con_zona
from ventas.events import MAX_UNIDADES

MAX_AHEAD: Final = timedelta(minutes=5)  # a phone's clock may be ahead of ours by this much
MAX_AGE: Final = timedelta(days=60)  # a phone may have been offline for this long
Errores = dict[str, list[str]]  # texts by field


class ListaInvalida(ValidationError):
    """400: which sales of a list are invalid, and why.

    Sets `detail` itself, because DRF would write the indices as text.
    """

    def __init__(self, errores: dict[int, Errores]) -> None:
        super().__init__()
        con_indice: list[Any] = [{"indice": indice, **errores[indice]} for indice in sorted(errores)]
        self.detail = {"errores": con_indice}


class VentaEntrada(msgspec.Struct, frozen=True):
    """A sale as sent by the client. Once read, `vendida_en` is an aware time, or None."""

    producto: str
    cantidad: Annotated[int, msgspec.Meta(ge=1, le=MAX_UNIDADES)]
    id: UUID | None = None
    vendida_en: datetime | None = None


def leer_una(datos: Any, *, catalogo: Catalogo, ahora: datetime, zona: ZoneInfo = CHILE) -> VentaEntrada:
    """Return the sale in a request's body. `zona` is the maestro's.

    Raises ValidationError: `{"cantidad": ["..."]}`.
    """
    entrada = _leer(datos, catalogo, ahora, zona)
    if isinstance(entrada, VentaEntrada):
        return entrada
    raise ValidationError(entrada)


def leer_lista(
    datos: Sequence[Any], *, catalogo: Catalogo, ahora: datetime, zona: ZoneInfo = CHILE
) -> list[VentaEntrada]:
    """Return the sales of a list, all or none.

    Raises ListaInvalida: `{"errores": [{"indice": 3, "cantidad": ["..."]}]}`.
    """
    if not datos:
        raise ValidationError({"detail": "La lista está vacía."})
    leidas = [_leer(una, catalogo, ahora, zona) for una in datos]
    ventas = [leida for leida in leidas if isinstance(leida, VentaEntrada)]
    errores = {indice: leida for indice, leida in enumerate(leidas) if not isinstance(leida, VentaEntrada)}
    errores |= _repeated_ids(leidas)
    if errores:
        raise ListaInvalida(errores)
    return ventas


def _leer(datos: Any, catalogo: Catalogo, ahora: datetime, zona: ZoneInfo) -> VentaEntrada | Errores:
    """Return the sale, or its errors by field."""
    try:
        entrada = msgspec.convert(datos, VentaEntrada)
    except msgspec.ValidationError:
        # The serializer accepts more forms of the same values, and explains the errors.
        serializer = VentaEntradaSerializer(data=datos)
        if not serializer.is_valid():
            return _by_field(serializer.errors)
        entrada = VentaEntrada(**serializer.validated_data)
    if entrada.vendida_en is not None and entrada.vendida_en.tzinfo is None:
        entrada = msgspec.structs.replace(entrada, vendida_en=con_zona(entrada.vendida_en, zona))
    return _rule_errors(entrada, catalogo, ahora) or entrada


def _by_field(errores: Any) -> Errores:
    """Return the serializer's errors, with those that belong to no field under `detail`."""
    return {"detail" if campo == "non_field_errors" else campo: textos for campo, textos in errores.items()}


def _rule_errors(entrada: VentaEntrada, catalogo: Catalogo, ahora: datetime) -> Errores:
    errores: Errores = {}
    if entrada.producto not in catalogo:
        errores["producto"] = [f"No está en el catálogo. Se venden: {', '.join(catalogo)}."]
    if entrada.vendida_en is not None and entrada.vendida_en > ahora + MAX_AHEAD:
        errores["vendida_en"] = ["La venta no puede estar en el futuro."]
    elif entrada.vendida_en is not None and entrada.vendida_en < ahora - MAX_AGE:
        errores["vendida_en"] = [f"La venta tiene más de {MAX_AGE.days} días: avisa al gremio."]
    return errores


def _repeated_ids(leidas: Sequence[VentaEntrada | Errores]) -> dict[int, Errores]:
    """Return an error for each sale whose id already appears earlier in the list."""
    primera: dict[UUID, int] = {}
    errores: dict[int, Errores] = {}
    for indice, venta in enumerate(leidas):
        if not isinstance(venta, VentaEntrada) or venta.id is None:
            continue
        if primera.setdefault(venta.id, indice) != indice:
            errores[indice] = {"id": [f"Es el mismo de la venta con índice {primera[venta.id]}."]}
    return errores
