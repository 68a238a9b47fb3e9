"""TODO."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Final

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextareaWidget

from inscripciones import reports, revision
from inscripciones.admin.comun import SoloLectura, buscar
from inscripciones.models import Comprobante, Decision, Inscripcion
from inscripciones.reglas import REGLAS

MAXIMO_POR_VEZ: Final = 200  # what one page can show before it is decided
DIAS_DE_NUMEROS: Final = 30
EN_LA_HISTORIA: Final = "Queda en la historia, para el gremio."
SIMBOLOS: Final = {"pasa": "✓", "duda": "?", "repite": "=", "infringe": "✗"}


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
    list_before_template = "inscripciones/admin/cola.html"
    actions = ["aprobar_elegidas", "rechazar_elegidas"]
    actions_list = ["ver_numeros"]
    actions_detail = ["aprobar_una", "rechazar_una"]
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
        contexto: dict[str, Any] = {"cola": reports.en_espera(), **(extra_context or {})}
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
        return reports.VIAS[fila.paid]

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
        return self._decidir(request, queryset, "aprobar_elegidas", revision.aprobar)

    @admin.action(description="Rechazar, con un motivo", permissions=["rechazar"])
    def rechazar_elegidas(self, request: HttpRequest, queryset: QuerySet[Inscripcion]) -> HttpResponse | None:
        return self._decidir(request, queryset, "rechazar_elegidas", revision.rechazar)

    @action(description="Aprobar", permissions=["aprobar"], url_path="aprobar", icon="check")
    def aprobar_una(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._decidir_una(request, object_id, "aprobar_elegidas", revision.aprobar)

    @action(description="Rechazar", permissions=["rechazar"], url_path="rechazar", icon="close")
    def rechazar_una(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._decidir_una(request, object_id, "rechazar_elegidas", revision.rechazar)

    def _decidir_una(
        self, request: HttpRequest, object_id: str, accion: str, servicio: Callable[..., revision.Resolucion]
    ) -> HttpResponse:
        queryset = Inscripcion.objects.filter(pk=object_id)
        answer = self._decidir(request, queryset, accion, servicio)
        return answer or redirect("admin:inscripciones_inscripcion_change", object_id)

    def _decidir(
        self,
        request: HttpRequest,
        queryset: QuerySet[Inscripcion],
        accion: str,
        servicio: Callable[..., revision.Resolucion],
    ) -> HttpResponse | None:
        """The page that shows what is decided and asks why, until it is confirmed; None once it is done."""
        confirmado, rechaza = "confirmado" in request.POST, servicio is revision.rechazar
        ayuda = "Lo lee quien postula, en su correo." if rechaza else f"Opcional. {EN_LA_HISTORIA}"
        form = MotivoForm(request.POST if confirmado else None, obligatorio=rechaza, ayuda=ayuda)
        if not form.is_valid():
            return self._confirmar(request, queryset, accion, form)
        # Those that the confirmation named: the list has lost what another reviewer decided meanwhile.
        elegidas = request.POST.getlist(ACTION_CHECKBOX_NAME) or queryset.values_list("pk", flat=True)
        motivo = form.cleaned_data["motivo"]
        resolucion = servicio(list(elegidas)[:MAXIMO_POR_VEZ], por=request.user, motivo=motivo, ahora=timezone.now())
        self._contar(request, resolucion, "aprobadas" if servicio is revision.aprobar else "rechazadas")
        return None

    def _confirmar(
        self, request: HttpRequest, queryset: QuerySet[Inscripcion], accion: str, form: MotivoForm
    ) -> HttpResponse:
        pendientes = queryset.filter(estado__in=Inscripcion.PENDIENTES).order_by("-paid", "recibida_en")
        titulo = "Aprobar" if accion == "aprobar_elegidas" else "Rechazar"
        return self._pagina(
            request, "resolver.html", titulo, accion=accion, form=form, filas=list(pendientes[:MAXIMO_POR_VEZ])
        )

    def _contar(self, request: HttpRequest, resolucion: revision.Resolucion, hechas: str) -> None:
        nivel = messages.WARNING if resolucion.omitidas else messages.SUCCESS
        hecho = f"Inscripciones {hechas}: {len(resolucion.resueltas)}."
        partes = [hecho if resolucion.resueltas else "Ninguna estaba por decidir: no se hizo nada."]
        partes += [f"{fila.nombre}: {razon}, no se hizo nada." for fila, razon in resolucion.omitidas[:10]]
        self.message_user(request, " ".join(partes), nivel)

    # Numbers

    @action(description="Números", permissions=["view"], url_path="numeros", icon="bar_chart")
    def ver_numeros(self, request: HttpRequest) -> HttpResponse:
        dias = reports.por_dia(hasta=timezone.localdate(), dias=DIAS_DE_NUMEROS)
        esperas = reports.esperas(desde=timezone.now() - timedelta(days=DIAS_DE_NUMEROS))
        return self._pagina(
            request,
            "numeros.html",
            "Números de inscripciones",
            cola=reports.en_espera(),
            grafico=reports.grafico(dias),
            esperas=esperas,
            grafico_de_esperas=reports.grafico_de_esperas(esperas),
        )

    def _pagina(self, request: HttpRequest, plantilla: str, titulo: str, **contexto: Any) -> HttpResponse:
        compartido = {**self.admin_site.each_context(request), "opts": self.opts, "title": titulo}
        return TemplateResponse(request, f"inscripciones/admin/{plantilla}", {**compartido, **contexto})


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
