"""The admin's page of e-mails to send."""

from django.contrib import admin, messages
from django.db.models import F, QuerySet
from django.http import HttpRequest

from gremio.admin_forms import CleanSearch
from gremio.clock import database_now
from inscripciones.admin.confirmation import MAX_AT_ONCE
from inscripciones.correos import envios
from inscripciones.models import Envio
from kafka_bridge.admin_base import ReadOnlyAdmin


@admin.register(Envio)
class EnvioAdmin(CleanSearch, ReadOnlyAdmin):
    """E-mails: unsent ones first, with the reason why the last attempt failed."""

    list_display = ["inscripcion", "tipo", "estado", "intentos", "proximo_intento", "ultimo_error", "enviado_en"]
    list_filter = ["estado", "tipo", "creado_en"]
    list_select_related = ["inscripcion"]
    search_fields = ["message_id"]
    search_help_text = "Message-ID"
    ordering = [F("enviado_en").desc(nulls_first=True), "proximo_intento"]
    list_per_page = 50
    show_full_result_count = False
    actions = ["reintentar"]

    def has_reintentar_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("inscripciones.change_envio")

    @admin.action(description="Intentar enviarlos ahora", permissions=["reintentar"])
    def reintentar(self, request: HttpRequest, queryset: QuerySet[Envio]) -> None:
        ids = list(queryset.values_list("pk", flat=True)[:MAX_AT_ONCE])
        count = envios.reintentar(ids, ahora=database_now())
        self.message_user(request, f"{count} correos por enviar ahora.", messages.SUCCESS)
