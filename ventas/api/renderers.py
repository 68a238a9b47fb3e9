"""The browsable page of a week's summary, with its chart."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString
from rest_framework.renderers import BrowsableAPIRenderer

from ventas.charts import bar_chart

WEEKDAYS = ("lun", "mar", "mié", "jue", "vie", "sáb", "dom")


class ResumenRenderer(BrowsableAPIRenderer):
    """Draw the income of each day above the JSON."""

    def get_context(
        self, data: Any, accepted_media_type: str | None, renderer_context: Mapping[str, Any]
    ) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(data, accepted_media_type, renderer_context)
        if isinstance(data, dict) and "por_dia" in data:
            context["description"] = format_html("{}{}", context["description"], _chart(data))
        return context


def _chart(resumen: dict[str, Any]) -> SafeString:
    days = [(date.fromisoformat(fila["dia"]), fila["ingresos"]) for fila in resumen["por_dia"]]
    values = [(f"{WEEKDAYS[day.weekday()]} {day.day}", ingresos) for day, ingresos in days]
    return bar_chart(values, title=f"Ingresos por día de la semana {resumen['semana']} (CLP)")
