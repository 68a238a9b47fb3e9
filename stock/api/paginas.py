"""The pages of a maestro's cart: what is left, the notices, the ledger."""

from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, Final
from zoneinfo import ZoneInfo

from gremio.api.paginas import Pagina, Pedido
from gremio.api.requests import maestro_id, zona
from gremio.formats import a_las, cuando, medida, miles
from stock.models import Aviso, Insumo, Movimiento

LOW: Final = 20  # percent of the capacity; below it the bar is red
LATEST: Final = 3  # notices on the page of the cart
EN_PALABRAS: Final = {
    Aviso.Estado.ABIERTO: "recibido: los distribuidores lo están viendo",
    Aviso.Estado.ATENDIDO: "repuesto",
    Aviso.Estado.INFUNDADO: "no faltaba nada, según tus ventas",
    Aviso.Estado.REPETIDO: "ya lo habías avisado",
}
TIPOS: Final = {
    Movimiento.Tipo.CARGA: "Carga inicial",
    Movimiento.Tipo.VENTA: "Venta",
    Movimiento.Tipo.ANULACION: "Venta anulada",
    Movimiento.Tipo.REPOSICION: "Reposición",
    Movimiento.Tipo.CORRECCION: "Corrección del gremio",
}


def carro(pedido: Pedido) -> Pagina:
    """Return the cart with a bar per ingredient, the notice's form and the last notices.

    A refused notice shows why, without the cart.
    """
    nombres = dict(Insumo.objects.values_list("codigo", "nombre"))
    en = zona(pedido.request)
    contexto: dict[str, Any] = {
        "errores": [{"texto": texto} for textos in pedido.errores.values() for texto in textos],
        "insumos": [_bar(linea, nombres, pedido.ahora, en) for linea in pedido.data or []],
    }
    if pedido.data is not None:
        ultimos = Aviso.objects.filter(carro=maestro_id(pedido.request))[:LATEST]
        contexto["avisos"] = [_in_words(_as_sent(aviso), nombres, pedido.ahora, en) for aviso in ultimos]
    return Pagina("stock/carro.html", "Mi carro", contexto)


def _bar(linea: dict[str, Any], nombres: dict[str, str], ahora: datetime, en: ZoneInfo) -> dict[str, Any]:
    parte = 100 * linea["cantidad"] / linea["capacidad"]
    fin = linea["se_agota_en"]
    return {
        "codigo": linea["insumo"],
        "nombre": nombres.get(linea["insumo"], linea["insumo"]),
        "queda": miles(linea["cantidad"]),
        "cabe": medida(linea["capacidad"], linea["unidad"]),
        "parte": parte,
        "poco": parte <= LOW,
        "agotado": linea["agotado"],
        "se_acaba": a_las(datetime.fromisoformat(fin), ahora=ahora, zona=en) if fin else "",
    }


def _as_sent(aviso: Aviso) -> dict[str, Any]:
    return {
        "insumo": aviso.insumo,
        "origen": aviso.origen,
        "estado": aviso.estado,
        "abierto_en": aviso.abierto_en.isoformat(),
        "cerrado_en": aviso.cerrado_en.isoformat() if aviso.cerrado_en else None,
    }


def _in_words(aviso: dict[str, Any], nombres: dict[str, str], ahora: datetime, en: ZoneInfo) -> dict[str, Any]:
    cerrado = aviso["cerrado_en"]
    estado = EN_PALABRAS[aviso["estado"]]
    fin = cuando(datetime.fromisoformat(cerrado), ahora=ahora, zona=en) if cerrado else ""
    return {
        "que": nombres.get(aviso["insumo"], aviso["insumo"]) or "Todo lo agotado",
        "cuando": cuando(datetime.fromisoformat(aviso["abierto_en"]), ahora=ahora, zona=en),
        "solo": aviso["origen"] == Aviso.Origen.AUTOMATICO,
        "estado": f"{estado} {fin}" if aviso["estado"] == Aviso.Estado.ATENDIDO else estado,
        "clase": {Aviso.Estado.ABIERTO: "recibida", Aviso.Estado.ATENDIDO: "contada"}.get(aviso["estado"], ""),
    }


def avisos(pedido: Pedido) -> Pagina:
    """Return the maestro's notices."""
    nombres = dict(Insumo.objects.values_list("codigo", "nombre"))
    en = zona(pedido.request)
    contexto = {"avisos": [_in_words(fila, nombres, pedido.ahora, en) for fila in pedido.data["results"]]}
    return Pagina("stock/avisos.html", "Mis avisos", contexto | _links(pedido.data))


def movimientos(pedido: Pedido) -> Pagina:
    """Return the cart's ledger, one entry per sale, restock or correction."""
    insumos = {insumo.codigo: insumo for insumo in Insumo.objects.all()}
    en = zona(pedido.request)
    of_movement = itemgetter("ocurrido_en", "tipo", "referencia")
    by_movement = groupby(pedido.data["results"], key=of_movement)
    filas = [
        {
            "tipo": TIPOS[tipo],
            "cuando": cuando(datetime.fromisoformat(momento), ahora=pedido.ahora, zona=en),
            "lineas": [_line(linea, insumos) for linea in lineas],
        }
        for (momento, tipo, _), grouped in by_movement
        for lineas in [list(grouped)]
    ]
    return Pagina("stock/movimientos.html", "Qué entró y salió", {"filas": filas, **_links(pedido.data)})


def _line(linea: dict[str, Any], insumos: dict[str, Insumo]) -> str:
    insumo = insumos.get(linea["insumo"])
    nombre = (insumo.nombre if insumo else linea["insumo"]).lower()
    cantidad = medida(abs(linea["cantidad"]), insumo.unidad if insumo else "un")
    sign = "+" if linea["cantidad"] >= 0 else "−"
    motivo = f" ({linea['motivo']})" if linea["motivo"] else ""
    if insumo is None or insumo.unidad == "un":
        plural = "" if cantidad == "1" or nombre.endswith("s") else "s"
        return f"{sign}{cantidad} {nombre}{plural}{motivo}"
    return f"{sign}{cantidad} de {nombre}{motivo}"


def _links(data: dict[str, Any]) -> dict[str, Any]:
    return {"siguiente": data["next"], "anterior": data["previous"]}
