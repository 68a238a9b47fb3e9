"""The carts in the admin: what each holds, who runs out next, restocks by day; the ledger and the notices to read.

Totals are never edited: a correction is a line of the ledger, with its reason.
"""

from typing import Any, Final
from uuid import uuid4

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from gremio.formats import con_unidad, miles
from stock import inventario, reports
from stock.models import Anulacion, Aviso, Carro, Existencia, Insumo, Movimiento

PROXIMOS: Final = 8
DIAS_DEL_GRAFICO: Final = 14
POCO: Final = 0.25  # of the capacity: from here a bar warns
CON_STOCK: Final = Prefetch("existencias", Existencia.objects.select_related("insumo").order_by("insumo"))


class SoloLectura(ModelAdmin):
    """Rows that only the services write."""

    list_per_page = 50
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Insumo)
class InsumoAdmin(ModelAdmin):
    """What every cart carries. Its code names it in sales and ledgers: it is chosen once."""

    list_display = ["nombre", "codigo", "capacidad_"]
    search_fields = ["nombre", "codigo"]

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        return ["codigo"] if obj else []

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if not change:
            inventario.estrenar(obj.pk)

    @admin.display(description="capacidad del carro", ordering="capacidad")
    def capacidad_(self, insumo: Insumo) -> str:
        return con_unidad(insumo.capacidad, insumo.unidad)


class AgotadoFilter(admin.SimpleListFilter):
    """Open carts by whether something is out."""

    title = "stock"
    parameter_name = "stock"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("agotado", "con algo agotado"), ("abierto", "con un aviso abierto")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Carro]) -> QuerySet[Carro]:
        if self.value() == "agotado":
            vacias = Existencia.objects.filter(cantidad__lte=0, insumo__capacidad__gte=1)
            return queryset.filter(abierto_en__isnull=False, pk__in=vacias.values("carro"))
        if self.value() == "abierto":
            return queryset.filter(pk__in=Aviso.objects.filter(estado=Aviso.Estado.ABIERTO).values("carro"))
        return queryset


class CorreccionForm(forms.Form):
    """What staff found. Its hidden id makes a form sent twice one correction."""

    evento_id = forms.UUIDField(initial=uuid4, widget=forms.HiddenInput)
    insumo = forms.ModelChoiceField(Insumo.objects, label="Insumo", widget=UnfoldAdminSelectWidget)
    cantidad = forms.IntegerField(
        label="Cantidad",
        min_value=-1_000_000,
        max_value=1_000_000,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="Lo que se agrega al stock, en la unidad del insumo; negativo si se descuenta.",
    )
    motivo = forms.CharField(
        label="Motivo",
        max_length=200,
        widget=UnfoldAdminTextInputWidget,
        help_text="Lo lee el maestro en sus movimientos.",
    )

    def clean_cantidad(self) -> int:
        cantidad: int = self.cleaned_data["cantidad"]
        if not cantidad:
            raise forms.ValidationError("Con cero no cambia nada.")
        return cantidad


@admin.register(Carro)
class CarroAdmin(SoloLectura):
    """The carts, with who runs out next and the restocks above them."""

    list_display = ["carro", "stock", "abierto"]
    list_filter = [AgotadoFilter, "abierto_en"]
    search_fields = ["nombre", "maestro_id__exact"]
    search_help_text = "Nombre, o id del maestro"
    list_before_template = "stock/admin/resumen.html"
    actions_detail = ["corregir"]
    fields = ["nombre", "maestro_id", "abierto_en", "stock"]
    readonly_fields = ["stock"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Carro]:
        return super().get_queryset(request).prefetch_related(CON_STOCK)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        ahora = timezone.now()
        dias = reports.reposiciones_por_dia(DIAS_DEL_GRAFICO, ahora=ahora)
        contexto: dict[str, Any] = {
            "proximos": reports.proximos_en_agotarse(PROXIMOS, ahora=ahora),
            "dias": dias,
            "maximo": max(dia.reposiciones for dia in dias) or 1,
        }
        return super().changelist_view(request, {**contexto, **(extra_context or {})})

    @admin.display(description="carro", ordering="nombre")
    def carro(self, carro: Carro) -> str:
        return str(carro)

    @admin.display(description="abierto", ordering="abierto_en")
    def abierto(self, carro: Carro) -> str:
        return f"{timezone.localtime(carro.abierto_en):%d-%m-%Y %H:%M}" if carro.abierto_en else "todavía no"

    @admin.display(description="stock")
    def stock(self, carro: Carro) -> SafeString:
        barras = format_html_join("", "{}", ((_barra(existencia),) for existencia in carro.existencias.all()))
        return format_html('<div style="display:grid;gap:2px;min-width:14rem;max-width:28rem">{}</div>', barras)

    # Correcting

    def has_corregir_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_view_permission(request) and request.user.has_perm("stock.corregir_stock")

    @action(description="Corregir el stock", permissions=["corregir"], url_path="corregir", icon="edit")
    def corregir(self, request: HttpRequest, object_id: str) -> HttpResponse:
        carro = get_object_or_404(self.get_queryset(request), pk=object_id)
        form = CorreccionForm(request.POST or None)
        if not form.is_valid():
            return self._pedir_correccion(request, carro, form)
        datos = form.cleaned_data
        correccion = inventario.Correccion(
            datos["evento_id"], carro.pk, datos["insumo"].pk, datos["cantidad"], datos["motivo"]
        )
        inventario.corregir(correccion, ahora=timezone.now())
        self.log_change(request, carro, f"Corrigió {datos['cantidad']:+} de {datos['insumo']}: {datos['motivo']}")
        self.message_user(request, f"Stock de {carro} corregido.", messages.SUCCESS)
        return redirect("admin:stock_carro_change", object_id)

    def _pedir_correccion(self, request: HttpRequest, carro: Carro, form: CorreccionForm) -> HttpResponse:
        contexto = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Corregir el stock de {carro}",
            "carro": carro,
            "barras": self.stock(carro),
            "form": form,
        }
        return TemplateResponse(request, "stock/admin/corregir.html", contexto)


def _barra(existencia: Existencia) -> SafeString:
    """A bar for an ingredient; below zero it is empty, and the number says by how much."""
    insumo = existencia.insumo
    parte = min(1.0, max(0.0, existencia.cantidad / insumo.capacidad))
    color = "#16a34a" if parte > POCO else "#d97706" if existencia.cantidad > 0 else "#dc2626"
    texto = f"{miles(existencia.cantidad)} de {con_unidad(insumo.capacidad, insumo.unidad)}"
    return format_html(
        '<div style="display:grid;grid-template-columns:5.5rem 1fr 9rem;gap:8px;align-items:center">'
        '<span>{}</span><span style="height:8px;border-radius:4px;background:rgba(120,113,108,.25)">'
        '<span style="display:block;height:8px;border-radius:4px;width:{}%;background:{}"></span></span>'
        '<span style="color:{};white-space:nowrap">{}</span></div>',
        insumo.nombre,
        round(parte * 100),
        color,
        color if existencia.cantidad <= 0 else "inherit",
        texto,
    )


@admin.register(Existencia)
class ExistenciaAdmin(SoloLectura):
    """The totals, one a cart and ingredient."""

    list_display = ["carro", "insumo", "cantidad"]
    list_filter = ["insumo"]
    list_select_related = ["carro", "insumo"]
    search_fields = ["carro__nombre"]
    ordering = ["cantidad"]


@admin.register(Movimiento)
class MovimientoAdmin(SoloLectura):
    """The ledger."""

    list_display = ["ocurrido", "carro", "tipo_", "lineas", "motivo"]
    list_filter = ["tipo", "ocurrido_en"]
    list_select_related = ["carro"]
    search_fields = ["carro__nombre", "referencia__exact", "evento_id__exact"]
    search_help_text = "Nombre del carro, o id de la venta, del aviso o del evento"
    ordering = ["-id"]
    fields = ["ocurrido_en", "carro", "tipo", "lineas", "motivo", "referencia", "evento_id"]

    @admin.display(description="ocurrido", ordering="ocurrido_en")
    def ocurrido(self, movimiento: Movimiento) -> str:
        return f"{timezone.localtime(movimiento.ocurrido_en):%d-%m-%Y %H:%M:%S}"

    @display(
        description="tipo",
        ordering="tipo",
        label={"reposición": "success", "carga inicial": "success", "venta anulada": "info", "corrección": "warning"},
    )
    def tipo_(self, movimiento: Movimiento) -> str:
        return movimiento.get_tipo_display()

    @admin.display(description="insumos")
    def lineas(self, movimiento: Movimiento) -> str:
        return ", ".join(f"{insumo} {cantidad:+}" for insumo, cantidad in sorted(movimiento.insumos.items()))


@admin.register(Aviso)
class AvisoAdmin(SoloLectura):
    """The notices and what became of each."""

    list_display = ["abierto", "carro", "de_que", "origen", "estado_", "demora"]
    list_filter = ["estado", "origen", "abierto_en"]
    list_select_related = ["carro"]
    search_fields = ["carro__nombre", "aviso_id__exact"]
    search_help_text = "Nombre del carro, o id del aviso"

    @admin.display(description="avisado", ordering="abierto_en")
    def abierto(self, aviso: Aviso) -> str:
        return f"{timezone.localtime(aviso.abierto_en):%d-%m-%Y %H:%M:%S}"

    @admin.display(description="insumo", ordering="insumo")
    def de_que(self, aviso: Aviso) -> str:
        return aviso.insumo or "todo lo agotado"

    @display(
        description="estado",
        ordering="estado",
        label={
            "abierto": "warning",
            "atendido": "success",
            "infundado: no faltaba nada": "info",
            "repetido: ya había uno abierto": "info",
        },
    )
    def estado_(self, aviso: Aviso) -> str:
        return aviso.get_estado_display()

    @admin.display(description="demora")
    def demora(self, aviso: Aviso) -> str:
        return f"{(aviso.cerrado_en - aviso.abierto_en).total_seconds():.1f} s" if aviso.cerrado_en else ""


@admin.register(Anulacion)
class AnulacionAdmin(SoloLectura):
    """Voided sales."""

    list_display = ["anulada_en", "carro", "venta"]
    list_select_related = ["carro"]
    search_fields = ["carro__nombre", "venta__exact"]
