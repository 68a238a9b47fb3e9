"""The ingredients that every cart carries."""

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from gremio.admin_forms import GremioAdmin
from gremio.formats import con_unidad
from stock import inventario
from stock.models import Insumo


@admin.register(Insumo)
class InsumoAdmin(GremioAdmin, ModelAdmin):
    """The catalogue. A code is chosen once: sales and the ledger name the ingredient by it."""

    list_display = ["nombre", "codigo", "capacidad_"]
    search_fields = ["nombre", "codigo"]

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        return ["codigo"] if obj else []

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if not change:
            inventario.estrenar(obj.pk)

    @admin.display(description="capacidad del carro", ordering="capacidad")
    def capacidad_(self, insumo: Insumo) -> str:
        return con_unidad(insumo.capacidad, insumo.unidad)
