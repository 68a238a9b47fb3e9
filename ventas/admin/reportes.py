"""The accounts in the admin: the catalogue to edit; sales, weeks and reports to read, export and send again."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from import_export.admin import ExportActionModelAdmin
from import_export.formats.base_formats import CSV, XLSX
from unfold.contrib.import_export.forms import SelectableFieldsExportForm
from unfold.decorators import display

from gremio.formats import pesos
from ventas.admin.comun import DeUnMaestro
from ventas.admin.export import ReporteResource
from ventas.models import (
    ReporteSemanal,
)
from ventas.semanas import envios
from ventas.tasks import insinuar_envio


@admin.register(ReporteSemanal)
class ReporteSemanalAdmin(ExportActionModelAdmin, DeUnMaestro):  # type: ignore[misc]  # neither knows of the other
    """What each maestro was told, whether the mail arrived, and what the server said if not."""

    list_display = [
        *("semana", "maestro", "cantidad_ventas", "unidades", "ingresos_", "ganancias_", "ajuste_"),
        *("envio_", "intentos", "respuesta", "enviado_en"),
    ]
    list_filter = ["envio", ("semana", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["semana"]
    list_per_page = 50
    ordering = ["-semana_id", "-ingresos"]
    actions = ["reenviar"]
    resource_classes = [ReporteResource]
    formats = [CSV, XLSX]
    export_form_class = SelectableFieldsExportForm

    def has_reenviar_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_view_permission(request) and request.user.has_perm("ventas.reenviar_reporte")

    def has_export_permission(self, request: HttpRequest) -> bool:
        """Who may read them may take them along."""
        return bool(self.has_view_permission(request))

    @admin.action(description="Enviar de nuevo el correo", permissions=["reenviar"])
    def reenviar(self, request: HttpRequest, elegidos: QuerySet[ReporteSemanal]) -> None:
        """Also those that were sent: the maestro's mailbox sees the same Message-ID."""
        cuantos = envios.reenviar(ReporteSemanal.objects.filter(pk__in=list(elegidos.values_list("pk", flat=True))))
        for reporte in elegidos[:1_000]:
            self.log_change(request, reporte, "Correo por enviar de nuevo")
        insinuar_envio()
        self.message_user(request, f"Se enviarán {cuantos} correos.", messages.SUCCESS)

    @admin.display(description="ingresos", ordering="ingresos")
    def ingresos_(self, reporte: ReporteSemanal) -> str:
        return pesos(reporte.ingresos)

    @admin.display(description="ganancias", ordering="ganancias")
    def ganancias_(self, reporte: ReporteSemanal) -> str:
        return pesos(reporte.ganancias)

    @admin.display(description="ajustes", ordering="ajuste_ingresos")
    def ajuste_(self, reporte: ReporteSemanal) -> str:
        return pesos(reporte.ajuste_ingresos)

    @display(
        description="correo",
        ordering="envio",
        label={"por enviar": "info", "enviado": "success", "no se pudo enviar": "danger"},
    )
    def envio_(self, reporte: ReporteSemanal) -> str:
        return reporte.get_envio_display()
