"""Every sum of the accounts comes from one aggregate over the ledger: a week's reports, a maestro's summary, the totals.

An entry is a sale in the week that counts it (+1), or a void in the week that takes it back (-1). Where both are the same
week nothing is entered. Entries whose day lies outside the week are its adjustments.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, TypedDict
from uuid import UUID

from django.db import connection

from ventas import semanas
from ventas.models import ReporteSemanal, Semana


class Dia(TypedDict):
    """One day of a week; `dia` as 2026-11-23, money in whole CLP."""

    dia: str
    cantidad_ventas: int
    unidades: int
    ingresos: int
    ganancias: int


@dataclass(frozen=True, kw_only=True)
class Resumen:
    """A week's accounts, of one maestro or of all; totals include the adjustments. Money in whole CLP."""

    cantidad_ventas: int
    unidades: int
    ingresos: int
    ganancias: int
    ajuste_ventas: int
    ajuste_unidades: int
    ajuste_ingresos: int
    ajuste_ganancias: int
    por_dia: list[Dia]
    por_producto: dict[str, int]


CAMPOS: Final = tuple(Resumen.__dataclass_fields__)
_SUMADOS: Final = ("ventas", "unidades", "ingresos", "ganancias")
_SUMAS: Final = """
    {signo}count(*) AS ventas,
    {signo}sum(cantidad) AS unidades,
    {signo}sum(cantidad::bigint * precio_unitario)::bigint AS ingresos,
    {signo}sum(cantidad::bigint * (precio_unitario - costo_unitario))::bigint AS ganancias
"""
_DIA: Final = """jsonb_build_object(
    'dia', %(lunes)s::date + {n},
    'cantidad_ventas', coalesce(sum(ventas) FILTER (WHERE dia = %(lunes)s::date + {n}), 0),
    'unidades', coalesce(sum(unidades) FILTER (WHERE dia = %(lunes)s::date + {n}), 0),
    'ingresos', coalesce(sum(ingresos) FILTER (WHERE dia = %(lunes)s::date + {n}), 0),
    'ganancias', coalesce(sum(ganancias) FILTER (WHERE dia = %(lunes)s::date + {n}), 0))"""
_AJUSTE: Final = "coalesce(sum({campo}) FILTER (WHERE dia NOT BETWEEN %(lunes)s::date AND %(lunes)s::date + 6), 0)"

# Grouped first by maestro, day and product, the few rows that remain are folded into one a maestro.
# `{filtro}` narrows it to one maestro; `{de_quien}` is the group: a maestro, or everybody (NULL).
_AGREGADO: Final = f"""
WITH asientos AS (
    SELECT {{de_quien}} AS maestro_id, dia, producto, {_SUMAS.format(signo="")}
    FROM ventas_venta
    WHERE semana_contable = %(lunes)s AND semana_anulacion IS DISTINCT FROM %(lunes)s {{filtro}}
    GROUP BY 1, 2, 3
    UNION ALL
    SELECT {{de_quien}}, dia, producto, {_SUMAS.format(signo="-")}
    FROM ventas_venta
    WHERE semana_anulacion = %(lunes)s AND semana_contable <> %(lunes)s {{filtro}}
    GROUP BY 1, 2, 3
),
productos AS (
    SELECT maestro_id, jsonb_object_agg(producto, unidades) AS por_producto
    FROM (SELECT maestro_id, producto, sum(unidades) AS unidades FROM asientos GROUP BY 1, 2) AS por_codigo
    GROUP BY 1
),
totales AS (
    SELECT maestro_id,
        sum(ventas) AS cantidad_ventas, sum(unidades) AS unidades,
        sum(ingresos) AS ingresos, sum(ganancias) AS ganancias,
        {", ".join(f"{_AJUSTE.format(campo=campo)} AS ajuste_{campo}" for campo in _SUMADOS)},
        jsonb_build_array({", ".join(_DIA.format(n=n) for n in range(7))}) AS por_dia
    FROM asientos GROUP BY 1
)
"""  # noqa: S608 - made of constants
_DE_TODOS: Final = _AGREGADO.format(de_quien="NULL::uuid", filtro="")
_DE_UNO: Final = _AGREGADO.format(de_quien="maestro_id", filtro="AND maestro_id = %(maestro_id)s")
_POR_MAESTRO: Final = _AGREGADO.format(de_quien="maestro_id", filtro="")
_LEER: Final = f"""
SELECT {", ".join(CAMPOS)} FROM totales JOIN productos ON productos.maestro_id IS NOT DISTINCT FROM totales.maestro_id
"""  # noqa: S608
_ESCRIBIR: Final = f"""
INSERT INTO ventas_reportesemanal (semana_id, maestro_id, envio, intentos, respuesta, {", ".join(CAMPOS)})
{_POR_MAESTRO}
SELECT %(lunes)s, coalesce(totales.maestro_id, cuenta.maestro_id), %(pendiente)s, 0, '',
    {", ".join(f"coalesce({campo}, 0)" for campo in CAMPOS[:-2])},
    coalesce(por_dia, %(dias)s::jsonb), coalesce(por_producto, '{{}}')
FROM totales JOIN productos USING (maestro_id)
FULL JOIN (SELECT maestro_id FROM ventas_cuenta WHERE abierta_en < %(fin)s) AS cuenta
    ON cuenta.maestro_id = totales.maestro_id
ORDER BY 2
ON CONFLICT (semana_id, maestro_id) DO NOTHING
"""  # noqa: S608


def vacio(lunes: date) -> Resumen:
    """The accounts of a week in which nothing was sold."""
    por_dia = [
        Dia(dia=dia.isoformat(), cantidad_ventas=0, unidades=0, ingresos=0, ganancias=0) for dia in semanas.dias(lunes)
    ]
    ceros = dict.fromkeys(CAMPOS[:-2], 0)
    return Resumen(**ceros, por_dia=por_dia, por_producto={})


def resumen(lunes: date, maestro_id: UUID | None = None) -> Resumen:
    """The accounts of a week (its Monday), of one maestro or of all. One query, from an index."""
    consulta = _DE_TODOS if maestro_id is None else _DE_UNO
    with connection.cursor() as cursor:
        cursor.execute(consulta + _LEER, {"lunes": lunes, "maestro_id": maestro_id})
        fila = cursor.fetchone()
    return _resumen(fila) if fila else vacio(lunes)


def _resumen(fila: Sequence[Any]) -> Resumen:
    *numeros, por_dia, por_producto = fila
    campos = dict(zip(CAMPOS[:-2], map(int, numeros), strict=True))
    return Resumen(**campos, por_dia=json.loads(por_dia), por_producto=json.loads(por_producto))


def escribir(semana: Semana) -> int:
    """Writes the week's reports, one a maestro who has entries in it or an account since before its end; returns how many.

    One statement; reports that are there already stay as they are. Call it with the week locked.
    """
    parametros: dict[str, date | datetime | str] = {
        "lunes": semana.lunes,
        "fin": semana.hasta,
        "dias": json.dumps(vacio(semana.lunes).por_dia),
        "pendiente": ReporteSemanal.Envio.PENDIENTE,
    }
    with connection.cursor() as cursor:
        cursor.execute(_ESCRIBIR, parametros)
        return int(cursor.rowcount)
