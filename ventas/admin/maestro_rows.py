"""Lists of rows that belong to maestros."""

from typing import Any, Final
from uuid import UUID

from django.contrib import admin
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest

from gremio.lectura.textos import limpiar
from kafka_bridge.admin_base import ReadOnlyAdmin
from ventas.models import Cuenta

_NOMBRE: Final = Subquery(Cuenta.objects.filter(maestro_id=OuterRef("maestro_id")).values("nombre")[:1])


class MaestroRowsAdmin(ReadOnlyAdmin):
    """Read-only rows with a `maestro_id`, shown and searched by the maestro's name."""

    search_fields = ["maestro_id"]  # shows the search box; get_search_results decides what is found
    search_help_text = "Nombre, correo o id del maestro"
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        queryset: QuerySet[Any] = super().get_queryset(request).annotate(nombre_maestro=_NOMBRE)
        return queryset

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        search_term = limpiar(search_term).strip()
        if not search_term:
            return queryset, False
        if (maestro_id := _uuid_or_none(search_term)) is not None:
            return queryset.filter(maestro_id=maestro_id), False
        cuentas = Cuenta.objects.filter(Q(nombre__icontains=search_term) | Q(email__icontains=search_term))
        return queryset.filter(maestro_id__in=cuentas.values("maestro_id")), False

    @admin.display(description="maestro")
    def maestro(self, fila: Any) -> str:
        return fila.nombre_maestro or str(fila.maestro_id)


def _uuid_or_none(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
