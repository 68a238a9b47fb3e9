"""The catalogue in the admin: products with their recipes, and ingredients."""

from contextlib import nullcontext
from decimal import Decimal
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.admin import ModelAdmin, TabularInline

from gremio.admin_forms import GremioAdmin, TypedAsInChile
from gremio.formats import pesos
from kafka_bridge.admin_base import ReadOnlyAdmin
from ventas.catalogo import historia
from ventas.models import CambioDeCatalogo, Insumo, Producto, Receta, costo_de


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

    def _changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Note a product and its recipe as one change, in the transaction of the save."""
        with historia.como_un_cambio() if request.method == "POST" else nullcontext():
            response: HttpResponse = super()._changeform_view(  # type: ignore[misc]  # not in the stubs
                request, *args, **kwargs
            )
            return response


@admin.register(Producto)
class ProductoAdmin(CatalogoAdmin):
    """Prices and recipes; an edit applies to what is sold from then on, never to earlier sales."""

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


@admin.register(CambioDeCatalogo)
class CambioDeCatalogoAdmin(ReadOnlyAdmin):
    """What each product cost since when; earlier sales take the price of their moment."""

    list_display = ["desde", "producto", "precio_", "costo_", "activo", "receta_"]
    list_filter = ["producto", "activo"]
    date_hierarchy = "desde"

    @admin.display(description="precio")
    def precio_(self, cambio: CambioDeCatalogo) -> str:
        return pesos(cambio.precio)

    @admin.display(description="costo")
    def costo_(self, cambio: CambioDeCatalogo) -> str:
        return pesos(cambio.costo)

    @admin.display(description="receta")
    def receta_(self, cambio: CambioDeCatalogo) -> str:
        return ", ".join(f"{insumo} {cantidad}" for insumo, cantidad in sorted(cambio.insumos.items()))
