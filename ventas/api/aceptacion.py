"""Accepting sales and voids: they become events, which are in Kafka or the outbox on return."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from django.db import transaction
from rest_framework.exceptions import ValidationError

from gremio.api.errors import DatosDistintos, otros_datos
from kafka_bridge.exceptions import Unavailable
from kafka_bridge.publishing import claims
from kafka_bridge.publishing.claims import Claimed, Condition, Content
from kafka_bridge.publishing.producer import publish
from ventas.api import entrada
from ventas.api.entrada import Errores, ListaConOtrosDatos, ListaInvalida, VentaEntrada
from ventas.calendario import CHILE
from ventas.catalogo import memoria
from ventas.catalogo.memoria import Catalogo
from ventas.events import VentaAnulada, VentaRegistrada
from ventas.models import Anulacion, Venta

IdFor = Callable[[int], UUID]  # the id for the sale at an index that was sent without one
CondicionPara = Callable[[Mapping[UUID, Any]], Condition]  # by the senders' `prueba`, by event id
LEDGER: Final = ("producto", "cantidad", "vendida_en", "registrada_en")


@dataclass(frozen=True, slots=True)
class Remitente:
    """Who sends sales, and the ids of those without an id.

    `con_clave`: the request has an Idempotency-Key, so that these ids are the same in a retry.
    `zona`: of times that are sent without one. `prueba`: what a condition reads of the sender.
    """

    maestro_id: UUID
    id_for: IdFor
    con_clave: bool
    zona: ZoneInfo = CHILE
    prueba: Any = None


class Aceptada(NamedTuple):
    """An accepted sale or void. `repetida`: it had been accepted before, and counts once.

    `evento`: the event of a sale.
    """

    id: UUID
    repetida: bool
    evento: VentaRegistrada | None = None


@dataclass(slots=True)
class Resultado:
    """What became of the sales of a request, by index.

    `distintos`: those of `errores` whose id came before with other content.
    """

    aceptadas: list[Aceptada] = field(default_factory=list)
    errores: dict[int, Errores] = field(default_factory=dict)
    distintos: set[int] = field(default_factory=set)


class _Envio(msgspec.Struct, frozen=True, gc=False):
    """A sale as it was sent; `enviadas` is how many the request has.

    `propio`: its id is the client's, or from the client's key.
    """

    indice: int
    enviadas: int
    venta: VentaEntrada
    venta_id: UUID
    evento_id: UUID
    propio: bool


def aceptar_una(datos: Any, *, remitente: Remitente, ahora: datetime) -> Aceptada:
    """Accept the sale in a request's body.

    Raises ValidationError if it is invalid, DatosDistintos if its id came before with other
    content, and Unavailable if Kafka and the database are down.
    """
    resultado = _aceptar([datos], remitente, ahora, parcial=False)
    if resultado.distintos:
        raise DatosDistintos(resultado.errores[0])
    if resultado.errores:
        raise ValidationError(resultado.errores[0])
    return resultado.aceptadas[0]


def aceptar_lista(datos: Sequence[Any], *, remitente: Remitente, ahora: datetime, parcial: bool) -> Resultado:
    """Accept all sales of a list or none; with `parcial`, the valid ones, unless none is.

    Raises ListaInvalida or ListaConOtrosDatos where no sale is accepted, and Unavailable if Kafka
    and the database are down.
    """
    if not datos:
        raise ValidationError({"detail": "La lista está vacía."})
    resultado = _aceptar(datos, remitente, ahora, parcial=parcial)
    if resultado.aceptadas:
        return resultado
    todos_distintos = resultado.distintos == resultado.errores.keys()
    raise ListaConOtrosDatos(resultado.errores) if todos_distintos else ListaInvalida(resultado.errores)


def preparar(
    enviadas: Sequence[tuple[Any, Remitente]], ahora: datetime, solo_si: CondicionPara | None = None
) -> list[VentaRegistrada | None]:
    """Return the events of single sales of several maestros, to be published; claims them at once.

    None stands for a sale that `aceptar_una` must judge, because something is wrong with it or with
    its claim. With `solo_si` it also stands for a sale for which that condition does not hold, and
    for one that is not asked about: without an id of its own, or with the same as a later one.
    """
    productos = memoria.leer()
    envios = [_sin_errores(datos, remitente, productos, ahora) for datos, remitente in enviadas]
    propios = {uno.evento_id: uno for uno in envios if uno is not None and uno.propio}
    condicion = None
    if solo_si:
        envios = [uno if uno is not None and propios.get(uno.evento_id) is uno else None for uno in envios]
        pares = zip(envios, enviadas, strict=True)
        condicion = solo_si({uno.evento_id: remitente.prueba for uno, (_, remitente) in pares if uno is not None})
    reclamos = _claim_if_possible(propios.values(), ahora, condicion)
    eventos: list[VentaRegistrada | None] = []
    for uno, (_, remitente) in zip(envios, enviadas, strict=True):
        claim = reclamos.get(uno.evento_id) if uno is not None else None
        if uno is None or (uno.propio and (claim is None or _first_content(claim) != _content(uno))):
            eventos.append(None)
        else:
            eventos.append(_evento(uno, productos, claim, remitente.maestro_id, ahora))
    return eventos


def _sin_errores(datos: Any, remitente: Remitente, productos: Catalogo, ahora: datetime) -> _Envio | None:
    leida = entrada.leer(datos, remitente.zona)
    if not isinstance(leida, VentaEntrada) or entrada.rule_errors(leida, productos, ahora, desde=None):
        return None
    return _envio(0, 1, leida, remitente)


def _claim_if_possible(envios: Iterable[_Envio], ahora: datetime, condicion: Condition | None) -> dict[UUID, Claimed]:
    contents = {uno.evento_id: _content(uno) for uno in envios}
    try:
        return claims.claim(contents, at=ahora, ledger=Venta, columns=LEDGER, only_if=condicion)
    except Unavailable:  # told to each of these sales by `aceptar_una`; the others need no claim
        return {}


def aceptar_anulacion(venta: Venta, *, motivo: str) -> Aceptada:
    """Accept the void of a sale.

    Raises DatosDistintos if it came before with another reason, and Unavailable if Kafka and the
    database are down.
    """
    event_id = VentaAnulada.derive_id(venta.maestro_id, venta.venta_id)
    content = {"motivo": motivo}
    claim = claims.claim({event_id: content}, at=datetime.now(UTC), ledger=Anulacion, columns=["motivo"])[event_id]
    antes = {"motivo": claim.row[0]} if claim.row else claim.first
    if antes != content:
        raise DatosDistintos(otros_datos(antes, content))
    publish(
        VentaAnulada(id=event_id, time=claim.at, venta_id=venta.venta_id, maestro_id=venta.maestro_id, motivo=motivo)
    )
    return Aceptada(venta.venta_id, repetida=_repeats(claim))


def _aceptar(datos: Sequence[Any], remitente: Remitente, ahora: datetime, *, parcial: bool) -> Resultado:
    """Publish the valid sales; without `parcial`, only if all are valid."""
    productos, resultado = memoria.leer(), Resultado()
    leidas = [entrada.leer(una, remitente.zona) for una in datos]
    buenas = {i: leida for i, leida in enumerate(leidas) if isinstance(leida, VentaEntrada)}
    envios = [_envio(i, len(datos), leida, remitente) for i, leida in buenas.items()]
    resultado.errores = {i: leida for i, leida in enumerate(leidas) if not isinstance(leida, VentaEntrada)}
    resultado.errores |= _rule_errors(envios, productos, ahora) | entrada.repeated_ids(
        {envio.indice: envio.venta_id for envio in envios}
    )
    envios = [envio for envio in envios if envio.indice not in resultado.errores]
    if resultado.errores and not parcial:
        return resultado
    reclamos, distintos = _claim(envios, ahora, parcial=parcial)
    resultado.errores |= distintos
    resultado.distintos = set(distintos)
    if resultado.errores and not parcial:
        return resultado
    envios = [envio for envio in envios if envio.indice not in distintos]
    if not envios:
        return resultado
    eventos = [_evento(uno, productos, reclamos.get(uno.evento_id), remitente.maestro_id, ahora) for uno in envios]
    publish(*eventos)
    resultado.aceptadas = [Aceptada(evento.venta_id, _repeats(reclamos.get(evento.id)), evento) for evento in eventos]
    return resultado


def _envio(indice: int, enviadas: int, venta: VentaEntrada, remitente: Remitente) -> _Envio:
    venta_id = venta.id or remitente.id_for(indice)
    evento_id = VentaRegistrada.derive_id(remitente.maestro_id, venta_id)
    return _Envio(indice, enviadas, venta, venta_id, evento_id, propio=venta.id is not None or remitente.con_clave)


def _rule_errors(envios: Sequence[_Envio], productos: Catalogo, ahora: datetime) -> dict[int, Errores]:
    """Return what the rules have against the sales, by index.

    A sale that was sent before is judged at the moment of its first sending: a product that left
    the catalogue meanwhile does not stop its retry.
    """
    por_indice = ((uno, entrada.rule_errors(uno.venta, productos, ahora, desde=None)) for uno in envios)
    dudosos = [(uno, errores) for uno, errores in por_indice if errores]
    propios = [uno.evento_id for uno, _ in dudosos if uno.propio]
    antes = claims.earlier(propios) if propios else {}
    todos = {
        uno.indice: entrada.rule_errors(uno.venta, productos, ahora, desde=antes[uno.evento_id])
        if uno.evento_id in antes
        else errores
        for uno, errores in dudosos
    }
    return {indice: errores for indice, errores in todos.items() if errores}


def _claim(
    envios: Sequence[_Envio], ahora: datetime, *, parcial: bool
) -> tuple[dict[UUID, Claimed], dict[int, Errores]]:
    """Claim the clients' own ids; return the claims, and the errors of ids that differ, by index.

    If a list is refused as a whole, none of its ids stays claimed: a corrected list can use them.
    """
    contents = {uno.evento_id: _content(uno) for uno in envios if uno.propio}
    whole = len(contents) > 1 and not parcial
    with transaction.atomic() if whole else nullcontext():
        reclamos = claims.claim(contents, at=ahora, ledger=Venta, columns=LEDGER)
        errores = {
            uno.indice: otros_datos(antes, ahora_)
            for uno in envios
            if uno.propio and (antes := _first_content(reclamos[uno.evento_id])) != (ahora_ := contents[uno.evento_id])
        }
        if errores and whole:
            transaction.set_rollback(True)
    return reclamos, errores


def _content(envio: _Envio) -> dict[str, Any]:
    """Return what a retry must say again.

    With an id from the request's key, that is also how many sales were sent: a list that has grown
    is another request, and its first sales may be new ones.
    """
    return entrada.contenido(envio.venta) | ({} if envio.venta.id else {"ventas": envio.enviadas})


def _first_content(claim: Claimed) -> Content:
    """Return what came first under an id; from the ledger, if the sale is older than its claim.

    The ledger does not know how many sales came with it.
    """
    if not claim.is_new or claim.row is None:
        return claim.first
    producto, cantidad, vendida_en, registrada_en = claim.row
    if vendida_en == registrada_en and claim.sent.get("vendida_en") is None:
        vendida_en = None
    return {**claim.sent, **entrada.contenido(VentaEntrada(producto, cantidad, vendida_en=vendida_en))}


def _repeats(claim: Claimed | None) -> bool:
    return claim is not None and (not claim.is_new or claim.row is not None)


def _evento(
    envio: _Envio, productos: Catalogo, claim: Claimed | None, maestro_id: UUID, ahora: datetime
) -> VentaRegistrada:
    """Return the event of a sale, with price, cost and ingredients of the moment of the sale.

    A retry has the moment of the first attempt.
    """
    venta, aceptada_en = envio.venta, claim.at if claim else ahora
    momento = venta.vendida_en or (claim.at if claim and not claim.is_new else None)
    producto = productos.en(venta.producto, momento) or productos.vigente[venta.producto]
    return VentaRegistrada(
        id=envio.evento_id,
        time=aceptada_en,
        venta_id=envio.venta_id,
        maestro_id=maestro_id,
        producto=producto.codigo,
        cantidad=venta.cantidad,
        precio_unitario=producto.precio,
        costo_unitario=producto.costo,
        insumos=producto.insumos_de(venta.cantidad),
        vendida_en=venta.vendida_en or aceptada_en,
    )
