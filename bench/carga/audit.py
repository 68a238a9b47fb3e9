"""The audit of a load: accepted = rows = counted in the week's reports."""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from django.db import connection
from django.utils import timezone

from bench.openloop.load import Sent
from deploy.embedded.waiting import wait_until
from ventas import calendario
from ventas.models import ReporteSemanal, Semana, Venta
from ventas.semanas.cierre import cerrar_vencidas

CLOSING_SECONDS: Final = 120.0
AT_ONCE: Final = 10_000
MISSING: Final = """
    SELECT count(*) FROM unnest(%s::uuid[], %s::uuid[]) AS sent (maestro, venta)
    WHERE NOT EXISTS (SELECT FROM ventas_venta WHERE maestro_id = maestro AND venta_id = venta)"""


def audit(loads: Iterable[Sent]) -> dict[str, float]:
    """Return the counts of all loads together. Raises RuntimeError if one promise is broken."""
    accepted, uncertain = 0, 0
    for sent in loads:
        lost = _missing(sent.sales)
        if lost:
            raise RuntimeError(f"{lost} accepted sales have no row")
        accepted += len(sent.sales)
        uncertain += len(sent.uncertain) - _missing(sent.uncertain)
    rows = Venta.objects.count()
    if rows != accepted + uncertain:
        raise RuntimeError(f"{rows} rows of {accepted} accepted sales and {uncertain} without an answer that got a row")
    counted = close_the_week()
    if counted != rows:
        raise RuntimeError(f"{counted} sales are counted in the reports, of {rows} rows")
    return {"accepted": accepted, "without a 202, and a row": uncertain, "rows": rows, "counted": counted}


def _missing(ids: Iterable[tuple[UUID, UUID]]) -> int:
    """Return how many of these sales have no row."""
    pairs, missing = list(ids), 0
    with connection.cursor() as cursor:
        for first in range(0, len(pairs), AT_ONCE):
            maestros, sales = zip(*pairs[first : first + AT_ONCE], strict=True)
            cursor.execute(MISSING, [list(maestros), list(sales)])
            missing += int(cursor.fetchone()[0])
    return missing


def close_the_week() -> int:
    """Close the running week, and return how many sales its reports count."""
    hasta = timezone.now()
    semana = calendario.codigo(calendario.semana_de(hasta))

    def closed() -> bool:
        cerrar_vencidas(ahora=timezone.now(), semana=semana, hasta=hasta.isoformat())
        return not Semana.objects.exclude(estado=Semana.Estado.CERRADA).filter(hasta__lte=hasta).exists()

    wait_until(closed, CLOSING_SECONDS, what="the week is closed", interval=1)
    return sum(ReporteSemanal.objects.values_list("cantidad_ventas", flat=True))
