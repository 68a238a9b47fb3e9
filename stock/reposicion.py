"""The rules of the carts: sales go out, restocks come in, and nobody waits with an empty cart.

A notice is decided when it arrives, when a sale empties what it names or the last sale before it is counted, and by a sweep
(tasks.py) until it is closed:
- what is out is filled to capacity at once;
- otherwise it waits until `inventario` has counted all sales accepted before it (it may have overtaken them: another topic),
  which is looked at after each batch of either consumer;
- then a maestro's word stands: a named ingredient below capacity is filled, and what finds nothing missing was unfounded.

Each function that moves stock runs in the caller's transaction (the consumer's, a task's) and first takes the carts' locks.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef

from kafka_bridge.consuming import progress
from kafka_bridge.exceptions import KafkaUnavailable
from kafka_bridge.publishing import outbox
from stock import libro
from stock.events import StockAgotado, StockRepuesto
from stock.libro import Asiento, Llave, Totales
from stock.models import Aviso, Existencia, Insumo, Movimiento
from stock.notice_rows import (
    _abiertos,
    _cerrar_infundados,
    _cerrar_repuestos,
    _cerrar_servidos,
    _filas,
    _insertar,
    _repetir,
)

INVENTARIO: Final = "inventario"
DISTRIBUIDORES: Final = "distribuidores"
TOPICO_DE_VENTAS: Final = "mamochi.ventas"  # apps share no code: a test holds it to ventas.events
KAFKA_SECONDS: Final = 1.0  # how long a request waits to learn where the sales end
AVISOS_POR_REVISION: Final = 1_000


class Carga(NamedTuple):
    """What a cart holds of an ingredient and what fits, in the ingredient's unit."""

    cantidad: int
    capacidad: int

    @property
    def falta(self) -> int:
        return max(0, self.capacidad - self.cantidad)

    @property
    def agotada(self) -> bool:
        return self.cantidad <= 0


def avisar_agotados(totales: Totales, abiertos: Collection[UUID], causas: dict[UUID, UUID], *, ahora: datetime) -> None:
    """Sees to everything that is out in open carts: serves a maestro's waiting notice, or else raises the automatic one, once.

    `causas`: by maestro, the event that the automatic notice's id is derived from. Needs the carts' locks.
    """
    vacios = {llave for llave, cantidad in totales.items() if cantidad <= 0 and llave[0] in abiertos}
    if not vacios:
        return
    catalogo = _capacidades()
    vacios = {llave for llave in vacios if llave[1] in catalogo}
    avisos = list(_abiertos().filter(carro__in={maestro_id for maestro_id, _ in vacios}))
    servidos = atender([a for a in avisos if a.origen == Aviso.Origen.MAESTRO], {}, ahora=ahora)
    avisados = servidos | {(aviso.carro_id, aviso.insumo) for aviso in avisos}
    _levantar(vacios - avisados, causas, ahora)


def _levantar(llaves: Iterable[Llave], causas: dict[UUID, UUID], ahora: datetime) -> None:
    """Opens an automatic notice a cart, naming what is out, and publishes it to the distributors."""
    por_maestro: dict[UUID, list[str]] = defaultdict(list)
    for maestro_id, insumo in sorted(llaves):
        por_maestro[maestro_id].append(insumo)
    eventos = [_automatico(maestro_id, insumos, causas, ahora) for maestro_id, insumos in por_maestro.items()]
    nuevos = _insertar(_filas(eventos), Aviso.Estado.ABIERTO, ahora)
    outbox.add(*[evento for evento in eventos if (evento.aviso_id, evento.insumos[0]) in nuevos])


def _automatico(maestro_id: UUID, insumos: list[str], causas: dict[UUID, UUID], ahora: datetime) -> StockAgotado:
    aviso_id = StockAgotado.derive_id("automatico", maestro_id, causas[maestro_id])
    return StockAgotado(
        id=StockAgotado.derive_id(aviso_id),
        time=ahora,
        aviso_id=aviso_id,
        maestro_id=maestro_id,
        insumos=insumos,
        origen="automatico",
    )


@transaction.atomic(savepoint=False)
def recibir_avisos(eventos: list[StockAgotado], *, ahora: datetime, historia: bool = False) -> None:
    """Stores notices and decides them. One that says what an open one says already is closed as repeated.

    In `historia` (restore.py) it decides nothing: the restocks of then come back, and the sweep sees to the rest.
    """
    # Read before the totals, so that they are never older than what it says is counted.
    contadas = progress.consumer_offsets(INVENTARIO, TOPICO_DE_VENTAS)
    libro.tomar(evento.maestro_id for evento in eventos)
    filas = _filas(eventos)
    nuevas = _insertar(filas, Aviso.Estado.ABIERTO, ahora)
    _repetir([fila for fila in filas if (fila.aviso_id, fila.insumo) not in nuevas], ahora)
    avisos = _abiertos().filter(aviso_id__in=[evento.aviso_id for evento in eventos])
    if historia:
        _cerrar_repuestos(avisos)
    else:
        atender(list(avisos), contadas, ahora=ahora)
        _decidir_al_confirmar(ahora)


@transaction.atomic(savepoint=False)
def recordar_reposiciones(eventos: list[StockRepuesto]) -> None:
    """Restocks as their events tell them. Only after a restore are there any that the ledger has not."""
    libro.tomar(evento.maestro_id for evento in eventos)
    tipo = Movimiento.Tipo.REPOSICION.value
    libro.asentar(Asiento(e.id, e.maestro_id, tipo, e.insumos, e.repuesto_en, e.aviso_id) for e in eventos)
    _cerrar_repuestos(_abiertos().filter(aviso_id__in=[evento.aviso_id for evento in eventos]))


def atender(avisos: list[Aviso], contadas: dict[int, int], *, ahora: datetime) -> set[Llave]:
    """Decides open notices of open carts: fills, closes and tells, or leaves them open; returns what was filled.

    `contadas`: the next offset of each partition of sales that `inventario` had to count, read before. Needs the locks.
    """
    if not avisos:
        return set()
    cargas = _cargas({aviso.carro_id for aviso in avisos})
    rellenos: dict[Llave, tuple[UUID, int]] = {}  # the notice that fills, and how much; the first one does
    infundados = []
    for aviso in avisos:
        faltan = por_reponer(aviso.insumo, cargas[aviso.carro_id], seguro=aviso.ventas_contadas(contadas))
        for insumo, cantidad in (faltan or {}).items():
            rellenos.setdefault((aviso.carro_id, insumo), (aviso.aviso_id, cantidad))
        if faltan is not None and not faltan:
            infundados.append(aviso)
    _reponer(rellenos, ahora)
    _cerrar_infundados(infundados, ahora)
    return set(rellenos)


def por_reponer(nombrado: str, carro: dict[str, Carga], *, seguro: bool) -> dict[str, int] | None:
    """What a notice adds to a cart, by ingredient: nothing (`{}`) if it was unfounded, None while it must wait.

    `nombrado`: the ingredient it names, empty for everything that is out. `seguro`: all sales before it are counted.
    """
    avisadas = {insumo: carga for insumo, carga in carro.items() if nombrado in ("", insumo)}
    agotadas = {insumo: carga.falta for insumo, carga in avisadas.items() if carga.agotada}
    if agotadas or not seguro:
        return agotadas or None
    return {insumo: carga.falta for insumo, carga in avisadas.items() if nombrado and carga.falta}


def _reponer(rellenos: dict[Llave, tuple[UUID, int]], ahora: datetime) -> None:
    """Writes the restocks, closes every open notice that they serve, and publishes one event a notice."""
    if not rellenos:
        return
    por_aviso: dict[tuple[UUID, UUID], dict[str, int]] = defaultdict(dict)
    for (maestro_id, insumo), (aviso_id, cantidad) in rellenos.items():
        por_aviso[aviso_id, maestro_id][insumo] = cantidad
    eventos = [_repuesto(*aviso, insumos, ahora) for aviso, insumos in por_aviso.items()]
    tipo = Movimiento.Tipo.REPOSICION.value
    libro.asentar(Asiento(e.id, e.maestro_id, tipo, e.insumos, ahora, e.aviso_id) for e in eventos)
    _cerrar_servidos(list(rellenos), ahora)
    outbox.add(*eventos)


def _repuesto(aviso_id: UUID, maestro_id: UUID, insumos: dict[str, int], ahora: datetime) -> StockRepuesto:
    """Its id names what it fills: a notice of several ingredients may be served in two steps, none of them twice."""
    return StockRepuesto(
        id=StockRepuesto.derive_id(aviso_id, *sorted(insumos)),
        time=ahora,
        aviso_id=aviso_id,
        maestro_id=maestro_id,
        insumos=insumos,
        repuesto_en=ahora,
    )


def _capacidades() -> dict[str, int]:
    return dict(Insumo.objects.values_list("codigo", "capacidad"))


def _cargas(maestros: Collection[UUID]) -> dict[UUID, dict[str, Carga]]:
    """What each cart holds of every ingredient of the catalogue, by maestro and code."""
    filas = Existencia.objects.filter(carro__in=maestros).values_list("carro_id", "insumo_id", "cantidad")
    cantidades = {(maestro_id, insumo): cantidad for maestro_id, insumo, cantidad in filas}
    capacidades = _capacidades()
    return {
        maestro_id: {
            insumo: Carga(cantidades.get((maestro_id, insumo), 0), capacidad)
            for insumo, capacidad in capacidades.items()
        }
        for maestro_id in maestros
    }


def _decidir_al_confirmar(ahora: datetime) -> None:
    """Once the transaction's offsets and notices are there to see: whoever comes second, sales or notice, decides.

    What fails there is logged, and left to the sweep: the batch itself is done. (No `partial`: Django's log line asks for the
    function's name, and a partial has none.)
    """
    transaction.on_commit(lambda: decidir_contados(ahora=ahora), robust=True)


def decidir_contados(*, ahora: datetime) -> None:
    """Decides the notices that waited for sales of which `inventario` has counted the last. One query where none waits."""
    en_espera = list(_abiertos().filter(ventas_hasta__isnull=False)[:AVISOS_POR_REVISION])
    contadas = progress.consumer_offsets(INVENTARIO, TOPICO_DE_VENTAS) if en_espera else {}
    maestros = {aviso.carro_id for aviso in en_espera if aviso.ventas_contadas(contadas)}
    if maestros:
        with transaction.atomic():
            _decidir(maestros, contadas, ahora)


def _decidir(maestros: set[UUID], contadas: dict[int, int], ahora: datetime) -> set[UUID]:
    """Decides what is open in these carts; returns which of them are open."""
    abiertos = libro.tomar(maestros)
    atender(list(_abiertos().filter(carro__in=maestros)), contadas, ahora=ahora)
    return abiertos


def aviso_de_maestro(aviso_id: UUID, maestro_id: UUID, insumos: Iterable[str]) -> StockAgotado:
    """A maestro's own notice, to publish: it carries where the sales end now, where that can be known."""
    return StockAgotado.now(
        id=StockAgotado.derive_id(aviso_id),
        aviso_id=aviso_id,
        maestro_id=maestro_id,
        insumos=sorted(set(insumos)),
        origen="maestro",
        ventas_hasta=fin_de_ventas(),
    )


def fin_de_ventas() -> dict[int, int] | None:
    """The end of each partition of the topic of sales; all sales accepted before this call lie below.

    None where that cannot be told within a second: Kafka does not answer, or accepted sales still wait in the outbox.
    """
    if outbox.waiting(TOPICO_DE_VENTAS):
        return None
    try:
        return progress.end_offsets(TOPICO_DE_VENTAS, timeout=KAFKA_SECONDS)
    except KafkaUnavailable:
        return None


def revisar(*, ahora: datetime) -> None:
    """The sweep: decides the open notices, and raises those for what is out and nobody noticed.

    Kafka is asked outside of the transaction and after the notices that lack `ventas_hasta` were read: a later end is a safe one.
    """
    sin_limite = list(_abiertos().filter(ventas_hasta__isnull=True).values_list("pk", flat=True)[:AVISOS_POR_REVISION])
    hasta = fin_de_ventas() if sin_limite else None
    with transaction.atomic():
        if hasta is not None:
            Aviso.objects.filter(pk__in=sin_limite, ventas_hasta__isnull=True).update(ventas_hasta=hasta)
        _revisar(ahora)


def _revisar(ahora: datetime) -> None:
    maestros = _por_revisar()
    if not maestros:
        return
    abiertos = _decidir(maestros, progress.consumer_offsets(INVENTARIO, TOPICO_DE_VENTAS), ahora)
    fuera = Existencia.objects.filter(carro__in=maestros, cantidad__lte=0)
    totales = {(e.carro_id, e.insumo_id): e.cantidad for e in fuera}
    causas = {maestro_id: StockAgotado.derive_id("revision", maestro_id, ahora) for maestro_id in maestros}
    avisar_agotados(totales, abiertos, causas, ahora=ahora)


def _por_revisar() -> set[UUID]:
    """Maestros with an open notice, or with something out that no open notice names; the oldest first, up to a limit."""
    avisado = Aviso.objects.filter(carro=OuterRef("carro"), insumo=OuterRef("insumo"), estado=Aviso.Estado.ABIERTO)
    callados = Existencia.objects.filter(
        ~Exists(avisado), cantidad__lte=0, carro__abierto_en__isnull=False, insumo__capacidad__gte=1
    )
    con_aviso = _abiertos().values_list("carro_id", flat=True)[:AVISOS_POR_REVISION]
    return {*con_aviso, *callados.values_list("carro_id", flat=True)[:AVISOS_POR_REVISION]}
