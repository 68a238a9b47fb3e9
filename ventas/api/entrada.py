"""Sales as clients send them, read and checked.

This is the hot path: a well-formed sale takes microseconds; a bad one is explained in Spanish.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, cast
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from rest_framework.exceptions import ValidationError

from gremio.api.errors import DatosDistintos
from ventas.api.serializers import VentaEntradaSerializer
from ventas.calendario import CHILE, con_zona
from ventas.catalogo.memoria import Catalogo
from ventas.events import MAX_UNIDADES

MAX_AHEAD: Final = timedelta(minutes=5)  # a phone's clock may be ahead of ours by this much
MAX_AGE: Final = timedelta(days=60)  # a phone may have been offline for this long
Errores = dict[str, list[str]]  # texts by field
Contenido = dict[str, Any]  # JSON values by field


class ListaInvalida(ValidationError):
    """400: which sales of a list are invalid, and why.

    Sets `detail` itself, because DRF would write the indices as text.
    """

    def __init__(self, errores: Mapping[int, Errores]) -> None:
        super().__init__()
        self.detail = {"errores": cast(Any, con_indice(errores))}


class ListaConOtrosDatos(DatosDistintos):
    """422: sales of a list have an id that came before with other content."""

    def __init__(self, errores: Mapping[int, Errores]) -> None:
        super().__init__({})
        self.detail = {"errores": cast(Any, con_indice(errores))}


def con_indice(errores: Mapping[int, Errores]) -> list[dict[str, Any]]:
    """Return errors as the API shows them, in the order of the list."""
    return [{"indice": indice, **errores[indice]} for indice in sorted(errores)]


class VentaEntrada(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A sale as sent by the client. Once read, `vendida_en` is an aware time, or None."""

    producto: str
    cantidad: Annotated[int, msgspec.Meta(ge=1, le=MAX_UNIDADES)]
    id: UUID | None = None
    vendida_en: datetime | None = None


Leida = VentaEntrada | Errores


def leer(datos: Any, zona: ZoneInfo = CHILE) -> Leida:
    """Return the sale that was sent, or its errors by field; the rules are not checked.

    A time without a zone is read in `zona`, which is the maestro's.
    """
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
    return entrada


def contenido(entrada: VentaEntrada) -> Contenido:
    """Return what the client said about the sale: retries of a sale must say the same."""
    vendida_en = entrada.vendida_en and entrada.vendida_en.astimezone(UTC).isoformat()
    return {"producto": entrada.producto, "cantidad": entrada.cantidad, "vendida_en": vendida_en}


def _by_field(errores: Any) -> Errores:
    """Return the serializer's errors, with those that belong to no field under `detail`."""
    return {"detail" if campo == "non_field_errors" else campo: textos for campo, textos in errores.items()}


def rule_errors(entrada: VentaEntrada, catalogo: Catalogo, ahora: datetime, *, desde: datetime | None) -> Errores:
    """Return what the guild's rules have against a sale, by field; empty if nothing.

    `desde`: when the same sale was first sent, if it was; otherwise None.
    """
    errores: Errores = {}
    limite = desde or ahora
    if entrada.vendida_en is not None and entrada.vendida_en > limite + MAX_AHEAD:
        errores["vendida_en"] = [_ahead(entrada.vendida_en - limite)]
    elif entrada.vendida_en is not None and entrada.vendida_en < limite - MAX_AGE:
        errores["vendida_en"] = [f"La venta tiene más de {MAX_AGE.days} días: avisa al gremio."]
    # Of a moment that is out of range the catalogue says nothing: then it is asked about now.
    momento = None if errores else entrada.vendida_en or desde
    if catalogo.en(entrada.producto, momento) is None:
        errores["producto"] = [_not_sold(entrada.producto, momento, catalogo)]
    return errores


def _not_sold(codigo: str, momento: datetime | None, catalogo: Catalogo) -> str:
    codigos = ", ".join(catalogo.en_venta(momento))
    if codigo in catalogo.historia:
        cuando = "en ese momento" if momento else "ahora"
        return f"No está en el catálogo de lo que se vendía {cuando}: {codigos}."
    return f"No está en el catálogo. Se venden: {codigos}."


def _ahead(by: timedelta) -> str:
    """Say what to do when a phone's clock is ahead by `by`."""
    return (
        f"La venta no puede estar en el futuro: está {_duracion(by)} adelantada. Pon en hora el reloj del teléfono "
        "y corrige la hora, o envía la venta sin vendida_en: se registra con la hora de ahora."
    )


def _duracion(tiempo: timedelta) -> str:
    minutos = int(tiempo.total_seconds() // 60)
    if minutos < 120:
        return f"{minutos} minutos"
    return f"{minutos // 60} horas" if minutos < 48 * 60 else f"{minutos // (24 * 60)} días"


def repeated_ids(ids: Mapping[int, UUID]) -> dict[int, Errores]:
    """Return an error for each index whose id already appears earlier in the list."""
    primera: dict[UUID, int] = {}
    errores: dict[int, Errores] = {}
    for indice, id_ in ids.items():
        if primera.setdefault(id_, indice) != indice:
            errores[indice] = {"id": [f"Es el mismo de la venta con índice {primera[id_]}."]}
    return errores
