"""Filters of the ledger's page. The ledger is too long for filters that would read all of it."""

from typing import Any, Final

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from ventas import calendario
from ventas.models import Producto, Semana, Venta

WEEKS_OFFERED: Final = 60


class SemanaFilter(admin.SimpleListFilter):
    """The entries of one accounting week, by default of the current one."""

    title = "semana contable"
    parameter_name = "semana"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(semana), str(semana)) for semana in Semana.objects.all()[:WEEKS_OFFERED]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Venta]) -> QuerySet[Venta]:
        try:
            lunes = calendario.lunes_de_codigo(self.value() or "")
        except ValueError:
            lunes = calendario.semana_de(timezone.now())
        return queryset.filter(**{AsientoFilter.week_field(request): lunes})


class AsientoFilter(admin.SimpleListFilter):
    """The sales that the week counts, or the sales that it subtracts.

    Showing both at once would read the whole ledger (ADR 11).
    """

    title = "asiento"
    parameter_name = "asiento"

    @classmethod
    def week_field(cls, request: HttpRequest) -> str:
        """Return the field that SemanaFilter compares with the week."""
        return "semana_anulacion" if request.GET.get(cls.parameter_name) == "anuladas" else "semana_contable"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("anuladas", "descontadas en la semana")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Venta]) -> QuerySet[Venta]:
        return queryset  # SemanaFilter applies the choice


class ProductoFilter(admin.SimpleListFilter):
    """The sales of one product of the catalogue."""

    title = "producto"
    parameter_name = "producto"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(producto.codigo, producto.nombre) for producto in Producto.objects.all()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Venta]) -> QuerySet[Venta]:
        return queryset.filter(producto=self.value()) if self.value() else queryset
