"""Notices that an ingredient ran out: they are raised, received, and reviewed by the sweep.

A maestro raises one through the API. The system raises one by itself when a sale empties an
ingredient, unless a notice of it is open. reposicion.py has the rules by which a notice is decided,
and notice_rows.py the SQL.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from gremio.api.errors import DatosDistintos, otros_datos
from gremio.transactions import transaction_required
from kafka_bridge.consuming import progress
from kafka_bridge.consuming.progress import TopicEnds
from kafka_bridge.exceptions import KafkaUnavailable
from kafka_bridge.publishing import claims, outbox, publish
from stock import movimientos, notice_rows, reposicion
from stock.events import StockAgotado
from stock.models import Aviso, Existencia
from stock.movimientos import StockKey, Totals
from stock.names import TOPICO_DE_VENTAS
from stock.reposicion import MAX_NOTICES

KAFKA_SECONDS: Final = 1.0  # how long a request waits for Kafka to say where the sales end


def reservar(aviso_id: UUID, insumos: Iterable[str], *, ahora: datetime) -> None:
    """Keep what a maestro's notice says, for a notice whose id comes from the client's key.

    Raises DatosDistintos if the key came before with other ingredients, and
    kafka_bridge.exceptions.Unavailable if the database does not write.
    """
    event_id = StockAgotado.derive_id(aviso_id)
    content = {"insumos": sorted(set(insumos))}
    claim = claims.claim({event_id: content}, at=ahora)[event_id]
    if claim.first != content:
        raise DatosDistintos(otros_datos(claim.first, content))


def avisar(aviso_id: UUID, maestro_id: UUID, insumos: Iterable[str]) -> None:
    """Publish a maestro's own notice. `insumos`: codes; none means everything that is out.

    Raises kafka_bridge.exceptions.Unavailable if neither Kafka nor the database accepts the notice.
    """
    publish(aviso_de_maestro(aviso_id, maestro_id, insumos))


def aviso_de_maestro(aviso_id: UUID, maestro_id: UUID, insumos: Iterable[str]) -> StockAgotado:
    """Return the event of a maestro's own notice.

    It carries the offsets at which the topic of sales ends now, if they are known.
    """
    fin = fin_de_ventas()
    return StockAgotado.now(
        id=StockAgotado.derive_id(aviso_id),
        aviso_id=aviso_id,
        maestro_id=maestro_id,
        insumos=sorted(set(insumos)),
        origen="maestro",
        ventas_hasta=fin and fin.offsets,
        ventas_topico=fin.topic_uuid if fin else "",
    )


def fin_de_ventas() -> TopicEnds | None:
    """Return where the topic of sales ends.

    All sales accepted so far are below these offsets. Returns None if the offsets would not tell
    that: Kafka does not answer within KAFKA_SECONDS, or accepted sales are still in the outbox.
    """
    if outbox.waiting(TOPICO_DE_VENTAS):
        return None
    try:
        return progress.topic_ends(TOPICO_DE_VENTAS, timeout=KAFKA_SECONDS)
    except KafkaUnavailable:
        return None


@transaction_required
def avisar_agotados(totals: Totals, abiertos: Collection[UUID], causas: dict[UUID, UUID], *, ahora: datetime) -> None:
    """See to the ingredients that are out in open carts.

    If a maestro's notice of the ingredient is open, that notice is decided. If no notice of it is
    open, an automatic one is raised.

    `totals`: the stock after a write. `abiertos`: the maestros whose cart is open. `causas`: by
    maestro, the id of the event from which the id of the notice is derived. The caller holds the
    carts (`movimientos.tomar`).
    """
    vacios = {key for key, cantidad in totals.items() if cantidad <= 0 and key[0] in abiertos}
    if not vacios:
        return
    capacidades = reposicion.capacidades()
    vacios = {key for key in vacios if key[1] in capacidades}
    avisos = list(notice_rows.open_notices().filter(carro__in={maestro_id for maestro_id, _ in vacios}))
    de_maestros = [aviso for aviso in avisos if aviso.origen == Aviso.Origen.MAESTRO]
    servidos = reposicion.decidir(de_maestros, {}, ahora=ahora)
    avisados = servidos | {(aviso.carro_id, aviso.insumo) for aviso in avisos}
    _levantar(vacios - avisados, causas, ahora)


def _levantar(keys: Iterable[StockKey], causas: dict[UUID, UUID], ahora: datetime) -> None:
    """Open and publish one automatic notice per cart, which names everything that is out."""
    por_maestro: dict[UUID, list[str]] = defaultdict(list)
    for maestro_id, insumo in sorted(keys):
        por_maestro[maestro_id].append(insumo)
    eventos = [
        _automatico(maestro_id, insumos, causas[maestro_id], ahora) for maestro_id, insumos in por_maestro.items()
    ]
    inserted = notice_rows.insert_open(notice_rows.rows_of(eventos))
    outbox.add(*[evento for evento in eventos if (evento.aviso_id, evento.insumos[0]) in inserted])


def _automatico(maestro_id: UUID, insumos: list[str], causa: UUID, ahora: datetime) -> StockAgotado:
    aviso_id = StockAgotado.derive_id("automatico", maestro_id, causa)
    return StockAgotado(
        id=StockAgotado.derive_id(aviso_id),
        time=ahora,
        aviso_id=aviso_id,
        maestro_id=maestro_id,
        insumos=insumos,
        origen="automatico",
    )


@transaction_required
def recibir_avisos(eventos: list[StockAgotado], *, ahora: datetime, before_restore: bool = False) -> None:
    """Store notices and decide them. A notice that repeats an open one is closed as repeated.

    With `before_restore` nothing is decided: the restocks of that time come back from Kafka as
    events of their own, and the sweep decides the rest.
    """
    # Read before the stock, so that the stock contains at least the sales that are counted by now.
    contadas = reposicion.ventas_contadas()
    movimientos.tomar(evento.maestro_id for evento in eventos)
    rows = notice_rows.rows_of(eventos)
    inserted = notice_rows.insert_open(rows)
    notice_rows.insert_repeated([row for row in rows if (row.aviso_id, row.insumo) not in inserted], ahora)
    avisos = notice_rows.open_notices().filter(aviso_id__in=[evento.aviso_id for evento in eventos])
    if before_restore:
        notice_rows.close_restocked(avisos)
    else:
        reposicion.decidir(list(avisos), contadas, ahora=ahora)
        reposicion.decidir_al_confirmar(ahora)


def revisar(*, ahora: datetime) -> None:
    """Decide the open notices, and raise the automatic ones that are missing: the sweep.

    Notices without `ventas_hasta` get it here, and so do those whose topic of sales was deleted and
    made again: `inventario` would never reach their offsets. Kafka is asked outside of the
    transaction, and after these notices were read: an end that is later than the notice is safe.
    """
    por_medir = _por_medir()
    fin = fin_de_ventas() if por_medir else None
    with transaction.atomic():
        if fin is not None:
            sin_fin = Q(ventas_hasta__isnull=True) | ~Q(ventas_topico=fin.topic_uuid)
            Aviso.objects.filter(sin_fin, pk__in=por_medir).update(
                ventas_hasta=fin.offsets, ventas_topico=fin.topic_uuid
            )
        _revisar_carros(ahora)


def _por_medir() -> list[int]:
    """Return the open notices of which the end of the sales is unknown, or of another topic."""
    de_otro_topico = [~Q(ventas_topico=topico) for topico, _ in reposicion.ventas_contadas()]
    sin_fin = reduce(or_, de_otro_topico, Q(ventas_hasta__isnull=True))
    return list(notice_rows.open_notices().filter(sin_fin).values_list("pk", flat=True)[:MAX_NOTICES])


def _revisar_carros(ahora: datetime) -> None:
    maestros = _por_revisar()
    if not maestros:
        return
    abiertos = reposicion.decidir_carros(maestros, reposicion.ventas_contadas(), ahora=ahora)
    agotadas = Existencia.objects.filter(carro__in=maestros, cantidad__lte=0)
    totals = {(e.carro_id, e.insumo_id): e.cantidad for e in agotadas}
    causas = {maestro_id: StockAgotado.derive_id("revision", maestro_id, ahora) for maestro_id in maestros}
    avisar_agotados(totals, abiertos, causas, ahora=ahora)


def _por_revisar() -> set[UUID]:
    """Return the maestros whose cart the sweep looks at.

    These are up to MAX_NOTICES with an open notice (the oldest notices first), and up to
    MAX_NOTICES with something out that no open notice names.
    """
    avisado = Aviso.objects.filter(carro=OuterRef("carro"), insumo=OuterRef("insumo"), estado=Aviso.Estado.ABIERTO)
    callados = Existencia.objects.filter(
        ~Exists(avisado), cantidad__lte=0, carro__abierto_en__isnull=False, insumo__capacidad__gte=1
    )
    con_aviso = notice_rows.open_notices().values_list("carro_id", flat=True)[:MAX_NOTICES]
    return {*con_aviso, *callados.values_list("carro_id", flat=True)[:MAX_NOTICES]}
