"""The accounting weeks in the admin: totals, state, and a chart of the closed ones."""

from typing import Any, Final

from django.contrib import admin
from django.db.models import Count, F, Q, Sum
from django.http import HttpRequest
from django.template.response import TemplateResponse
from unfold.decorators import display
from unfold.views import ChangeList

from gremio.formats import miles, pesos
from kafka_bridge.admin_base import ReadOnlyAdmin
from ventas import calendario
from ventas.charts import bar_chart
from ventas.models import ReporteSemanal, Semana
from ventas.semanas import reports

WEEKS_IN_CHART: Final = 12


class WeeksWithTotals(ChangeList):
    """Add the totals of each week.

    Those of closed weeks come from their reports, in one query; those of the few open weeks from
    the ledger, with one query per week.
    """

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        closed = {fila["semana_id"]: fila for fila in _totals(self.result_list)}
        for semana in self.result_list:
            if semana.cerrada:
                semana.totales = closed.get(semana.pk, {})
            else:
                resumen = reports.resumen(semana.lunes)
                semana.totales = {
                    campo: getattr(resumen, campo) for campo in ("cantidad_ventas", "ingresos", "ganancias")
                }


def _totals(weeks: Any) -> Any:
    reportes = ReporteSemanal.objects.filter(semana_id__in=[semana.pk for semana in weeks])
    return (
        reportes.order_by()
        .values("semana_id")
        .annotate(
            reportes=Count("pk"),
            por_enviar=Count("pk", filter=Q(envio__in=ReporteSemanal.POR_ENVIAR)),
            fallidos=Count("pk", filter=Q(envio=ReporteSemanal.EstadoCorreo.FALLIDO)),
            cantidad_ventas=Sum(F("cantidad_ventas")),
            ingresos=Sum(F("ingresos")),
            ganancias=Sum(F("ganancias")),
        )
    )


@admin.register(Semana)
class SemanaAdmin(ReadOnlyAdmin):
    """Each week with its state, what it waits for, its totals and its e-mails."""

    list_display = ["codigo", "dias", "estado_", "ventas", "ingresos", "ganancias", "reportes", "falta"]
    list_filter = ["estado"]
    list_before_template = "ventas/admin/semanas.html"
    fields = ["codigo", "dias", "estado", "hasta", "espera", "advertencia", "cerrada_en", "fines"]
    readonly_fields = ["codigo", "dias"]
    list_per_page = 26

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return WeeksWithTotals

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        return super().changelist_view(request, {"chart": _income_chart(), **(extra_context or {})})

    @admin.display(description="semana", ordering="lunes")
    def codigo(self, semana: Semana) -> str:
        return str(semana)

    @admin.display(description="días")
    def dias(self, semana: Semana) -> str:
        return f"{semana.lunes:%d/%m} al {calendario.dias(semana.lunes)[-1]:%d/%m}".replace(" ", "\N{NO-BREAK SPACE}")

    @admin.display(description="qué espera, o qué faltó")
    def falta(self, semana: Semana) -> str:
        return semana.espera or semana.advertencia

    @display(
        description="estado",
        ordering="estado",
        label={"abierta": "info", "cerrándose": "warning", "cerrada": "success"},
    )
    def estado_(self, semana: Semana) -> str:
        return semana.get_estado_display()

    @admin.display(description="ventas")
    def ventas(self, semana: Any) -> str:
        return miles(semana.totales.get("cantidad_ventas", 0))

    @admin.display(description="ingresos")
    def ingresos(self, semana: Any) -> str:
        return pesos(semana.totales.get("ingresos", 0))

    @admin.display(description="ganancias")
    def ganancias(self, semana: Any) -> str:
        return pesos(semana.totales.get("ganancias", 0))

    @admin.display(description="reportes (por enviar, fallidos)")
    def reportes(self, semana: Any) -> str:
        totales = semana.totales
        if "reportes" not in totales:
            return "–"
        return f"{miles(totales['reportes'])} ({miles(totales['por_enviar'])}, {miles(totales['fallidos'])})"


def _income_chart() -> str:
    """Return a chart of the income of the last closed weeks, or an empty text."""
    closed = ReporteSemanal.objects.order_by("-semana_id").values("semana_id").annotate(total=Sum("ingresos"))
    oldest_first = list(closed[:WEEKS_IN_CHART])[::-1]
    values = [(calendario.codigo(fila["semana_id"])[5:], fila["total"]) for fila in oldest_first]
    return bar_chart(values, title="Ingresos por semana cerrada (CLP)") if values else ""
