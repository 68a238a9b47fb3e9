"""What a maestro has sold today."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Count, F, Sum

from ventas.models import Venta


@dataclass(frozen=True)
class DeHoy:
    """The sales of a day that the ledger has, without voids; `ingresos` in whole CLP."""

    ventas: int
    unidades: int
    ingresos: int


def de_hoy(maestro_id: UUID, *, ahora: datetime, zona: ZoneInfo, sin: Collection[UUID] = ()) -> DeHoy:
    """Return the sales of today by the clock of `zona`, which is the maestro's. One query.

    `sin`: the events of sales that are not counted here.
    """
    begin, end = limites(ahora, zona)
    vendidas = Venta.objects.filter(
        maestro_id=maestro_id, vendida_en__gte=begin, vendida_en__lt=end, anulada_en__isnull=True
    )
    sums = (
        vendidas.exclude(pk__in=sin)
        .order_by()
        .aggregate(ventas=Count("pk"), unidades=Sum("cantidad"), ingresos=Sum(F("cantidad") * F("precio_unitario")))
    )
    return DeHoy(sums["ventas"], sums["unidades"] or 0, sums["ingresos"] or 0)


def limites(ahora: datetime, zona: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the first moment of the day of `ahora` in `zona`, and of the next day."""
    day = ahora.astimezone(zona).date()
    begin, end = (datetime.combine(one, time.min, zona) for one in (day, day + timedelta(days=1)))
    return begin, end
