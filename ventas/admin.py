"""The accounts in the admin: the catalogue to edit; sales, weeks and reports to read, export and send again."""

from decimal import Decimal
from typing import Any, ClassVar, Final

from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.db.models import Count, F, Model, OuterRef, Q, QuerySet, Subquery, Sum
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.functional import cached_property
from import_export.admin import ExportActionModelAdmin
from import_export.formats.base_formats import CSV, XLSX
from unfold.admin import ModelAdmin, TabularInline
from unfold.contrib.import_export.forms import SelectableFieldsExportForm
from unfold.decorators import display
from unfold.views import ChangeList

from ventas import envios, reports, semanas
from ventas.exportar import ReporteResource
from ventas.graficos import barras
from ventas.models import (
    Anulacion,
    Cuenta,
    Insumo,
    Producto,
    Receta,
    ReporteSemanal,
    Semana,
    Venta,
    costo_de,
)
from ventas.tasks import insinuar_envio
from ventas.templatetags.pesos import miles, pesos

SEMANAS_DEL_GRAFICO: Final = 12
SE_CUENTAN: Final = 10_000
NOMBRE: Final = Subquery(Cuenta.objects.filter(maestro_id=OuterRef("maestro_id")).values("nombre")[:1])


class SoloLectura(ModelAdmin):
    """Rows that only the services write."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


# The catalogue


class RecetaInline(TabularInline):
    """The recipe, on its product's page."""

    model = Receta
    extra = 0
    autocomplete_fields = ["insumo"]


class CatalogoAdmin(ModelAdmin):
    """Codes are in past sales: they never change, and nothing is deleted."""

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return ("codigo",) if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Producto)
class ProductoAdmin(CatalogoAdmin):
    """Prices and recipes; they count for sales accepted a few seconds after the edit."""

    list_display = ["nombre", "codigo", "precio_", "costo_", "ganancia_", "activo"]
    list_filter = ["activo"]
    search_fields = ["codigo", "nombre"]
    inlines: ClassVar = [RecetaInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Producto]:
        queryset: QuerySet[Producto] = super().get_queryset(request)
        return queryset.prefetch_related("receta__insumo")

    @admin.display(description="precio", ordering="precio")
    def precio_(self, producto: Producto) -> str:
        return pesos(producto.precio)

    @admin.display(description="costo")
    def costo_(self, producto: Producto) -> str:
        return pesos(costo_de(producto.receta.all()))

    @admin.display(description="ganancia")
    def ganancia_(self, producto: Producto) -> str:
        return pesos(producto.precio - costo_de(producto.receta.all()))


@admin.register(Insumo)
class InsumoAdmin(CatalogoAdmin):
    """Ingredients and what they cost."""

    list_display = ["nombre", "codigo", "unidad", "costo_"]
    search_fields = ["codigo", "nombre"]

    @admin.display(description="costo por unidad", ordering="costo")
    def costo_(self, insumo: Insumo) -> str:
        return f"${insumo.costo.quantize(Decimal('0.01'))}".replace(".", ",")


# The ledger


class CuentaAcotada(Paginator):  # type: ignore[type-arg]  # Django's takes none
    """Counts up to a limit, and pages so far: a week may have a million sales, which filters and searches narrow."""

    @cached_property
    def count(self) -> int:
        return int(self.object_list.order_by()[:SE_CUENTAN].count())  # type: ignore[attr-defined]  # a queryset


class SemanaFilter(admin.SimpleListFilter):
    """The sales of one accounting week, by default the current one: the ledger is too long to be sorted whole."""

    title = "semana contable"
    parameter_name = "semana"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(semana), str(semana)) for semana in Semana.objects.all()[:60]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Venta]) -> QuerySet[Venta]:
        try:
            lunes = semanas.lunes_de_codigo(self.value() or "")
        except ValueError:
            lunes = semanas.semana_de(timezone.now())
        return queryset.filter(**{"semana_anulacion" if AsientoFilter.anuladas(request) else "semana_contable": lunes})


class AsientoFilter(admin.SimpleListFilter):
    """What the week counts, or what it takes back. Both at once would read the whole ledger (ADR 11)."""

    title = "asiento"
    parameter_name = "asiento"

    @classmethod
    def anuladas(cls, request: HttpRequest) -> bool:
        return request.GET.get(cls.parameter_name) == "anuladas"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("anuladas", "descontadas en la semana")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Venta]) -> QuerySet[Venta]:
        return queryset  # the week's filter asks which


class ProductoFilter(admin.SimpleListFilter):
    """By the catalogue's codes: those of the ledger would take reading it whole."""

    title = "producto"
    parameter_name = "producto"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(producto.codigo, producto.nombre) for producto in Producto.objects.all()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Venta]) -> QuerySet[Venta]:
        return queryset.filter(producto=self.value()) if self.value() else queryset


class DeUnMaestro(SoloLectura):
    """Rows of maestros, shown and searched by their name."""

    search_fields = ["maestro_id"]  # see get_search_results
    search_help_text = "Nombre o correo del maestro"
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        queryset: QuerySet[Any] = super().get_queryset(request).annotate(nombre_maestro=NOMBRE)
        return queryset

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term:
            return queryset, False
        cuentas = Cuenta.objects.filter(Q(nombre__icontains=search_term) | Q(email__icontains=search_term))
        return queryset.filter(maestro_id__in=cuentas.values("maestro_id")), False

    @admin.display(description="maestro")
    def maestro(self, fila: Any) -> str:
        return fila.nombre_maestro or str(fila.maestro_id)


@admin.register(Venta)
class VentaAdmin(DeUnMaestro):
    """The ledger: nothing in it is ever edited or deleted."""

    list_display = ["vendida_en", "maestro", "producto", "cantidad", "ingresos_", "ganancias_", "semana_", "anulada_en"]
    list_filter = [SemanaFilter, AsientoFilter, ProductoFilter]
    paginator = CuentaAcotada
    list_per_page = 50

    @admin.display(description="ingresos")
    def ingresos_(self, venta: Venta) -> str:
        return pesos(venta.ingresos)

    @admin.display(description="ganancias")
    def ganancias_(self, venta: Venta) -> str:
        return pesos(venta.ganancias)

    @admin.display(description="semana")
    def semana_(self, venta: Venta) -> str:
        return semanas.codigo(venta.semana_contable)


@admin.register(Anulacion)
class AnulacionAdmin(DeUnMaestro):
    """Sales taken back; one that is not applied waits for its sale."""

    list_display = ["anulada_en", "maestro", "venta_id", "motivo", "aplicada"]
    list_filter = ["aplicada"]


@admin.register(Cuenta)
class CuentaAdmin(SoloLectura):
    """Whom the weeks are written to."""

    list_display = ["nombre", "email", "abierta_en"]
    search_fields = ["nombre", "email"]


# The weeks


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
    list_before_template = "ventas/admin/semanas.html"  # type: ignore[assignment]  # unfold says: None
    fields = ["codigo", "dias", "estado", "hasta", "espera", "advertencia", "cerrada_en", "fines"]
    readonly_fields = ["codigo", "dias"]
    list_per_page = 26

    def get_changelist(  # type: ignore[override]  # unfold says: an instance
        self, request: HttpRequest, **kwargs: Any
    ) -> type[ChangeList]:
        return SemanasConTotales

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        return super().changelist_view(request, {"grafico": grafico_de_ingresos(), **(extra_context or {})})

    @admin.display(description="semana", ordering="lunes")
    def codigo(self, semana: Semana) -> str:
        return str(semana)

    @admin.display(description="días")
    def dias(self, semana: Semana) -> str:
        return f"{semana.lunes:%d/%m} al {semanas.dias(semana.lunes)[-1]:%d/%m}".replace(" ", "\N{NO-BREAK SPACE}")

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
    valores = [(semanas.codigo(fila["semana_id"])[5:], fila["total"]) for fila in ultimas]
    return barras(valores, titulo="Ingresos por semana cerrada (CLP)") if valores else ""


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
