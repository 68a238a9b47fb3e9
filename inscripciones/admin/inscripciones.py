"""The admin's page of enrolments: the review queue, the decisions, and the figures."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Final

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

from gremio.admin_forms import CleanSearch
from inscripciones import reports
from inscripciones.admin.confirmation import FOR_THE_HISTORY, MAX_AT_ONCE, MotivoForm
from inscripciones.admin.search import search_people
from inscripciones.formulario.normalizacion import clave_de_comprobante
from inscripciones.formulario.reglas import REGLAS
from inscripciones.models import Comprobante, Decision, Inscripcion
from inscripciones.tramite import revision
from kafka_bridge.admin_base import ReadOnlyAdmin

DAYS_OF_FIGURES: Final = 30
SYMBOLS: Final = {"pasa": "✓", "duda": "?", "repite": "=", "infringe": "✗"}


class EstadoFilter(admin.SimpleListFilter):
    """A filter by state, which shows what waits for a person unless another state is chosen."""

    title = "estado"
    parameter_name = "estado"
    ALL: Final = "todos"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [*((str(value), str(label)) for value, label in Inscripcion.Estado.choices), (self.ALL, "todas")]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        for value, label in self.lookup_choices:
            query = changelist.get_query_string({self.parameter_name: value})
            yield {"selected": self._chosen == value, "query_string": query, "display": label}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Inscripcion]) -> QuerySet[Inscripcion]:
        return queryset if self._chosen == self.ALL else queryset.filter(estado=self._chosen)

    @property
    def _chosen(self) -> str:
        return self.value() or str(Inscripcion.Estado.EN_REVISION)


class ReglaFilter(admin.SimpleListFilter):
    """A filter by a rule that the enrolment did not pass."""

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


@admin.register(Inscripcion)
class InscripcionAdmin(ReadOnlyAdmin):
    """The review queue: Paid first, then by age."""

    list_display = ["nombre", "rut_", "via_", "comuna", "recibida", "estado_", "reglas"]
    list_filter = [EstadoFilter, "paid", ReglaFilter, "recibida_en", ("resuelta_por", admin.RelatedOnlyFieldListFilter)]
    # Shows the search box; get_search_results decides what it finds.
    search_fields = ["rut"]
    search_help_text = "RUT, nombre, comuna, correo o id"
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

    def has_aprobar_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_view_permission(request) and request.user.has_perm("inscripciones.aprobar_inscripcion")

    def has_rechazar_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_view_permission(request) and request.user.has_perm("inscripciones.rechazar_inscripcion")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        context: dict[str, Any] = {"cola": reports.en_espera(), **(extra_context or {})}
        return super().changelist_view(request, context)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Inscripcion], search_term: str
    ) -> tuple[QuerySet[Inscripcion], bool]:
        return search_people(queryset, search_term), False

    @admin.display(description="RUT", ordering="rut")
    def rut_(self, fila: Inscripcion) -> SafeString:
        return format_html('<span class="whitespace-nowrap">{}</span>', fila.rut)

    @admin.display(description="recibida", ordering="recibida_en")
    def recibida(self, fila: Inscripcion) -> str:
        return f"{timezone.localtime(fila.recibida_en):%d-%m-%Y %H:%M}"

    @display(description="vía", label={"Paid": "warning", "Normal": "info"}, ordering="paid")
    def via_(self, fila: Inscripcion) -> str:
        return reports.LANE_NAMES[fila.paid]

    @display(
        description="estado",
        ordering="estado",
        label={"en revisión": "info", "repetida": "warning", "aprobada": "success", "rechazada": "danger"},
    )
    def estado_(self, fila: Inscripcion) -> str:
        return fila.get_estado_display()

    @admin.display(description="reglas")
    def reglas(self, fila: Inscripcion) -> SafeString | str:
        """Show the rules that did not pass, with their reasons."""
        reasons = [(SYMBOLS[v["resultado"]], v["razon"]) for v in fila.veredictos if v["razon"]]
        return format_html_join(SafeString("<br>"), "{} {}", reasons) or "✓ todas pasan"

    @admin.action(description="Aprobar", permissions=["aprobar"])
    def aprobar_elegidas(self, request: HttpRequest, queryset: QuerySet[Inscripcion]) -> HttpResponse | None:
        return self._decide(request, queryset, "aprobar_elegidas", revision.aprobar)

    @admin.action(description="Rechazar, con un motivo", permissions=["rechazar"])
    def rechazar_elegidas(self, request: HttpRequest, queryset: QuerySet[Inscripcion]) -> HttpResponse | None:
        return self._decide(request, queryset, "rechazar_elegidas", revision.rechazar)

    @action(description="Aprobar", permissions=["aprobar"], url_path="aprobar", icon="check")
    def aprobar_una(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._decide_one(request, object_id, "aprobar_elegidas", revision.aprobar)

    @action(description="Rechazar", permissions=["rechazar"], url_path="rechazar", icon="close")
    def rechazar_una(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._decide_one(request, object_id, "rechazar_elegidas", revision.rechazar)

    @action(description="Números", permissions=["view"], url_path="numeros", icon="bar_chart")
    def ver_numeros(self, request: HttpRequest) -> HttpResponse:
        dias = reports.por_dia(hasta=timezone.localdate(), dias=DAYS_OF_FIGURES)
        esperas = reports.esperas(desde=timezone.now() - timedelta(days=DAYS_OF_FIGURES))
        return self.render_page(
            request,
            "inscripciones/admin/numeros.html",
            "Números de inscripciones",
            cola=reports.en_espera(),
            grafico=reports.grafico(dias),
            esperas=esperas,
            grafico_de_esperas=reports.grafico_de_esperas(esperas),
        )

    def _decide_one(
        self, request: HttpRequest, object_id: str, accion: str, service: Callable[..., revision.Resolucion]
    ) -> HttpResponse:
        queryset = Inscripcion.objects.filter(pk=object_id)
        answer = self._decide(request, queryset, accion, service)
        return answer or redirect("admin:inscripciones_inscripcion_change", object_id)

    def _decide(
        self,
        request: HttpRequest,
        queryset: QuerySet[Inscripcion],
        accion: str,
        service: Callable[..., revision.Resolucion],
    ) -> HttpResponse | None:
        """Return the page that asks for the reason; once confirmed, decide and return None."""
        confirmed, rejects = "confirmado" in request.POST, service is revision.rechazar
        help_text = "Lo lee quien postula, en su correo." if rejects else f"Opcional. {FOR_THE_HISTORY}"
        form = MotivoForm(request.POST if confirmed else None, required=rejects, help_text=help_text)
        if not form.is_valid():
            return self._confirmation(request, queryset, accion, form)
        # The rows that the confirmation named: the list lacks those that another reviewer decided
        # meanwhile.
        elegidas = request.POST.getlist(ACTION_CHECKBOX_NAME) or queryset.values_list("pk", flat=True)
        motivo = form.cleaned_data["motivo"]
        resolucion = service(list(elegidas)[:MAX_AT_ONCE], por=request.user, motivo=motivo, ahora=timezone.now())
        self._report(request, resolucion, "rechazadas" if rejects else "aprobadas")
        return None

    def _confirmation(
        self, request: HttpRequest, queryset: QuerySet[Inscripcion], accion: str, form: MotivoForm
    ) -> HttpResponse:
        pendientes = queryset.filter(estado__in=Inscripcion.PENDIENTES).order_by("-paid", "recibida_en")
        title = "Aprobar" if accion == "aprobar_elegidas" else "Rechazar"
        filas = list(pendientes[:MAX_AT_ONCE])
        return self.render_page(
            request, "inscripciones/admin/resolver.html", title, accion=accion, form=form, filas=filas
        )

    def _report(self, request: HttpRequest, resolucion: revision.Resolucion, done: str) -> None:
        """Show the user how many were decided, and why up to ten others were not."""
        level = messages.WARNING if resolucion.omitidas else messages.SUCCESS
        if resolucion.resueltas:
            sentences = [f"Inscripciones {done}: {len(resolucion.resueltas)}."]
        else:
            sentences = ["Ninguna estaba por decidir: no se hizo nada."]
        sentences += [f"{fila.nombre}: {razon}, no se hizo nada." for fila, razon in resolucion.omitidas[:10]]
        self.message_user(request, " ".join(sentences), level)


@admin.register(Comprobante)
class ComprobanteAdmin(CleanSearch, ReadOnlyAdmin):
    """Payment receipts, each with the enrolment that used it."""

    list_display = ["codigo", "inscripcion"]
    list_select_related = ["inscripcion"]
    search_fields = ["codigo"]

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Comprobante], search_term: str) -> Any:
        """Search a code as people copy it: `TRX-000123` is stored as `TRX000123`."""
        return super().get_search_results(request, queryset, clave_de_comprobante(search_term))


@admin.register(Decision)
class DecisionAdmin(ReadOnlyAdmin):
    """Decisions that came back from Kafka before their forms, after a restore."""

    list_display = ["inscripcion_id", "estado", "decidida_en", "motivo"]
    list_filter = ["estado"]
