"""The browsable page of a week's summary, with its plot."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from django.utils.safestring import SafeString, mark_safe
from rest_framework.renderers import BrowsableAPIRenderer

from ventas.charts import barras

DIAS = ("lun", "mar", "mié", "jue", "vie", "sáb", "dom")


class ResumenConGrafico(BrowsableAPIRenderer):
    """Draws the income of each day above the JSON."""

    def get_context(
        self, data: Any, accepted_media_type: str | None, renderer_context: Mapping[str, Any]
    ) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(data, accepted_media_type, renderer_context)
        if isinstance(data, dict) and "por_dia" in data:
            context["description"] = mark_safe(f"{context['description']}{_grafico(data)}")  # noqa: S308 - escaped SVG  # nosec B308, B703
        return context


def _grafico(resumen: dict[str, Any]) -> SafeString:
    valores = [
        (f"{DIAS[dia.weekday()]} {dia.day}", fila["ingresos"])
        for fila in resumen["por_dia"]
        for dia in [date.fromisoformat(fila["dia"])]
    ]
    return barras(valores, titulo=f"Ingresos por día de la semana {resumen['semana']} (CLP)")
