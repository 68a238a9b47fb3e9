"""The ledger in the admin: sales, voids and accounts. Nothing in it is ever edited or deleted."""

from typing import Final, cast

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.utils.functional import cached_property

from gremio.admin_forms import CleanSearch
from gremio.formats import pesos
from kafka_bridge.admin_base import ReadOnlyAdmin
from ventas import calendario
from ventas.admin.filters import AsientoFilter, ProductoFilter, SemanaFilter
from ventas.admin.maestro_rows import MaestroRowsAdmin
from ventas.models import Anulacion, Cuenta, Venta

COUNT_LIMIT: Final = 10_000


class CappedPaginator(Paginator):  # type: ignore[type-arg]  # generic only in the stubs
    """Count rows up to COUNT_LIMIT and offer pages up to there.

    A week may have a million sales, which filters and searches narrow down.
    """

    @cached_property
    def count(self) -> int:
        rows = cast(QuerySet[Venta], self.object_list)
        return rows.order_by()[:COUNT_LIMIT].count()


@admin.register(Venta)
class VentaAdmin(MaestroRowsAdmin):
    """Sales of one accounting week."""

    list_display = ["vendida_en", "maestro", "producto", "cantidad", "ingresos_", "ganancias_", "semana_", "anulada_en"]
    list_filter = [SemanaFilter, AsientoFilter, ProductoFilter]
    paginator = CappedPaginator
    list_per_page = 50

    @admin.display(description="ingresos")
    def ingresos_(self, venta: Venta) -> str:
        return pesos(venta.ingresos)

    @admin.display(description="ganancias")
    def ganancias_(self, venta: Venta) -> str:
        return pesos(venta.ganancias)

    @admin.display(description="semana")
    def semana_(self, venta: Venta) -> str:
        return calendario.codigo(venta.semana_contable)


@admin.register(Anulacion)
class AnulacionAdmin(MaestroRowsAdmin):
    """Voids; one that is not applied waits for its sale."""

    list_display = ["anulada_en", "maestro", "venta_id", "motivo", "aplicada"]
    list_filter = ["aplicada"]


@admin.register(Cuenta)
class CuentaAdmin(CleanSearch, ReadOnlyAdmin):
    """The maestros to whom weekly e-mails go, and their addresses."""

    list_display = ["nombre", "email", "abierta_en"]
    search_fields = ["nombre", "email"]
