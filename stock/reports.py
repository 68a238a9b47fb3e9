"""What maestros and staff see of the carts: stock, when it will run out, and restocks per day."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Count
from django.db.models.functions import ExtractHour, TruncDate
from django.utils import timezone

from gremio.formats import con_unidad
from stock.models import Existencia, Insumo, Movimiento
from stock.movimientos import StockKey

WINDOW: Final = timedelta(hours=1)  # the recent pace is the pace in this time
# The shortest time a pace is measured over: one sale a millisecond ago is not a sale per
# millisecond.
MIN_ELAPSED: Final = timedelta(minutes=1)
LONGEST_DAY: Final = timedelta(hours=25)  # in Chile, when summer time ends
HORIZON: Final = timedelta(days=30)  # a forecast beyond this is not made


class Ritmo(NamedTuple):
    """How much of an ingredient a cart sold, less voids, in its unit.

    `desde`: the first sale in WINDOW, UTC.
    """

    vendido: int
    desde: datetime


@dataclass(frozen=True)
class Linea:
    """An ingredient of a cart as its maestro sees it.

    `cantidad`: in `unidad`; 0 if the ledger is below zero.
    """

    insumo: str
    cantidad: int
    capacidad: int
    unidad: str
    agotado: bool
    se_agota_en: datetime | None


@dataclass(frozen=True)
class Proximo:
    """A cart and the ingredient in it that runs out at `se_agota_en`.

    `queda`: what is left, with its unit.
    """

    carro: str
    maestro_id: UUID
    insumo: str
    queda: str
    se_agota_en: datetime


@dataclass(frozen=True)
class Dia:
    """The number of restocks on a day in Chile."""

    dia: date
    reposiciones: int


class Renglon(NamedTuple):
    """One ingredient of a movement.

    `cantidad`: what comes in or (negative) goes out, in the ingredient's unit.
    """

    insumo: str
    tipo: str
    cantidad: int
    ocurrido_en: datetime
    referencia: UUID | None
    motivo: str


def se_agota_en(cantidad: int, ritmo: Ritmo | None, *, ahora: datetime) -> datetime | None:
    """Return when `cantidad` will be sold at this pace: ahora + elapsed time * cantidad / sold.

    None if nothing was sold, or if that is later than HORIZON.
    """
    if ritmo is None or ritmo.vendido <= 0:
        return None
    elapsed = max(ahora - ritmo.desde, MIN_ELAPSED)
    times_elapsed = max(0, cantidad) / ritmo.vendido
    # Compared before multiplying: the product could exceed the largest timedelta.
    if times_elapsed > HORIZON / elapsed:
        return None
    return ahora + elapsed * times_elapsed


def estado_del_carro(maestro_id: UUID, *, ahora: datetime) -> list[Linea]:
    """Return every ingredient of a maestro's cart, by code. Makes three queries."""
    cantidades = dict(Existencia.objects.filter(carro=maestro_id).values_list("insumo_id", "cantidad"))
    ritmos = _ritmos(maestro_id, ahora)
    return [
        _linea(i, cantidades.get(i.codigo, 0), ritmos.get((maestro_id, i.codigo)), ahora) for i in Insumo.objects.all()
    ]


def _linea(insumo: Insumo, cantidad: int, ritmo: Ritmo | None, ahora: datetime) -> Linea:
    return Linea(
        insumo=insumo.codigo,
        cantidad=max(0, cantidad),
        capacidad=insumo.capacidad,
        unidad=insumo.unidad,
        agotado=cantidad <= 0,
        se_agota_en=se_agota_en(cantidad, ritmo, ahora=ahora),
    )


def renglones(movimientos: Iterable[Movimiento]) -> list[Renglon]:
    """Return one line per movement and ingredient: the movements in their order, then by code."""
    return [
        Renglon(insumo, m.tipo, cantidad, m.ocurrido_en, m.referencia, m.motivo)
        for m in movimientos
        for insumo, cantidad in sorted(m.insumos.items())
    ]


def proximos_en_agotarse(limite: int, *, ahora: datetime) -> list[Proximo]:
    """Return the open carts that run out next, each with the ingredient that runs out first.

    Only carts with sales in WINDOW count. Makes one query, which reads the sales in WINDOW and,
    by index, the stock of their carts.
    """
    parameters: dict[str, Any] = {
        "ahora": ahora,
        "desde": ahora - WINDOW,
        "elapsed": MIN_ELAPSED,
        "horizon": HORIZON.total_seconds(),
        "limite": limite,
    }
    with connection.cursor() as cursor:
        cursor.execute(_NEXT_OUT, parameters)
        return [
            Proximo(
                nombre or str(maestro_id), maestro_id, insumo, con_unidad(queda, unidad), ahora + timedelta(0, seconds)
            )
            for nombre, maestro_id, insumo, queda, unidad, seconds in cursor.fetchall()
        ]


# The seconds are those of `se_agota_en`. LATERAL and LIMIT keep PostgreSQL from reading the stock
# of all carts.
_NEXT_OUT: Final = """
WITH pace AS (
    SELECT maestro_id, line.key AS insumo, -sum(line.value::bigint) AS sold, min(ocurrido_en) AS since
    FROM stock_movimiento, jsonb_each_text(insumos) AS line
    WHERE tipo IN ('venta', 'anulacion') AND ocurrido_en >= %(desde)s
    GROUP BY maestro_id, line.key
),
ends AS (
    SELECT DISTINCT ON (maestro_id) maestro_id, insumo, cantidad,
        extract(epoch FROM greatest(%(ahora)s - since, %(elapsed)s))::float * cantidad / sold::float AS seconds
    FROM pace, LATERAL (
        SELECT cantidad FROM stock_existencia AS e
        WHERE e.maestro_id = pace.maestro_id AND e.insumo = pace.insumo LIMIT 1
    ) AS stock
    WHERE sold > 0 AND cantidad > 0
    ORDER BY maestro_id, seconds
)
SELECT c.nombre, c.maestro_id, i.nombre, ends.cantidad, i.unidad, ends.seconds
FROM ends JOIN stock_carro AS c USING (maestro_id) JOIN stock_insumo AS i ON i.codigo = ends.insumo
WHERE c.abierto_en IS NOT NULL AND ends.seconds <= %(horizon)s
ORDER BY ends.seconds
LIMIT %(limite)s
"""


def _ritmos(maestro_id: UUID | None, ahora: datetime) -> dict[StockKey, Ritmo]:
    """Return the pace of each ingredient in the last WINDOW, by maestro and ingredient.

    `maestro_id` limits them to one maestro; None means all maestros.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT maestro_id, line.key, -sum(line.value::bigint), min(ocurrido_en) "
            "FROM stock_movimiento, jsonb_each_text(insumos) line "
            "WHERE tipo IN ('venta', 'anulacion') AND ocurrido_en >= %s AND (%s::uuid IS NULL OR maestro_id = %s) "
            "GROUP BY maestro_id, line.key",
            [ahora - WINDOW, maestro_id, maestro_id],
        )
        return {(maestro, insumo): Ritmo(int(sold), since) for maestro, insumo, sold, since in cursor.fetchall()}


def reposiciones_por_dia(dias: int, *, ahora: datetime) -> list[Dia]:
    """Return the restocks on each of the last `dias` days in Chile, including today and empty days.

    Makes one query.
    """
    hoy = timezone.localdate(ahora)
    fechas = [hoy - timedelta(days=n) for n in reversed(range(dias))]
    repuestos = Movimiento.objects.filter(
        tipo=Movimiento.Tipo.REPOSICION, ocurrido_en__gte=ahora - timedelta(days=dias + 1)
    )
    por_dia = dict(repuestos.order_by().values_list(TruncDate("ocurrido_en")).annotate(Count("id")))
    return [Dia(fecha, por_dia.get(fecha, 0)) for fecha in fechas]


def reposiciones_por_hora(*, ahora: datetime) -> dict[int, int]:
    """Return today's restocks by the hour of the day in Chile. Makes one query, by index."""
    repuestos = Movimiento.objects.filter(
        tipo=Movimiento.Tipo.REPOSICION,
        ocurrido_en__gte=ahora - LONGEST_DAY,  # for the index
        ocurrido_en__date=timezone.localdate(ahora),
    )
    return dict(repuestos.order_by().values_list(ExtractHour("ocurrido_en")).annotate(Count("id")))
