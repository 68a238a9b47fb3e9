"""TODO."""

from typing import Any, Final

from django.contrib import admin
from django.db.models import Count, F, Q, Sum
from django.http import HttpRequest
from django.template.response import TemplateResponse
from unfold.decorators import display
from unfold.views import ChangeList

from ventas.admin.comun import SoloLectura
from ventas.charts import barras
from ventas.models import (
    ReporteSemanal,
    Semana,
)
from ventas.semanas import calendario, reports
from ventas.templatetags.pesos import miles, pesos

SEMANAS_DEL_GRAFICO: Final = 12


class SemanasConTotales(ChangeList):
    """Adds each week's sums: of closed ones from their reports, in one query; of the few open ones from the ledger."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        cerradas = {fila["semana_id"]: fila for fila in _totales(self.result_list)}
        for semana in self.result_list:
            if semana.cerrada:
                semana.totales = cerradas.get(semana.pk, {})
            else:
                resumen = reports.resumen(semana.lunes)
                semana.totales = {
                    campo: getattr(resumen, campo) for campo in ("cantidad_ventas", "ingresos", "ganancias")
                }


def _totales(pagina: Any) -> Any:
    Envio = ReporteSemanal.Envio  # noqa: N806 - a class
    reportes = ReporteSemanal.objects.filter(semana_id__in=[semana.pk for semana in pagina])
    return (
        reportes.order_by()
        .values("semana_id")
        .annotate(
            reportes=Count("pk"),
            por_enviar=Count("pk", filter=Q(envio=Envio.PENDIENTE)),
            fallidos=Count("pk", filter=Q(envio=Envio.FALLIDO)),
            cantidad_ventas=Sum(F("cantidad_ventas")),
            ingresos=Sum(F("ingresos")),
            ganancias=Sum(F("ganancias")),
        )
    )


@admin.register(Semana)
class SemanaAdmin(SoloLectura):
    """Each week's state, what it waits for, and what came of it."""

    list_display = ["codigo", "dias", "estado_", "ventas", "ingresos", "ganancias", "reportes", "falta"]
    list_filter = ["estado"]
    list_before_template = "ventas/admin/semanas.html"
    fields = ["codigo", "dias", "estado", "hasta", "espera", "advertencia", "cerrada_en", "fines"]
    readonly_fields = ["codigo", "dias"]
    list_per_page = 26

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return SemanasConTotales

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        return super().changelist_view(request, {"grafico": grafico_de_ingresos(), **(extra_context or {})})

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


def grafico_de_ingresos() -> str:
    """The income of the last closed weeks."""
    cerradas = ReporteSemanal.objects.order_by("-semana_id").values("semana_id").annotate(total=Sum("ingresos"))
    ultimas = list(cerradas[:SEMANAS_DEL_GRAFICO])[::-1]
    valores = [(calendario.codigo(fila["semana_id"])[5:], fila["total"]) for fila in ultimas]
    return barras(valores, titulo="Ingresos por semana cerrada (CLP)") if valores else ""
