"""Enrolment in the admin: the review queue, maestros and their credentials, the e-mails that are owed, users."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from axes.models import AccessAttempt
from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import F, Func, Model, QuerySet, Value
from django.db.models.functions import Lower
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from knox.models import AuthToken
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from inscripciones import credenciales, envios, formato, numeros, services
from inscripciones.models import Comprobante, Decision, Envio, Inscripcion, Maestro, Usuario
from inscripciones.reglas import REGLAS

MAXIMO_POR_VEZ: Final = 200  # what one page can show before it is decided
DIAS_DE_NUMEROS: Final = 30
EN_LA_HISTORIA: Final = "Queda en la historia, para el gremio."
SIMBOLOS: Final = {"pasa": "✓", "duda": "?", "repite": "=", "infringe": "✗"}

admin.site.unregister(
    AuthToken
)  # its page could make tokens that bypass the e-mail; a maestro's page has what is needed
admin.site.unregister(Group)


class SoloLectura(ModelAdmin):
    """Rows that only the services write."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class EstadoFilter(admin.SimpleListFilter):
    """What waits for a person, unless another state is asked for."""

    title = "estado"
    parameter_name = "estado"
    TODOS: Final = "todos"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [*((str(value), str(label)) for value, label in Inscripcion.Estado.choices), (self.TODOS, "todas")]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        for value, label in self.lookup_choices:
            query = changelist.get_query_string({self.parameter_name: value})
            yield {"selected": self._elegido == value, "query_string": query, "display": label}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Inscripcion]) -> QuerySet[Inscripcion]:
        return queryset if self._elegido == self.TODOS else queryset.filter(estado=self._elegido)

    @property
    def _elegido(self) -> str:
        return self.value() or str(Inscripcion.Estado.EN_REVISION)


class ReglaFilter(admin.SimpleListFilter):
    """Those of which a rule had something to say."""

    title = "regla que no pasó"
    parameter_name = "regla"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(regla.__name__, regla.__name__.replace("_", " ")) for regla in REGLAS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Inscripcion]) -> QuerySet[Inscripcion]:
        if not (regla := self.value()):
            return queryset
        return queryset.filter(veredictos__contains=[{"regla": regla}]).exclude(
            veredictos__contains=[{"regla": regla, "resultado": "pasa"}]
        )


class MotivoForm(forms.Form):
    """Why."""

    motivo = forms.CharField(label="Motivo", max_length=500, widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}))

    def __init__(self, *args: Any, obligatorio: bool, ayuda: str = EN_LA_HISTORIA, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["motivo"].required = obligatorio
        self.fields["motivo"].help_text = ayuda


class CorreoForm(MotivoForm):
    """The right address, and how one knows."""

    email = forms.EmailField(label="Correo correcto", max_length=254, widget=UnfoldAdminTextInputWidget)
    field_order = ["email", "motivo"]


@admin.register(Inscripcion)
class InscripcionAdmin(SoloLectura):
    """The review queue: Paid first, then by age."""

    list_display = ["nombre", "rut_", "via_", "comuna", "recibida", "estado_", "reglas"]
    list_filter = [EstadoFilter, "paid", ReglaFilter, "recibida_en", ("resuelta_por", admin.RelatedOnlyFieldListFilter)]
    search_fields = ["rut"]  # see get_search_results
    search_help_text = "RUT, nombre, correo o id"
    ordering = ["-paid", "recibida_en"]
    list_per_page = 50
    show_full_result_count = False
    list_before_template = "inscripciones/admin/cola.html"  # type: ignore[assignment]  # unfold says: None
    actions = ["aprobar_elegidas", "rechazar_elegidas"]
    actions_list = ["ver_numeros"]  # type: ignore[assignment]  # unfold says: empty tuple
    actions_detail = ["aprobar_una", "rechazar_una"]  # type: ignore[assignment]
    fieldsets = [
        ("Quién es", {"fields": ["nombre", "rut", "email", "telefono", "comuna"]}),
        ("El pago", {"fields": ["paid", "comprobante_pago"]}),
        ("Qué dijeron las reglas", {"fields": ["reglas"]}),
        ("La decisión", {"fields": ["estado", "unida_a", "motivo", "resuelta_por", "resuelta_en"]}),
        ("El formulario", {"fields": ["id", "recibida_en", "registrada_en"]}),
    ]
    readonly_fields = ["reglas"]

    # Who may

    def has_aprobar_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_view_permission(request) and request.user.has_perm("inscripciones.aprobar_inscripcion")

    def has_rechazar_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_view_permission(request) and request.user.has_perm("inscripciones.rechazar_inscripcion")

    # The list

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        contexto: dict[str, Any] = {"cola": numeros.en_espera(), **(extra_context or {})}
        return super().changelist_view(request, contexto)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Inscripcion], search_term: str
    ) -> tuple[QuerySet[Inscripcion], bool]:
        return buscar(queryset, search_term, "pk"), False

    @admin.display(description="RUT", ordering="rut")
    def rut_(self, fila: Inscripcion) -> SafeString:
        return format_html('<span class="whitespace-nowrap">{}</span>', fila.rut)

    @admin.display(description="recibida", ordering="recibida_en")
    def recibida(self, fila: Inscripcion) -> str:
        return f"{timezone.localtime(fila.recibida_en):%d-%m-%Y %H:%M}"

    @display(description="vía", label={"Paid": "warning", "Normal": "info"}, ordering="paid")
    def via_(self, fila: Inscripcion) -> str:
        return numeros.VIAS[fila.paid]

    @display(
        description="estado",
        ordering="estado",
        label={"en revisión": "info", "repetida": "warning", "aprobada": "success", "rechazada": "danger"},
    )
    def estado_(self, fila: Inscripcion) -> str:
        return fila.get_estado_display()

    @admin.display(description="reglas")
    def reglas(self, fila: Inscripcion) -> SafeString | str:
        """What did not pass, with its reason; all of it on the page of one."""
        con_razon = [(SIMBOLOS[v["resultado"]], v["razon"]) for v in fila.veredictos if v["razon"]]
        return format_html_join(SafeString("<br>"), "{} {}", con_razon) or "✓ todas pasan"

    # Deciding

    @admin.action(description="Aprobar", permissions=["aprobar"])
    def aprobar_elegidas(self, request: HttpRequest, queryset: QuerySet[Inscripcion]) -> HttpResponse | None:
        return self._decidir(request, queryset, "aprobar_elegidas", services.aprobar)

    @admin.action(description="Rechazar, con un motivo", permissions=["rechazar"])
    def rechazar_elegidas(self, request: HttpRequest, queryset: QuerySet[Inscripcion]) -> HttpResponse | None:
        return self._decidir(request, queryset, "rechazar_elegidas", services.rechazar)

    @action(description="Aprobar", permissions=["aprobar"], url_path="aprobar", icon="check")  # type: ignore[operator]
    def aprobar_una(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._decidir_una(request, object_id, "aprobar_elegidas", services.aprobar)

    @action(description="Rechazar", permissions=["rechazar"], url_path="rechazar", icon="close")  # type: ignore[operator]
    def rechazar_una(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._decidir_una(request, object_id, "rechazar_elegidas", services.rechazar)

    def _decidir_una(
        self, request: HttpRequest, object_id: str, accion: str, servicio: Callable[..., services.Resolucion]
    ) -> HttpResponse:
        queryset = Inscripcion.objects.filter(pk=object_id)
        answer = self._decidir(request, queryset, accion, servicio)
        return answer or redirect("admin:inscripciones_inscripcion_change", object_id)

    def _decidir(
        self,
        request: HttpRequest,
        queryset: QuerySet[Inscripcion],
        accion: str,
        servicio: Callable[..., services.Resolucion],
    ) -> HttpResponse | None:
        """The page that shows what is decided and asks why, until it is confirmed; None once it is done."""
        confirmado, rechaza = "confirmado" in request.POST, servicio is services.rechazar
        ayuda = "Lo lee quien postula, en su correo." if rechaza else f"Opcional. {EN_LA_HISTORIA}"
        form = MotivoForm(request.POST if confirmado else None, obligatorio=rechaza, ayuda=ayuda)
        if not form.is_valid():
            return self._confirmar(request, queryset, accion, form)
        # Those that the confirmation named: the list has lost what another reviewer decided meanwhile.
        elegidas = request.POST.getlist(ACTION_CHECKBOX_NAME) or queryset.values_list("pk", flat=True)
        motivo = form.cleaned_data["motivo"]
        resolucion = servicio(list(elegidas)[:MAXIMO_POR_VEZ], por=request.user, motivo=motivo, ahora=timezone.now())
        self._contar(request, resolucion, "aprobadas" if servicio is services.aprobar else "rechazadas")
        return None

    def _confirmar(
        self, request: HttpRequest, queryset: QuerySet[Inscripcion], accion: str, form: MotivoForm
    ) -> HttpResponse:
        pendientes = queryset.filter(estado__in=Inscripcion.PENDIENTES).order_by("-paid", "recibida_en")
        titulo = "Aprobar" if accion == "aprobar_elegidas" else "Rechazar"
        return self._pagina(
            request, "resolver.html", titulo, accion=accion, form=form, filas=list(pendientes[:MAXIMO_POR_VEZ])
        )

    def _contar(self, request: HttpRequest, resolucion: services.Resolucion, hechas: str) -> None:
        nivel = messages.WARNING if resolucion.omitidas else messages.SUCCESS
        hecho = f"Inscripciones {hechas}: {len(resolucion.resueltas)}."
        partes = [hecho if resolucion.resueltas else "Ninguna estaba por decidir: no se hizo nada."]
        partes += [f"{fila.nombre}: {razon}, no se hizo nada." for fila, razon in resolucion.omitidas[:10]]
        self.message_user(request, " ".join(partes), nivel)

    # Numbers

    @action(description="Números", permissions=["view"], url_path="numeros", icon="bar_chart")  # type: ignore[operator]
    def ver_numeros(self, request: HttpRequest) -> HttpResponse:
        dias = numeros.por_dia(hasta=timezone.localdate(), dias=DIAS_DE_NUMEROS)
        esperas = numeros.esperas(desde=timezone.now() - timedelta(days=DIAS_DE_NUMEROS))
        return self._pagina(
            request,
            "numeros.html",
            "Números de inscripciones",
            cola=numeros.en_espera(),
            grafico=numeros.grafico(dias),
            esperas=esperas,
            grafico_de_esperas=numeros.grafico_de_esperas(esperas),
        )

    def _pagina(self, request: HttpRequest, plantilla: str, titulo: str, **contexto: Any) -> HttpResponse:
        compartido = {**self.admin_site.each_context(request), "opts": self.opts, "title": titulo}
        return TemplateResponse(request, f"inscripciones/admin/{plantilla}", {**compartido, **contexto})


def buscar(queryset: QuerySet[Any], texto: str, id_field: str) -> QuerySet[Any]:
    """By RUT in any punctuation, by id, by e-mail, or by words of the name without case or accents."""
    texto = texto.strip()
    if not texto:
        return queryset
    if (rut := _o_nada(formato.rut, texto)) is not None:
        return queryset.filter(rut=rut)
    if (uuid := _o_nada(UUID, texto)) is not None:
        return queryset.filter(**{id_field: uuid})
    if "@" in texto:
        return queryset.filter(email__startswith=formato.email(texto))
    con, sin = "áéíóúüñ", "aeiouun"
    queryset = queryset.annotate(plano=Func(Lower("nombre"), Value(con), Value(sin), function="translate"))
    for palabra in texto.lower().translate(str.maketrans(con, sin)).split():
        queryset = queryset.filter(plano__contains=palabra)
    return queryset


def _o_nada(leer: Callable[[str], Any], texto: str) -> Any:
    try:
        return leer(texto)
    except ValueError:
        return None


@admin.register(Comprobante)
class ComprobanteAdmin(SoloLectura):
    """Payment receipts and who used each."""

    list_display = ["codigo", "inscripcion"]
    list_select_related = ["inscripcion"]
    search_fields = ["codigo"]


@admin.register(Decision)
class DecisionAdmin(SoloLectura):
    """Decisions that came back from Kafka before their forms, after a restore."""

    list_display = ["inscripcion_id", "estado", "decidida_en", "motivo"]
    list_filter = ["estado"]


def _permiso(codigo: str) -> Callable[..., bool]:
    """A `has_..._permission` of an admin: who may see the rows and has that permission."""

    def puede(self: ModelAdmin, request: HttpRequest, obj: Any = None) -> bool:
        return bool(self.has_view_permission(request) and request.user.has_perm(f"inscripciones.{codigo}"))

    return puede


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
    actions_detail = ["corregir_correo"]  # type: ignore[assignment]  # unfold says: empty tuple
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

    @action(  # type: ignore[operator]
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
                services.corregir_correo(maestro.pk, form.cleaned_data["email"], ahora=timezone.now())
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


@admin.register(Envio)
class EnvioAdmin(SoloLectura):
    """The e-mails that are owed: what was sent, what is being retried and why."""

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
        ids = list(queryset.values_list("pk", flat=True)[:MAXIMO_POR_VEZ])
        cuantos = envios.reintentar(ids, ahora=timezone.now())
        self.message_user(request, f"{cuantos} correos por enviar ahora.", messages.SUCCESS)


@admin.register(Usuario)
class UsuarioAdmin(UserAdmin, ModelAdmin):  # type: ignore[type-arg,misc]  # as unfold documents it
    """Staff and maestros; a maestro's user has no password."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["username", "first_name", "is_staff", "is_active", "last_login"]
    list_filter = ["is_staff", "is_superuser", "is_active", "groups"]


@admin.register(AccessAttempt)
class IntentoAdmin(SoloLectura):
    """Wrong passwords of late. Deleting a row opens that login again at once."""

    list_display = ["attempt_time", "username", "ip_address", "failures_since_start"]
    fields = ["attempt_time", "username", "ip_address", "user_agent", "failures_since_start"]
    search_fields = ["username", "ip_address"]

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.has_perm("axes.delete_accessattempt")


@admin.register(Group)
class GrupoAdmin(GroupAdmin, ModelAdmin):  # type: ignore[misc]  # as unfold documents it
    """Groups of permissions, such as Revisores."""
