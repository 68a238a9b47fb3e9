"""The pages of sales: sell, one sale, the week, the prices; made of what the API answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby, takewhile
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from gremio.api.paginas import Errores, Pagina, Pedido
from gremio.api.requests import maestro_id, zona
from gremio.formats import DIAS, cuando, dia, fecha, hora, medida, pesos
from ventas import calendario, hoy
from ventas.api import recibidas
from ventas.api.recibidas import Recibida
from ventas.catalogo import memoria
from ventas.catalogo.memoria import Vigente

# After this time an accepted sale should long be in the ledger.
LATE: Final = timedelta(minutes=10)
JUST_NOW: Final = timedelta(minutes=1)
NOMBRES: Final = {"producto": "Producto", "cantidad": "¿Cuántos?", "vendida_en": "Cuándo la vendiste"}
ES_OTRA: Final = "¿Es otra venta? Desde esa página ya había llegado una. Si esta es otra, tócala de nuevo aquí."


@dataclass(frozen=True)
class Fila:
    """A sale in the list."""

    venta_id: UUID
    que: str
    monto: str
    momento: datetime
    hora: str
    estado: str
    clase: str
    anulable: bool = False


def vender(pedido: Pedido) -> Pagina:
    """Return the page with a button per product, today's count and the last sales.

    A refused sale shows the buttons again with what was typed, without the list.
    """
    catalogo = memoria.vigente()
    contexto = {
        "productos": [(codigo, corto, pesos(catalogo[codigo].precio)) for codigo, corto in cortos(catalogo).items()],
        "cantidad": pedido.escrito.get("cantidad") or "1",
        "vendida_en": pedido.escrito.get("vendida_en", ""),
        "mal": pedido.errores,
        "errores": _errors(pedido.errores),
        "error_titulo": ES_OTRA if _is_another(pedido.errores) else "",
    }
    if pedido.data is not None:
        contexto |= _last_sales(pedido, cortos(catalogo))
    return Pagina("ventas/vender.html", "Vender", contexto)


def _is_another(errores: Errores) -> bool:
    return "detail" in errores and len(errores) > 1


def _errors(errores: Errores) -> list[dict[str, str]]:
    """Return what is wrong, each with the box that it is about."""
    return [
        {"campo": campo if campo in NOMBRES else "", "nombre": NOMBRES.get(campo, ""), "texto": texto}
        for campo, textos in errores.items()
        for texto in textos
        if not (campo == "detail" and _is_another(errores))
    ]


def _last_sales(pedido: Pedido, nombres: dict[str, str]) -> dict[str, Any]:
    request, ahora = pedido.request, pedido.ahora
    maestro, en = maestro_id(request), zona(request)
    is_first = not {"cursor", "desde", "hasta"} & set(request.query_params)
    noted = recibidas.recibidas(request, maestro) if is_first else []
    anulando = recibidas.por_anular(request)
    listed = {una["id"] for una in pedido.data["results"]}
    # The list was read before: a sale that was written meanwhile is shown too.
    missing = [una for una in noted if not una.anotada or (str(una.venta_id) not in listed and _is_new(una, ahora))]
    filas = [_accepted(una, nombres, ahora, en) for una in missing]
    filas += [_written(una, nombres, anulando, en) for una in pedido.data["results"]]
    return {
        "hoy": _today(maestro, noted, ahora, en) if is_first else None,
        "grupos": _by_day(filas, ahora, en),
        "siguiente": pedido.data["next"],
        "es_primera": is_first,
        "esperan": any(not una.anotada for una in noted),
    }


def _is_new(una: Recibida, ahora: datetime) -> bool:
    return ahora - una.aceptada_en < JUST_NOW


def _today(maestro: UUID, noted: Sequence[Recibida], ahora: datetime, en: ZoneInfo) -> dict[str, str]:
    """Return today's count: the noted sales, and what the ledger has besides them."""
    begin, end = hoy.limites(ahora, en)
    suyas = [una for una in noted if begin <= una.vendida_en < end]
    anotadas = hoy.de_hoy(maestro, ahora=ahora, zona=en, sin=[una.event_id for una in noted])
    ventas, unidades = anotadas.ventas + len(suyas), anotadas.unidades + sum(una.cantidad for una in suyas)
    monto = anotadas.ingresos + sum(una.cantidad * una.precio for una in suyas)
    return {"ventas": str(ventas), "unidades": str(unidades), "ingresos": pesos(monto)}


def _accepted(una: Recibida, nombres: dict[str, str], ahora: datetime, en: ZoneInfo) -> Fila:
    estado = "en tus cuentas" if una.anotada else "recibida"
    if not una.anotada and ahora - una.aceptada_en > LATE:
        estado = "recibida, pero aún no está en tus cuentas: si sigue así, avisa al gremio"
    return Fila(
        venta_id=una.venta_id,
        que=_what(una.cantidad, una.producto, nombres),
        monto=pesos(una.cantidad * una.precio),
        momento=una.vendida_en,
        hora=hora(una.vendida_en, en),
        estado=estado,
        clase="contada" if una.anotada else "recibida",
    )


def _written(una: dict[str, Any], nombres: dict[str, str], anulando: set[UUID], en: ZoneInfo) -> Fila:
    momento, venta_id = datetime.fromisoformat(una["vendida_en"]), UUID(una["id"])
    estado, clase = _state(una, anulando)
    return Fila(
        venta_id=venta_id,
        que=_what(una["cantidad"], una["producto"], nombres),
        monto=pesos(una["ingresos"]),
        momento=momento,
        hora=hora(momento, en),
        estado=estado,
        clase=clase,
        anulable=clase == "contada",
    )


def _state(una: dict[str, Any], anulando: set[UUID]) -> tuple[str, str]:
    """Return how a sale of the ledger stands, in words and as a class of the style sheet."""
    if una["anulada_en"]:
        return "anulada", "anulada"
    if UUID(una["id"]) in anulando:
        return "anulación recibida", "recibida"
    return "en tus cuentas", "contada"


def _what(cantidad: int, producto: str, nombres: dict[str, str]) -> str:
    return f"{cantidad} × {nombres.get(producto, producto)}"


def _by_day(filas: Sequence[Fila], ahora: datetime, en: ZoneInfo) -> list[tuple[str, list[Fila]]]:
    newest_first = sorted(filas, key=lambda fila: fila.momento, reverse=True)
    days = groupby(newest_first, key=lambda fila: dia(fila.momento, ahora=ahora, zona=en))
    return [(day.capitalize(), list(of_day)) for day, of_day in days]


def cortos(catalogo: Vigente) -> dict[str, str]:
    """Return the names of the products by code without the words with which all of them begin."""
    words = {codigo: producto.nombre.split() for codigo, producto in catalogo.items()}
    shared = takewhile(lambda those: len(set(those)) == 1, zip(*words.values(), strict=False))
    count = len(list(shared)) if len(words) > 1 else 0
    return {codigo: _capitalised(" ".join(own[count:] or own)) for codigo, own in words.items()}


def _capitalised(nombre: str) -> str:
    return nombre[:1].upper() + nombre[1:]


def venta(pedido: Pedido) -> Pagina:
    """Return one sale, and the form that takes it back."""
    una, en = pedido.data, zona(pedido.request)
    estado, clase = _state(una, recibidas.por_anular(pedido.request))
    nombres = {codigo: producto.nombre for codigo, producto in memoria.vigente().items()}
    contexto = {
        "venta": una,
        "datos": [
            ("Qué", _what(una["cantidad"], una["producto"], nombres)),
            ("Cuándo", cuando(datetime.fromisoformat(una["vendida_en"]), ahora=pedido.ahora, zona=en)),
            ("Ingresos", pesos(una["ingresos"])),
            ("Ganancias", pesos(una["ganancias"])),
        ],
        "estado": estado,
        "clase": clase,
    }
    return Pagina("ventas/venta.html", "Una venta", contexto)


def semana(pedido: Pedido) -> Pagina:
    """Return a week with a bar per day."""
    datos, ahora = pedido.data, pedido.ahora
    lunes = calendario.lunes_de_codigo(datos["semana"])
    actual = calendario.semana_de(ahora)
    nombres = {codigo: producto.nombre for codigo, producto in memoria.vigente().items()}
    unidades = sorted(datos["por_producto"].items(), key=lambda par: -par[1])
    contexto = {
        "semana": datos,
        "rango": _range(lunes, calendario.dias(lunes)[-1]),
        "es_actual": lunes == actual,
        "dias": _days(datos["por_dia"], calendario.dia_en_chile(ahora)),
        "productos": [(nombres.get(codigo, codigo), cuantas) for codigo, cuantas in unidades if cuantas],
        "ingresos": pesos(datos["ingresos"]),
        "ganancias": pesos(datos["ganancias"]),
        "ajuste": pesos(datos["ajustes"]["ganancias"]) if any(datos["ajustes"].values()) else "",
        "anterior": calendario.codigo(lunes - calendario.SEMANA),
        "siguiente": calendario.codigo(lunes + calendario.SEMANA) if lunes < actual else "",
        "otra_hora": str(zona(pedido.request)) != str(calendario.CHILE),
    }
    return Pagina("ventas/mi_semana.html", "Mi semana", contexto)


def _range(lunes: date, domingo: date) -> str:
    first = str(lunes.day) if lunes.month == domingo.month else fecha(lunes)
    return f"Del lunes {first} al domingo {fecha(domingo)} de {domingo.year}"


def _days(por_dia: Sequence[dict[str, Any]], today: date) -> list[dict[str, Any]]:
    """Return each day with its bar, in percent of the best day's income."""
    highest = max((fila["ingresos"] for fila in por_dia), default=0) or 1
    return [
        {
            "nombre": "hoy" if day == today else f"{DIAS[day.weekday()][:3]} {day.day}",
            "es_hoy": day == today,
            "falta": day > today,
            "ventas": fila["cantidad_ventas"],
            "ingresos": pesos(fila["ingresos"]),
            "parte": max(100 * fila["ingresos"] / highest, 0),
        }
        for fila in por_dia
        for day in [date.fromisoformat(fila["dia"])]
    ]


def productos(pedido: Pedido) -> Pagina:
    """Return the prices, and what a glass takes of each ingredient."""
    filas = [
        {
            "nombre": uno["nombre"],
            "precio": pesos(uno["precio"]),
            "receta": [(linea["insumo"], medida(linea["cantidad"], linea["unidad"])) for linea in uno["receta"]],
        }
        for uno in pedido.data
    ]
    return Pagina("ventas/productos.html", "Precios", {"productos": filas})


def correo_semanal(pedido: Pedido) -> Pagina:
    """Return the page that ends the weekly e-mail, or begins it again."""
    return Pagina("ventas/correo_semanal.html", "El correo de los lunes", {"recibe": pedido.data["recibir"]})
