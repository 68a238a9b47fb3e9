"""Reports as CSV and XLSX. Numbers stay numbers; a text that a spreadsheet would run as a formula is made plain."""

from typing import Any, ClassVar, Final

from import_export import resources
from import_export.fields import Field

from ventas import calendario
from ventas.models import ReporteSemanal
from ventas.semanas.reports import TOTALES

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")  # OWASP, CSV injection


def sin_formula(texto: str) -> str:
    """The text, with an apostrophe before it where a spreadsheet would take it for a formula."""
    return f"'{texto}" if texto.startswith(FORMULA) else texto


class ReporteResource(resources.ModelResource):
    """One row a report; the queryset brings `nombre_maestro` along (admin.py)."""

    semana = Field(column_name="semana")  # type: ignore[no-untyped-call]
    maestro = Field(column_name="maestro")  # type: ignore[no-untyped-call]
    maestro_id = Field(attribute="maestro_id", column_name="id de maestro")  # type: ignore[no-untyped-call]

    class Meta:
        model = ReporteSemanal
        fields = (
            *("semana", "maestro", "maestro_id", "cantidad_ventas", "unidades", "ingresos", "ganancias"),
            *("ajuste_ventas", "ajuste_unidades", "ajuste_ingresos", "ajuste_ganancias"),
            *("envio", "respuesta"),
        )
        export_order = fields
        # As they are, without thousands apart: a program reads them.
        widgets: ClassVar = {campo: {"coerce_to_string": False} for campo in TOTALES}

    def dehydrate_semana(self, reporte: Any) -> str:
        return calendario.codigo(reporte.semana_id)

    def dehydrate_maestro(self, reporte: Any) -> str:
        return sin_formula(reporte.nombre_maestro or "")

    def dehydrate_respuesta(self, reporte: Any) -> str:
        return sin_formula(reporte.respuesta)
