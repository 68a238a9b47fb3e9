"""The admin's page of maestros: their credentials, their address, leaving and coming back."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from unfold.decorators import action
from unfold.widgets import UnfoldAdminTextInputWidget

from gremio.clock import database_now
from gremio.lectura.form_fields import CorreoField
from inscripciones import credenciales, maestros
from inscripciones.admin.confirmation import MAX_AT_ONCE, MotivoForm
from inscripciones.admin.search import search_people
from inscripciones.correos import envios
from inscripciones.models import Maestro, Usuario
from kafka_bridge.admin_base import ReadOnlyAdmin


class CorreoForm(MotivoForm):
    """The right e-mail address, and how staff learned it."""

    email = CorreoField(label="Correo correcto", max_length=254, widget=UnfoldAdminTextInputWidget)
    field_order = ["email", "motivo"]


def _requires(codename: str) -> Callable[..., bool]:
    """Return a `has_..._permission` that demands the permission, and the one to view the page."""

    def is_allowed(self: ReadOnlyAdmin, request: HttpRequest, obj: Any = None) -> bool:
        return bool(self.has_view_permission(request) and request.user.has_perm(f"inscripciones.{codename}"))

    return is_allowed


@admin.register(Maestro)
class MaestroAdmin(ReadOnlyAdmin):
    """The members of the guild, and what staff can do about their credentials."""

    list_display = ["nombre", "rut", "comuna", "email", "aprobado_en", "activo"]
    list_filter = ["usuario__is_active", "aprobado_en"]
    list_select_related = ["usuario"]
    # Shows the search box; get_search_results decides what it finds.
    search_fields = ["rut"]
    search_help_text = "RUT, nombre, comuna, correo o id de maestro"
    list_per_page = 50
    show_full_result_count = False
    actions = ["reenviar", "anular", "dar_de_baja", "reactivar"]
    actions_detail = ["corregir_correo"]
    fieldsets = [
        ("Quién es", {"fields": ["nombre", "rut", "email", "telefono", "comuna"]}),
        ("En el gremio", {"fields": ["id", "aprobado_en", "activo"]}),
    ]
    readonly_fields = ["activo"]

    has_reenviar_permission = _requires("reenviar_credenciales")
    has_anular_permission = _requires("anular_credenciales")
    has_dar_de_baja_permission = _requires("dar_de_baja_maestro")
    has_reactivar_permission = _requires("reactivar_maestro")
    has_corregir_permission = _requires("corregir_correo")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Maestro], search_term: str
    ) -> tuple[QuerySet[Maestro], bool]:
        return search_people(queryset, search_term), False

    @admin.display(description="activo", boolean=True, ordering="usuario__is_active")
    def activo(self, maestro: Maestro) -> bool:
        return maestro.usuario.is_active

    @admin.action(description="Reenviar credenciales (el token anterior deja de servir)", permissions=["reenviar"])
    def reenviar(self, request: HttpRequest, queryset: QuerySet[Maestro]) -> None:
        for maestro in queryset[:MAX_AT_ONCE]:
            if envios.reenviar_credenciales(maestro.inscripcion_id, ahora=database_now()):
                self.log_change(request, maestro, "Credenciales reenviadas.")
                self.message_user(request, f"{maestro}: las credenciales van en camino.", messages.SUCCESS)
            else:
                self.message_user(request, f"{maestro} está de baja: no se le envía nada.", messages.WARNING)

    @admin.action(description="Anular el token", permissions=["anular"])
    def anular(self, request: HttpRequest, queryset: QuerySet[Maestro]) -> None:
        self._change_each(request, queryset, credenciales.revocar, "Token anulado.")

    @admin.action(description="Dar de baja del gremio, con un motivo", permissions=["dar_de_baja"])
    def dar_de_baja(self, request: HttpRequest, queryset: QuerySet[Maestro]) -> HttpResponse | None:
        form = MotivoForm(request.POST if "confirmado" in request.POST else None, required=True)
        if not form.is_valid():
            elegidos = list(queryset[:MAX_AT_ONCE])
            return self._ask(request, "Dar de baja del gremio", elegidos, form, accion="dar_de_baja")
        note = f"Dado de baja. {form.cleaned_data['motivo']}"
        self._change_each(request, queryset, maestros.dar_de_baja, note)
        return None

    @admin.action(description="Reactivar en el gremio", permissions=["reactivar"])
    def reactivar(self, request: HttpRequest, queryset: QuerySet[Maestro]) -> None:
        self._change_each(request, queryset, maestros.reactivar, "Reactivado.")

    @action(
        description="Corregir correo y reenviar credenciales",
        permissions=["corregir"],
        url_path="corregir-correo",
        icon="edit",
    )
    def corregir_correo(self, request: HttpRequest, object_id: str) -> HttpResponse:
        maestro = get_object_or_404(Maestro, pk=object_id)
        form = CorreoForm(request.POST or None, required=True, obj=maestro)
        if form.is_valid() and self._correct(request, maestro, form):
            return redirect("admin:inscripciones_maestro_change", object_id)
        return self._ask(request, "Corregir correo y reenviar credenciales", [maestro], form)

    def _correct(self, request: HttpRequest, maestro: Maestro, form: CorreoForm) -> bool:
        """Correct the address.

        If it is another's, or the maestro was changed since the page was opened, put the error into
        the form and return False.
        """
        try:
            with transaction.atomic():
                before = Maestro.objects.select_for_update(of=("self",)).get(pk=maestro.pk).email
                if not form.check_seen(maestro):
                    return False
                maestros.corregir_correo(maestro.pk, form.cleaned_data["email"], ahora=database_now())
                after = Maestro.objects.get(pk=maestro.pk).email
                note = f"Correo corregido: era {before}, ahora es {after}. {form.cleaned_data['motivo']}"
                self.log_change(request, maestro, note)
        except ValueError as error:
            form.add_error("email", str(error))
            return False
        self.message_user(request, "Correo corregido: las credenciales van en camino.", messages.SUCCESS)
        return True

    def _ask(
        self, request: HttpRequest, title: str, elegidos: list[Maestro], form: MotivoForm, accion: str = ""
    ) -> HttpResponse:
        return self.render_page(
            request, "inscripciones/admin/maestros.html", title, maestros=elegidos, form=form, accion=accion
        )

    def _change_each(
        self, request: HttpRequest, queryset: QuerySet[Maestro], change: Callable[[Usuario], None], note: str
    ) -> None:
        """Change all of them or none, with a note in each one's history."""
        with transaction.atomic():
            for maestro in queryset.select_related("usuario")[:MAX_AT_ONCE]:
                change(maestro.usuario)
                self.log_change(request, maestro, note)
        self.message_user(request, note, messages.SUCCESS)
