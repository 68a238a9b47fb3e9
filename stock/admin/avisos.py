"""The notices that an ingredient ran out: to look at only."""

from django.contrib import admin
from django.utils import timezone
from unfold.decorators import display

from gremio.admin_forms import CleanSearch
from kafka_bridge.admin_base import ReadOnlyAdmin
from stock.models import Aviso


@admin.register(Aviso)
class AvisoAdmin(CleanSearch, ReadOnlyAdmin):
    """The notices, with their states and how long each was open."""

    list_per_page = 50
    show_full_result_count = False
    list_display = ["abierto", "carro", "de_que", "origen", "estado_", "demora"]
    list_filter = ["estado", "origen", "abierto_en"]
    list_select_related = ["carro"]
    search_fields = ["carro__nombre", "aviso_id__exact"]
    search_help_text = "Nombre del carro, o id del aviso"

    @admin.display(description="avisado", ordering="abierto_en")
    def abierto(self, aviso: Aviso) -> str:
        return f"{timezone.localtime(aviso.abierto_en):%d-%m-%Y %H:%M:%S}"

    @admin.display(description="insumo", ordering="insumo")
    def de_que(self, aviso: Aviso) -> str:
        return aviso.insumo or "todo lo agotado"

    @display(
        description="estado",
        ordering="estado",
        label={
            "abierto": "warning",
            "atendido": "success",
            "infundado: no faltaba nada": "info",
            "repetido: ya había uno abierto": "info",
        },
    )
    def estado_(self, aviso: Aviso) -> str:
        return aviso.get_estado_display()

    @admin.display(description="demora")
    def demora(self, aviso: Aviso) -> str:
        return f"{(aviso.cerrado_en - aviso.abierto_en).total_seconds():.1f} s" if aviso.cerrado_en else ""
