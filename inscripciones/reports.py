"""Numbers for staff: how many enrol each day by each lane, how long they wait, what waits now."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from django.db import connection
from django.db.models import Count, Min
from django.db.models.functions import TruncDate
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from inscripciones.models import Inscripcion

VIAS: Final = {True: "Paid", False: "Normal"}
ANCHO, ALTO, BASE = 720, 220, 180  # the drawing's own units; the page scales it


@dataclass(frozen=True)
class Dia:
    """Enrolments received on a Chilean calendar day."""

    dia: date
    paid: int
    normal: int


@dataclass(frozen=True)
class Espera:
    """How long the enrolments of a lane waited for their decision, in seconds."""

    via: str
    quien: str
    cuantas: int
    mediana: float
    p90: float


def por_dia(*, hasta: date, dias: int) -> list[Dia]:
    """The `dias` Chilean days that end with `hasta`, those without enrolments too."""
    primero = hasta - timedelta(days=dias - 1)
    recientes = Inscripcion.objects.exclude(estado=Inscripcion.Estado.UNIDA).annotate(dia=TruncDate("recibida_en"))
    recientes = recientes.filter(dia__gte=primero, dia__lte=hasta)
    filas = recientes.order_by().values_list("dia", "paid").annotate(Count("pk"))
    cuenta = Counter({(dia, paid): cuantas for dia, paid, cuantas in filas})
    rango = (primero + timedelta(days=n) for n in range(dias))
    return [Dia(dia, paid=cuenta[dia, True], normal=cuenta[dia, False]) for dia in rango]


def esperas(*, desde: datetime) -> list[Espera]:
    """From reception to decision, of what was decided since `desde`: by lane, and by whom."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT paid, resuelta_por_id IS NULL, count(*),"
            " percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY greatest(extract(epoch FROM resuelta_en - recibida_en), 0))"
            " FROM inscripciones_inscripcion WHERE resuelta_en >= %s GROUP BY 1, 2 ORDER BY 2, 1 DESC",
            [desde],
        )
        return [
            Espera(VIAS[paid], "las reglas" if sola else "una persona", cuantas, *map(float, percentiles))
            for paid, sola, cuantas, percentiles in cursor.fetchall()
        ]


def en_espera() -> dict[str, object]:
    """What waits for a person: how many by lane, how many repeated identities, and since when the oldest does."""
    pendientes = Inscripcion.objects.filter(estado__in=Inscripcion.PENDIENTES).order_by()
    cuenta = Counter({fila[:2]: fila[2] for fila in pendientes.values_list("estado", "paid").annotate(Count("pk"))})
    revision, repetida = Inscripcion.Estado.EN_REVISION, Inscripcion.Estado.REPETIDA
    return {
        "paid": cuenta[revision, True],
        "normal": cuenta[revision, False],
        "repetidas": cuenta[repetida, True] + cuenta[repetida, False],
        "desde": pendientes.filter(estado=revision).aggregate(desde=Min("recibida_en"))["desde"],
    }


def grafico(dias: Sequence[Dia]) -> SafeString:
    """Stacked bars by day, Paid below, as inline SVG."""
    maximo = max((dia.paid + dia.normal for dia in dias), default=0) or 1
    paso = (ANCHO - 12) / max(len(dias), 1)
    barras = [_barra(dia, indice * paso, paso, (BASE - 30) / maximo) for indice, dia in enumerate(dias)]
    contexto = {"barras": barras, "ancho": ANCHO, "alto": ALTO, "base": BASE, "cada": max(len(dias) // 10, 1)}
    return render_to_string("inscripciones/grafico.svg", contexto)


def grafico_de_esperas(filas: Sequence[Espera]) -> SafeString:
    """A bar a lane for the median, with a mark at the 90th percentile, as inline SVG."""
    maximo = max((fila.p90 for fila in filas), default=0) or 1
    escala = (ANCHO - 320) / maximo
    barras = [
        {
            "fila": fila,
            "y": 16 + 34 * indice,
            "ancho": round(fila.mediana * escala, 1),
            "p90": round(fila.p90 * escala, 1),
        }
        for indice, fila in enumerate(filas)
    ]
    return render_to_string(
        "inscripciones/esperas.svg", {"barras": barras, "ancho": ANCHO, "alto": 20 + 34 * len(barras)}
    )


def _barra(dia: Dia, x: float, paso: float, escala: float) -> dict[str, object]:
    alto_paid, alto_normal = round(dia.paid * escala, 1), round(dia.normal * escala, 1)
    return {
        "dia": dia,
        "x": round(x + paso * 0.15, 1),
        "centro": round(x + paso / 2, 1),
        "ancho": round(paso * 0.7, 1),
        "total": dia.paid + dia.normal,
        "alto_paid": alto_paid,
        "alto_normal": alto_normal,
        "y_paid": round(BASE - alto_paid, 1),
        "y_normal": round(BASE - alto_paid - alto_normal, 1),
    }
