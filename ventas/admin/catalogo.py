"""The catalogue in the admin: products with their recipes, and ingredients."""

from decimal import Decimal
from typing import ClassVar

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline

from gremio.admin_forms import GremioAdmin, TypedAsInChile
from gremio.formats import pesos
from ventas.models import Insumo, Producto, Receta, costo_de


class RecetaInline(TypedAsInChile, TabularInline):
    """The recipe, on the page of its product."""

    model = Receta
    extra = 0
    autocomplete_fields = ["insumo"]


class CatalogoAdmin(GremioAdmin, ModelAdmin):
    """Past sales contain the codes: codes never change, and nothing is deleted."""

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return ("codigo",) if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Producto)
class ProductoAdmin(CatalogoAdmin):
    """Prices and recipes; an edit applies to sales accepted a few seconds later."""

    list_display = ["nombre", "codigo", "precio_", "costo_", "ganancia_", "activo"]
    list_filter = ["activo"]
    search_fields = ["codigo", "nombre"]
    inlines: ClassVar = [RecetaInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Producto]:
        queryset: QuerySet[Producto] = super().get_queryset(request)
        return queryset.prefetch_related("receta__insumo")

    @admin.display(description="precio", ordering="precio")
    def precio_(self, producto: Producto) -> str:
        return pesos(producto.precio)

    @admin.display(description="costo")
    def costo_(self, producto: Producto) -> str:
        return pesos(costo_de(producto.receta.all()))

    @admin.display(description="ganancia")
    def ganancia_(self, producto: Producto) -> str:
        return pesos(producto.precio - costo_de(producto.receta.all()))


@admin.register(Insumo)
class InsumoAdmin(CatalogoAdmin):
    """Ingredients and their costs."""

    list_display = ["nombre", "codigo", "unidad", "costo_"]
    search_fields = ["codigo", "nombre"]

    @admin.display(description="costo por unidad", ordering="costo")
    def costo_(self, insumo: Insumo) -> str:
        return f"${insumo.costo.quantize(Decimal('0.01'))}".replace(".", ",")
