"""Figures for staff: enrolments per day and lane, waiting times, the queue of the review."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from math import ceil
from typing import Final

from django.db import connection
from django.db.models import Count, Min
from django.db.models.functions import TruncDate
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from inscripciones.models import Inscripcion

LANE_NAMES: Final = {True: "Paid", False: "Normal"}
# The charts' own units; the page scales them.
WIDTH: Final = 720
HEIGHT: Final = 220
BASELINE: Final = 180
LABEL_WIDTH: Final = 40  # of a date


@dataclass(frozen=True)
class Dia:
    """Enrolments that arrived on a Chilean calendar day."""

    dia: date
    paid: int
    normal: int


@dataclass(frozen=True)
class Espera:
    """Time that a lane's enrolments waited for their decision, in seconds."""

    via: str
    quien: str
    cuantas: int
    mediana: float
    p90: float


def por_dia(*, hasta: date, dias: int) -> list[Dia]:
    """Return the `dias` Chilean days that end with `hasta`, also those without enrolments."""
    first = hasta - timedelta(days=dias - 1)
    recent = Inscripcion.objects.exclude(estado=Inscripcion.Estado.UNIDA).annotate(dia=TruncDate("recibida_en"))
    # The condition on the moment is for the index; a day in Chile begins hours after one in UTC.
    since = datetime.combine(first - timedelta(days=1), time.min, UTC)
    recent = recent.filter(recibida_en__gte=since, dia__gte=first, dia__lte=hasta)
    rows = recent.order_by().values_list("dia", "paid").annotate(Count("pk"))
    counts = Counter({(dia, paid): count for dia, paid, count in rows})
    days = (first + timedelta(days=n) for n in range(dias))
    return [Dia(dia, paid=counts[dia, True], normal=counts[dia, False]) for dia in days]


def esperas(*, desde: datetime) -> list[Espera]:
    """Return how long the enrolments decided since `desde` had waited for their decision.

    They are grouped by lane and by who decided: the rules or a person.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT paid, resuelta_por_id IS NULL, count(*),
                percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (
                    ORDER BY greatest(extract(epoch FROM resuelta_en - recibida_en), 0)
                )
            FROM inscripciones_inscripcion
            WHERE resuelta_en >= %s
            GROUP BY 1, 2
            ORDER BY 2, 1 DESC
            """,
            [desde],
        )
        return [
            Espera(LANE_NAMES[paid], "las reglas" if by_rules else "una persona", count, float(median), float(p90))
            for paid, by_rules, count, (median, p90) in cursor.fetchall()
        ]


def en_espera() -> dict[str, object]:
    """Return how many enrolments wait for a person: by lane, and repeated ones; and since when."""
    pendientes = Inscripcion.objects.filter(estado__in=Inscripcion.PENDIENTES).order_by()
    rows = pendientes.values_list("estado", "paid").annotate(Count("pk"))
    counts = Counter({(estado, paid): count for estado, paid, count in rows})
    revision, repetida = Inscripcion.Estado.EN_REVISION, Inscripcion.Estado.REPETIDA
    return {
        "paid": counts[revision, True],
        "normal": counts[revision, False],
        "repetidas": counts[repetida, True] + counts[repetida, False],
        "desde": pendientes.filter(estado=revision).aggregate(desde=Min("recibida_en"))["desde"],
    }


def grafico(dias: Sequence[Dia], *, ancho: int = WIDTH) -> SafeString:
    """Draw one stacked bar per day, Paid below, as inline SVG of this width in its own units."""
    highest = max((dia.paid + dia.normal for dia in dias), default=0) or 1
    step = (ancho - 12) / max(len(dias), 1)
    bars = [_bar(dia, index * step, step, (BASELINE - 30) / highest) for index, dia in enumerate(dias)]
    labelled = max(ceil(len(dias) * LABEL_WIDTH / ancho), 1)
    context = {"barras": bars, "ancho": ancho, "alto": HEIGHT, "base": BASELINE, "cada": labelled}
    return render_to_string("inscripciones/grafico.svg", context)


def _bar(dia: Dia, x: float, step: float, scale: float) -> dict[str, object]:
    paid_height, normal_height = round(dia.paid * scale, 1), round(dia.normal * scale, 1)
    return {
        "dia": dia,
        "x": round(x + step * 0.15, 1),
        "centro": round(x + step / 2, 1),
        "ancho": round(step * 0.7, 1),
        "total": dia.paid + dia.normal,
        "alto_paid": paid_height,
        "alto_normal": normal_height,
        "y_paid": round(BASELINE - paid_height, 1),
        "y_normal": round(BASELINE - paid_height - normal_height, 1),
    }


def grafico_de_esperas(filas: Sequence[Espera]) -> SafeString:
    """Draw one bar per lane for the median, with a mark at the 90th percentile, as inline SVG."""
    longest = max((fila.p90 for fila in filas), default=0) or 1
    scale = (WIDTH - 320) / longest
    bars = [
        {"fila": fila, "y": 16 + 34 * index, "ancho": round(fila.mediana * scale, 1), "p90": round(fila.p90 * scale, 1)}
        for index, fila in enumerate(filas)
    ]
    context = {"barras": bars, "ancho": WIDTH, "alto": 20 + 34 * len(bars)}
    return render_to_string("inscripciones/esperas.svg", context)
