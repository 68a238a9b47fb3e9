"""The rules of the carts: sales go out, restocks come in, and nobody waits with an empty cart.

A notice is decided when it arrives, when a sale empties what it names or the last sale before it is counted, and by a sweep
(tasks.py) until it is closed:
- what is out is filled to capacity at once;
- otherwise it waits until `inventario` has counted all sales accepted before it (it may have overtaken them: another topic),
  which is looked at after each batch of either consumer;
- then a maestro's word stands: a named ingredient below capacity is filled, and what finds nothing missing was unfounded.

Each function that moves stock runs in the caller's transaction (the consumer's, a task's) and first takes the carts' locks.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from confluent_kafka import KafkaException
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, QuerySet

from kafka_bridge import outbox, watermark
from kafka_bridge.models import OutboxMessage
from stock import libro
from stock.events import StockAgotado, StockRepuesto
from stock.libro import Asiento, Llave, Totales
from stock.models import Anulacion, Aviso, Existencia, Insumo, Movimiento

INVENTARIO: Final = "inventario"
DISTRIBUIDORES: Final = "distribuidores"
TOPICO_DE_VENTAS: Final = "mamochi.ventas"  # apps share no code: a test holds it to ventas.events
KAFKA_SECONDS: Final = 1.0  # how long a request waits to learn where the sales end
AVISOS_POR_REVISION: Final = 1_000


class Apertura(NamedTuple):
    """A cart to open: `abierto_en` is when the maestro was approved, UTC."""

    evento_id: UUID
    maestro_id: UUID
    nombre: str
    abierto_en: datetime
    inscripcion_id: UUID


class Correccion(NamedTuple):
    """What staff found in a cart: more (positive) or less (negative) than the ledger says, in the ingredient's unit."""

    evento_id: UUID
    maestro_id: UUID
    insumo: str
    cantidad: int
    motivo: str


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


# What `inventario` does


@transaction.atomic(savepoint=False)
def abrir_carros(aperturas: list[Apertura], *, ahora: datetime, historia: bool = False) -> None:
    """Opens carts with as much as fits of each ingredient, on top of what early sales already took."""
    libro.tomar(apertura.maestro_id for apertura in aperturas)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE stock_carro SET nombre = opened.nombre, abierto_en = coalesce(stock_carro.abierto_en, opened.abierto_en) "
            "FROM unnest(%s::uuid[], %s::text[], %s::timestamptz[]) opened (maestro_id, nombre, abierto_en) "
            "WHERE stock_carro.maestro_id = opened.maestro_id",
            [list(column) for column in zip(*[(a.maestro_id, a.nombre, a.abierto_en) for a in aperturas], strict=True)],
        )
    carga, capacidades = Movimiento.Tipo.CARGA.value, _capacidades()
    totales = libro.asentar(
        Asiento(a.evento_id, a.maestro_id, carga, capacidades, a.abierto_en, a.inscripcion_id) for a in aperturas
    )
    causas = {a.maestro_id: a.evento_id for a in aperturas}
    if not historia:
        avisar_agotados(totales, set(causas), causas, ahora=ahora)


@transaction.atomic(savepoint=False)
def descontar(asientos: list[Asiento], *, ahora: datetime, historia: bool = False) -> None:
    """Takes sales out of the carts (open or not yet), nets those already voided, and sees to what ran out.

    In `historia` (replay.py) the notices and restocks of then come back as events of their own.
    """
    abiertos = libro.tomar(asiento.maestro_id for asiento in asientos)
    totales = libro.asentar(asientos)
    totales |= libro.asentar_anulaciones(asiento.evento_id for asiento in asientos)
    causas = {asiento.maestro_id: asiento.evento_id for asiento in asientos}
    if not historia:
        avisar_agotados(totales, abiertos, causas, ahora=ahora)
        _decidir_al_confirmar(ahora)


@transaction.atomic(savepoint=False)
def anular(anulaciones: list[Anulacion], *, ahora: datetime, historia: bool = False) -> None:
    """Remembers the voids and gives back what their sales took, as far as those have come."""
    libro.tomar(anulacion.carro_id for anulacion in anulaciones)
    Anulacion.objects.bulk_create(anulaciones, ignore_conflicts=True)
    libro.asentar_anulaciones(anulacion.venta for anulacion in anulaciones)
    if not historia:
        _decidir_al_confirmar(ahora)


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


# What `distribuidores` does


@transaction.atomic(savepoint=False)
def recibir_avisos(eventos: list[StockAgotado], *, ahora: datetime, historia: bool = False) -> None:
    """Stores notices and decides them. One that says what an open one says already is closed as repeated.

    In `historia` (replay.py) it decides nothing: the restocks of then come back, and the sweep sees to the rest.
    """
    # Read before the totals, so that they are never older than what it says is counted.
    contadas = watermark.consumer_offsets(INVENTARIO, TOPICO_DE_VENTAS)
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


def _cerrar_repuestos(avisos: QuerySet[Aviso]) -> None:
    """Closes, as of then, the notices whose restock is in the ledger: of the ingredient that each names, or of any."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE stock_aviso SET estado = 'atendido', cerrado_en = restock.ocurrido_en FROM stock_movimiento restock "
            "WHERE stock_aviso.id = ANY(%s) AND restock.tipo = 'reposicion' AND restock.referencia = stock_aviso.aviso_id "
            "AND restock.maestro_id = stock_aviso.maestro_id "
            "AND (stock_aviso.insumo = '' OR restock.insumos ? stock_aviso.insumo)",
            [list(avisos.values_list("pk", flat=True))],
        )


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


# The rows of notices


class _Fila(NamedTuple):
    """A notice's row, one an ingredient."""

    aviso_id: UUID
    maestro_id: UUID
    insumo: str
    origen: str
    ventas_hasta: str | None
    abierto_en: datetime


def _filas(eventos: list[StockAgotado]) -> list[_Fila]:
    hasta = {e.id: json.dumps(e.ventas_hasta) if e.ventas_hasta else None for e in eventos}
    return [
        _Fila(e.aviso_id, e.maestro_id, insumo, e.origen, hasta[e.id], e.time)
        for e in eventos
        for insumo in e.insumos or [""]
    ]


def _insertar(filas: list[_Fila], estado: str, ahora: datetime) -> set[tuple[UUID, str]]:
    """Inserts what conflicts with no row of its id and (if open) with no open one; returns (notice, ingredient) inserted."""
    if not filas:
        return set()
    cerrado_en = None if estado == Aviso.Estado.ABIERTO else ahora
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO stock_aviso (aviso_id, maestro_id, insumo, origen, ventas_hasta, abierto_en, estado, cerrado_en) "
            "SELECT new.*, %s, %s::timestamptz "
            "FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::jsonb[], %s::timestamptz[]) new "
            "ON CONFLICT DO NOTHING RETURNING aviso_id, insumo",
            [estado, cerrado_en, *(list(column) for column in zip(*filas, strict=True))],
        )
        return set(cursor.fetchall())


def _repetir(filas: list[_Fila], ahora: datetime) -> None:
    """Closes them at once; the notice that stays open now waits for the sales before these, too."""
    repetidas = _insertar(filas, Aviso.Estado.REPETIDO, ahora)
    if not repetidas:
        return
    abiertos = Aviso.objects.filter(estado=Aviso.Estado.ABIERTO, carro__in={fila.maestro_id for fila in filas})
    por_llave = {(aviso.carro_id, aviso.insumo): aviso for aviso in abiertos}
    for fila in filas:
        if (fila.aviso_id, fila.insumo) in repetidas:
            aviso = por_llave[fila.maestro_id, fila.insumo]
            aviso.ventas_hasta = el_mas_tardio(aviso.ventas_hasta, json.loads(fila.ventas_hasta or "null"))
    Aviso.objects.bulk_update(por_llave.values(), ["ventas_hasta"])


def el_mas_tardio(uno: dict[str, int] | None, otro: dict[str, int] | None) -> dict[str, int] | None:
    """What lies beyond both, by partition; None (not known yet, the sweep asks) where one of them is."""
    if uno is None or otro is None:
        return None
    return {particion: max(uno.get(particion, 0), otro.get(particion, 0)) for particion in uno.keys() | otro.keys()}


def _abiertos() -> QuerySet[Aviso]:
    """Open notices of open carts, oldest first; a cart that is not open yet waits for its opening load."""
    abiertos = Aviso.objects.filter(estado=Aviso.Estado.ABIERTO, carro__abierto_en__isnull=False)
    return abiertos.order_by("abierto_en", "id")


def _cerrar_servidos(llaves: list[Llave], ahora: datetime) -> None:
    """A restock serves the notices that name its ingredient and the one that names everything that is out."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE stock_aviso SET estado = 'atendido', cerrado_en = %s FROM unnest(%s::uuid[], %s::text[]) filled (m, i) "
            "WHERE estado = 'abierto' AND maestro_id = filled.m AND insumo IN ('', filled.i)",
            [ahora, [maestro_id for maestro_id, _ in llaves], [insumo for _, insumo in llaves]],
        )


def _cerrar_infundados(avisos: list[Aviso], ahora: datetime) -> None:
    abiertos = Aviso.objects.filter(pk__in=[aviso.pk for aviso in avisos], estado=Aviso.Estado.ABIERTO)
    abiertos.update(estado=Aviso.Estado.INFUNDADO, cerrado_en=ahora)


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


# What has been counted meanwhile


def _decidir_al_confirmar(ahora: datetime) -> None:
    """Once the transaction's offsets and notices are there to see: whoever comes second, sales or notice, decides.

    What fails there is logged, and left to the sweep: the batch itself is done. (No `partial`: Django's log line asks for the
    function's name, and a partial has none.)
    """
    transaction.on_commit(lambda: decidir_contados(ahora=ahora), robust=True)


def decidir_contados(*, ahora: datetime) -> None:
    """Decides the notices that waited for sales of which `inventario` has counted the last. One query where none waits."""
    en_espera = list(_abiertos().filter(ventas_hasta__isnull=False)[:AVISOS_POR_REVISION])
    contadas = watermark.consumer_offsets(INVENTARIO, TOPICO_DE_VENTAS) if en_espera else {}
    maestros = {aviso.carro_id for aviso in en_espera if aviso.ventas_contadas(contadas)}
    if maestros:
        with transaction.atomic():
            _decidir(maestros, contadas, ahora)


def _decidir(maestros: set[UUID], contadas: dict[int, int], ahora: datetime) -> set[UUID]:
    """Decides what is open in these carts; returns which of them are open."""
    abiertos = libro.tomar(maestros)
    atender(list(_abiertos().filter(carro__in=maestros)), contadas, ahora=ahora)
    return abiertos


# What the web and the sweep do


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
    if OutboxMessage.objects.filter(topic=TOPICO_DE_VENTAS).exists():
        return None
    try:
        return watermark.end_offsets(TOPICO_DE_VENTAS, timeout=KAFKA_SECONDS)
    except KafkaException:
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
    abiertos = _decidir(maestros, watermark.consumer_offsets(INVENTARIO, TOPICO_DE_VENTAS), ahora)
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


# What staff do


def estrenar(insumo: str) -> None:
    """A new ingredient: every open cart has none of it yet, which the sweep notices. Carts that open later are filled."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO stock_existencia (maestro_id, insumo, cantidad) "
            "SELECT maestro_id, %s, 0 FROM stock_carro WHERE abierto_en IS NOT NULL ORDER BY maestro_id "
            "ON CONFLICT DO NOTHING",
            [insumo],
        )


@transaction.atomic(savepoint=False)
def corregir(correccion: Correccion, *, ahora: datetime) -> None:
    """Adds to a cart's stock (or takes, negative) what staff found, with the reason. Sent twice, it counts once."""
    evento_id, maestro_id, insumo, cantidad, motivo = correccion
    abiertos = libro.tomar([maestro_id])
    tipo = Movimiento.Tipo.CORRECCION.value
    totales = libro.asentar([Asiento(evento_id, maestro_id, tipo, {insumo: cantidad}, ahora, None, motivo)])
    avisar_agotados(totales, abiertos, {maestro_id: evento_id}, ahora=ahora)
