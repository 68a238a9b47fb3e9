"""The weekly reports in the admin: to read, to export, and to send again."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from import_export.admin import ExportActionModelAdmin
from import_export.formats.base_formats import XLSX
from unfold.contrib.import_export.forms import SelectableFieldsExportForm
from unfold.decorators import display

from gremio.formats import pesos
from ventas.admin.export import ChileanCSV, ReporteResource
from ventas.admin.maestro_rows import MaestroRowsAdmin
from ventas.models import ReporteSemanal
from ventas.semanas import mailer
from ventas.tasks import hint_sending


@admin.register(ReporteSemanal)
class ReporteSemanalAdmin(ExportActionModelAdmin, MaestroRowsAdmin):  # type: ignore[misc]  # neither knows of the other
    """The totals of each maestro, the state of the e-mail, and the mail server's last answer."""

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
    formats = [ChileanCSV, XLSX]
    export_form_class = SelectableFieldsExportForm

    def has_reenviar_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_view_permission(request) and request.user.has_perm("ventas.reenviar_reporte")

    def has_export_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may export: anyone with view permission may."""
        return bool(self.has_view_permission(request))

    @admin.action(description="Enviar de nuevo el correo", permissions=["reenviar"])
    def reenviar(self, request: HttpRequest, elegidos: QuerySet[ReporteSemanal]) -> None:
        """Send the e-mails again, sent ones too, as new messages."""
        cuantos = mailer.reenviar(ReporteSemanal.objects.filter(pk__in=list(elegidos.values_list("pk", flat=True))))
        for reporte in elegidos[:1_000]:
            self.log_change(request, reporte, "Correo por enviar de nuevo")
        hint_sending()
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
        label={
            "por enviar": "info",
            "enviándose": "info",
            "enviado": "success",
            "no se pudo enviar": "danger",
            "no lo quiere": "info",
        },
    )
    def envio_(self, reporte: ReporteSemanal) -> str:
        return reporte.get_envio_display()
