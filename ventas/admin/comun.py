"""TODO."""

from typing import Any, Final

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import cached_property
from unfold.admin import ModelAdmin

from ventas import calendario
from ventas.models import (
    Cuenta,
    Producto,
    Semana,
    Venta,
)

SE_CUENTAN: Final = 10_000
NOMBRE: Final = Subquery(Cuenta.objects.filter(maestro_id=OuterRef("maestro_id")).values("nombre")[:1])


class SoloLectura(ModelAdmin):
    """Rows that only the services write."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class CuentaAcotada(Paginator):  # type: ignore[type-arg]  # Django's takes none
    """Counts up to a limit, and pages so far: a week may have a million sales, which filters and searches narrow."""

    @cached_property
    def count(self) -> int:
        return int(self.object_list.order_by()[:SE_CUENTAN].count())  # type: ignore[attr-defined]  # a queryset


class SemanaFilter(admin.SimpleListFilter):
    """The sales of one accounting week, by default the current one: the ledger is too long to be sorted whole."""

    title = "semana contable"
    parameter_name = "semana"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(semana), str(semana)) for semana in Semana.objects.all()[:60]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Venta]) -> QuerySet[Venta]:
        try:
            lunes = calendario.lunes_de_codigo(self.value() or "")
        except ValueError:
            lunes = calendario.semana_de(timezone.now())
        return queryset.filter(**{"semana_anulacion" if AsientoFilter.anuladas(request) else "semana_contable": lunes})


class AsientoFilter(admin.SimpleListFilter):
    """What the week counts, or what it takes back. Both at once would read the whole ledger (ADR 11)."""

    title = "asiento"
    parameter_name = "asiento"

    @classmethod
    def anuladas(cls, request: HttpRequest) -> bool:
        return request.GET.get(cls.parameter_name) == "anuladas"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("anuladas", "descontadas en la semana")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Venta]) -> QuerySet[Venta]:
        return queryset  # the week's filter asks which


class ProductoFilter(admin.SimpleListFilter):
    """By the catalogue's codes: those of the ledger would take reading it whole."""

    title = "producto"
    parameter_name = "producto"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(producto.codigo, producto.nombre) for producto in Producto.objects.all()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Venta]) -> QuerySet[Venta]:
        return queryset.filter(producto=self.value()) if self.value() else queryset


class DeUnMaestro(SoloLectura):
    """Rows of maestros, shown and searched by their name."""

    search_fields = ["maestro_id"]  # see get_search_results
    search_help_text = "Nombre o correo del maestro"
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        queryset: QuerySet[Any] = super().get_queryset(request).annotate(nombre_maestro=NOMBRE)
        return queryset

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term:
            return queryset, False
        cuentas = Cuenta.objects.filter(Q(nombre__icontains=search_term) | Q(email__icontains=search_term))
        return queryset.filter(maestro_id__in=cuentas.values("maestro_id")), False

    @admin.display(description="maestro")
    def maestro(self, fila: Any) -> str:
        return fila.nombre_maestro or str(fila.maestro_id)
