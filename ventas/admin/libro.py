"""TODO."""

from django.contrib import admin

from gremio.formats import pesos
from ventas import calendario
from ventas.admin.comun import AsientoFilter, CuentaAcotada, DeUnMaestro, ProductoFilter, SemanaFilter, SoloLectura
from ventas.models import (
    Anulacion,
    Cuenta,
    Venta,
)


@admin.register(Venta)
class VentaAdmin(DeUnMaestro):
    """The ledger: nothing in it is ever edited or deleted."""

    list_display = ["vendida_en", "maestro", "producto", "cantidad", "ingresos_", "ganancias_", "semana_", "anulada_en"]
    list_filter = [SemanaFilter, AsientoFilter, ProductoFilter]
    paginator = CuentaAcotada
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
class AnulacionAdmin(DeUnMaestro):
    """Sales taken back; one that is not applied waits for its sale."""

    list_display = ["anulada_en", "maestro", "venta_id", "motivo", "aplicada"]
    list_filter = ["aplicada"]


@admin.register(Cuenta)
class CuentaAdmin(SoloLectura):
    """Whom the weeks are written to."""

    list_display = ["nombre", "email", "abierta_en"]
    search_fields = ["nombre", "email"]
