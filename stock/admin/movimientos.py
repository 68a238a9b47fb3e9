"""The ledger, its totals, and the voided sales: to look at only."""

from django.contrib import admin
from django.utils import timezone
from unfold.decorators import display

from gremio.admin_forms import CleanSearch
from kafka_bridge.admin_base import ReadOnlyAdmin
from stock.models import Anulacion, Existencia, Movimiento


@admin.register(Movimiento)
class MovimientoAdmin(CleanSearch, ReadOnlyAdmin):
    """The lines of the ledger."""

    list_per_page = 50
    show_full_result_count = False
    list_display = ["ocurrido", "carro", "tipo_", "lineas", "motivo"]
    list_filter = ["tipo", "ocurrido_en"]
    list_select_related = ["carro"]
    search_fields = ["carro__nombre", "referencia__exact", "evento_id__exact"]
    search_help_text = "Nombre del carro, o id de la venta, del aviso o del evento"
    ordering = ["-id"]
    fields = ["ocurrido_en", "carro", "tipo", "lineas", "motivo", "referencia", "evento_id"]

    @admin.display(description="ocurrido", ordering="ocurrido_en")
    def ocurrido(self, movimiento: Movimiento) -> str:
        return f"{timezone.localtime(movimiento.ocurrido_en):%d-%m-%Y %H:%M:%S}"

    @display(
        description="tipo",
        ordering="tipo",
        label={"reposición": "success", "carga inicial": "success", "venta anulada": "info", "corrección": "warning"},
    )
    def tipo_(self, movimiento: Movimiento) -> str:
        return movimiento.get_tipo_display()

    @admin.display(description="insumos")
    def lineas(self, movimiento: Movimiento) -> str:
        return ", ".join(f"{insumo} {cantidad:+}" for insumo, cantidad in sorted(movimiento.insumos.items()))


@admin.register(Existencia)
class ExistenciaAdmin(CleanSearch, ReadOnlyAdmin):
    """The totals, one per cart and ingredient."""

    list_per_page = 50
    show_full_result_count = False
    list_display = ["carro", "insumo", "cantidad"]
    list_filter = ["insumo"]
    list_select_related = ["carro", "insumo"]
    search_fields = ["carro__nombre"]
    ordering = ["cantidad"]


@admin.register(Anulacion)
class AnulacionAdmin(CleanSearch, ReadOnlyAdmin):
    """The voided sales."""

    list_per_page = 50
    show_full_result_count = False
    list_display = ["anulada_en", "carro", "venta"]
    list_select_related = ["carro"]
    search_fields = ["carro__nombre", "venta__exact"]
