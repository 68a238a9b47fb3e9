"""The export of reports as CSV and XLSX. Numbers stay numbers; texts are never run as formulas."""

from typing import Any, ClassVar, Final

from import_export import resources
from import_export.fields import Field
from import_export.formats.base_formats import CSV

from ventas import calendario
from ventas.models import ReporteSemanal
from ventas.semanas.reports import TOTALES

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")  # OWASP, CSV injection


def without_formula(text: str) -> str:
    """Return the text, after an apostrophe if a spreadsheet would run it as a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


class ChileanCSV(CSV):
    """CSV that Excel in Chile opens by a double click: with a byte order mark, and semicolons.

    Excel takes UTF-8 for another encoding without the mark, and a comma for the decimal sign.
    """

    def export_data(self, dataset: Any, **kwargs: Any) -> str:
        return f"\ufeff{dataset.export('csv', delimiter=';')}"


def _column(name: str, attribute: str | None = None) -> Field:
    return Field(column_name=name, attribute=attribute)


class ReporteResource(resources.ModelResource):
    """One row per report. The admin's queryset provides `nombre_maestro`."""

    semana = _column("semana")
    maestro = _column("maestro")
    maestro_id = _column("id de maestro", attribute="maestro_id")

    class Meta:
        model = ReporteSemanal
        fields = (
            *("semana", "maestro", "maestro_id", "cantidad_ventas", "unidades", "ingresos", "ganancias"),
            *("ajuste_ventas", "ajuste_unidades", "ajuste_ingresos", "ajuste_ganancias"),
            *("envio", "respuesta"),
        )
        export_order = fields
        # Totals without thousands separators: a program reads them.
        widgets: ClassVar = {campo: {"coerce_to_string": False} for campo in TOTALES}

    def dehydrate_semana(self, reporte: Any) -> str:
        return calendario.codigo(reporte.semana_id)

    def dehydrate_maestro(self, reporte: Any) -> str:
        return without_formula(reporte.nombre_maestro or "")

    def dehydrate_respuesta(self, reporte: Any) -> str:
        return without_formula(reporte.respuesta)
