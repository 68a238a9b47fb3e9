"""TODO."""

from collections.abc import Callable

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from knox.models import AuthToken
from unfold.decorators import action
from unfold.widgets import UnfoldAdminTextInputWidget

from inscripciones import credenciales, envios, revision
from inscripciones.admin.comun import SoloLectura, _permiso, buscar
from inscripciones.admin.inscripciones import MAXIMO_POR_VEZ, MotivoForm
from inscripciones.models import Maestro, Usuario


class CorreoForm(MotivoForm):
    """The right address, and how one knows."""

    email = forms.EmailField(label="Correo correcto", max_length=254, widget=UnfoldAdminTextInputWidget)
    field_order = ["email", "motivo"]


@admin.register(Maestro)
class MaestroAdmin(SoloLectura):
    """The members, and what staff can do about their credentials."""

    list_display = ["nombre", "rut", "comuna", "email", "aprobado_en", "activo"]
    list_filter = ["usuario__is_active", "aprobado_en", "comuna"]
    list_select_related = ["usuario"]
    search_fields = ["rut"]  # see buscar
    search_help_text = "RUT, nombre, correo o id de maestro"
    list_per_page = 50
    show_full_result_count = False
    actions = ["reenviar", "anular", "dar_de_baja", "reactivar"]
    actions_detail = ["corregir_correo"]
    fieldsets = [
        ("Quién es", {"fields": ["nombre", "rut", "email", "telefono", "comuna"]}),
        ("En el gremio", {"fields": ["id", "inscripcion", "aprobado_en", "activo", "su_token"]}),
    ]
    readonly_fields = ["activo", "su_token"]

    has_reenviar_permission = _permiso("reenviar_credenciales")
    has_anular_permission = _permiso("anular_credenciales")
    has_dar_de_baja_permission = _permiso("dar_de_baja_maestro")
    has_reactivar_permission = _permiso("reactivar_maestro")
    has_corregir_permission = _permiso("corregir_correo")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Maestro], search_term: str
    ) -> tuple[QuerySet[Maestro], bool]:
        return buscar(queryset, search_term, "pk"), False

    @admin.display(description="activo", boolean=True, ordering="usuario__is_active")
    def activo(self, maestro: Maestro) -> bool:
        return maestro.usuario.is_active

    @admin.display(description="su token")
    def su_token(self, maestro: Maestro) -> str:
        token = AuthToken.objects.filter(user=maestro.usuario).order_by("-created").first()
        return f"Creado el {timezone.localtime(token.created):%d-%m-%Y %H:%M}" if token else "No tiene"

    @admin.action(description="Reenviar credenciales (el token anterior deja de servir)", permissions=["reenviar"])
    def reenviar(self, request: HttpRequest, queryset: QuerySet[Maestro]) -> None:
        for maestro in queryset[:MAXIMO_POR_VEZ]:
            if envios.reenviar_credenciales(maestro.inscripcion_id, ahora=timezone.now()):
                self.log_change(request, maestro, "Credenciales reenviadas.")
                self.message_user(request, f"{maestro}: las credenciales van en camino.", messages.SUCCESS)
            else:
                self.message_user(request, f"{maestro} está de baja: no se le envía nada.", messages.WARNING)

    @admin.action(description="Anular el token", permissions=["anular"])
    def anular(self, request: HttpRequest, queryset: QuerySet[Maestro]) -> None:
        self._por_cada_una(request, queryset, credenciales.revocar, "Token anulado.")

    @admin.action(description="Dar de baja del gremio, con un motivo", permissions=["dar_de_baja"])
    def dar_de_baja(self, request: HttpRequest, queryset: QuerySet[Maestro]) -> HttpResponse | None:
        form = MotivoForm(request.POST if "confirmado" in request.POST else None, obligatorio=True)
        if not form.is_valid():
            maestros = list(queryset[:MAXIMO_POR_VEZ])
            return self._preguntar(request, "Dar de baja del gremio", maestros, form, accion="dar_de_baja")
        nota = f"Dado de baja. {form.cleaned_data['motivo']}"
        self._por_cada_una(request, queryset, credenciales.dar_de_baja, nota)
        return None

    @action(
        description="Corregir correo y reenviar credenciales",
        permissions=["corregir"],
        url_path="corregir-correo",
        icon="edit",
    )
    def corregir_correo(self, request: HttpRequest, object_id: str) -> HttpResponse:
        maestro = get_object_or_404(Maestro, pk=object_id)
        form = CorreoForm(request.POST or None, obligatorio=True)
        if form.is_valid() and self._corregido(request, maestro, form):
            return redirect("admin:inscripciones_maestro_change", object_id)
        return self._preguntar(request, "Corregir correo y reenviar credenciales", [maestro], form)

    def _corregido(self, request: HttpRequest, maestro: Maestro, form: CorreoForm) -> bool:
        nota = f"Correo corregido: era {maestro.email}. {form.cleaned_data['motivo']}"
        try:
            with transaction.atomic():
                revision.corregir_correo(maestro.pk, form.cleaned_data["email"], ahora=timezone.now())
                self.log_change(request, maestro, nota)
        except ValueError as error:
            form.add_error("email", str(error))
            return False
        self.message_user(request, "Correo corregido: las credenciales van en camino.", messages.SUCCESS)
        return True

    def _preguntar(
        self, request: HttpRequest, titulo: str, maestros: list[Maestro], form: MotivoForm, accion: str = ""
    ) -> HttpResponse:
        contexto = {**self.admin_site.each_context(request), "opts": self.opts, "title": titulo}
        contexto |= {"maestros": maestros, "form": form, "accion": accion}
        return TemplateResponse(request, "inscripciones/admin/maestros.html", contexto)

    @admin.action(description="Reactivar en el gremio", permissions=["reactivar"])
    def reactivar(self, request: HttpRequest, queryset: QuerySet[Maestro]) -> None:
        self._por_cada_una(request, queryset, credenciales.reactivar, "Reactivado.")

    def _por_cada_una(
        self, request: HttpRequest, queryset: QuerySet[Maestro], hacer: Callable[[Usuario], None], nota: str
    ) -> None:
        with transaction.atomic():
            for maestro in queryset.select_related("usuario")[:MAXIMO_POR_VEZ]:
                hacer(maestro.usuario)
                self.log_change(request, maestro, nota)
        self.message_user(request, nota, messages.SUCCESS)
