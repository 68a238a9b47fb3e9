"""The carts: their stock, which of them run out next, the restocks per day, and corrections."""

from collections.abc import Iterable
from typing import Any, Final
from uuid import uuid4

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import action
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from gremio.admin_forms import CleanSearch, SeenForm
from gremio.formats import con_unidad, miles
from gremio.lectura.form_fields import EnteroField, TextoField
from kafka_bridge.admin_base import ReadOnlyAdmin
from stock import inventario, movimientos, reports
from stock.models import Aviso, Carro, Existencia, Insumo, Movimiento

CARTS_SHOWN: Final = 8  # in the table of carts that run out next
DAYS_DRAWN: Final = 14  # in the chart of restocks
LOW: Final = 0.25  # part of the capacity; a bar at or below it warns
GREEN: Final = "#16a34a"
AMBER: Final = "#d97706"
RED: Final = "#dc2626"
WITH_STOCK: Final = Prefetch("existencias", Existencia.objects.select_related("insumo").order_by("insumo"))


class AgotadoFilter(admin.SimpleListFilter):
    """Open carts in which something is out, or carts with an open notice."""

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


class CorreccionForm(SeenForm):
    """What staff counted in a cart.

    Because of the hidden id, a form that is sent twice is one correction.
    """

    evento_id = forms.UUIDField(initial=uuid4, widget=forms.HiddenInput)
    insumo = forms.ModelChoiceField(Insumo.objects, label="Insumo", widget=UnfoldAdminSelectWidget)
    cantidad = EnteroField(
        label="Cantidad",
        min_value=-1_000_000,
        max_value=1_000_000,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="Lo que se agrega al stock, en la unidad del insumo; negativo si se descuenta.",
    )
    motivo = TextoField(
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

    def is_same_as(self, first: Movimiento, correccion: inventario.Correccion) -> bool:
        """Return whether the form was sent before as it is now, as a double click does.

        With other content (the browser went back to it) it gets an error that says what was done,
        and a new id: sent again, it is another correction.
        """
        if (first.insumos, first.motivo) == ({correccion.insumo: correccion.cantidad}, correccion.motivo):
            return True
        done = ", ".join(f"{cantidad:+} de {insumo}" for insumo, cantidad in first.insumos.items())
        self.data = {**dict(self.data.items()), "evento_id": str(uuid4())}
        self.add_error(
            None,
            f"Este formulario ya se envió, y se corrigió {done} («{first.motivo}»). Lo que escribiste ahora no se "
            "ha hecho. Si es otra corrección, envíala de nuevo y se suma a la primera.",
        )
        return False


@admin.register(Carro)
class CarroAdmin(CleanSearch, ReadOnlyAdmin):
    """The list of carts, below the carts that run out next and the chart of restocks."""

    list_per_page = 50
    show_full_result_count = False
    list_display = ["carro", "stock", "abierto"]
    list_filter = [AgotadoFilter, "abierto_en"]
    search_fields = ["nombre", "maestro_id__exact"]
    search_help_text = "Nombre, o id del maestro"
    list_before_template = "stock/admin/resumen.html"
    actions_detail = ["corregir"]
    fields = ["nombre", "maestro_id", "abierto_en", "stock"]
    readonly_fields = ["stock"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Carro]:
        return super().get_queryset(request).prefetch_related(WITH_STOCK)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        ahora = timezone.now()
        dias = reports.reposiciones_por_dia(DAYS_DRAWN, ahora=ahora)
        context: dict[str, Any] = {
            "proximos": reports.proximos_en_agotarse(CARTS_SHOWN, ahora=ahora),
            "dias": dias,
            "maximo": max(dia.reposiciones for dia in dias) or 1,
        }
        return super().changelist_view(request, {**context, **(extra_context or {})})

    @admin.display(description="carro", ordering="nombre")
    def carro(self, carro: Carro) -> str:
        return str(carro)

    @admin.display(description="abierto", ordering="abierto_en")
    def abierto(self, carro: Carro) -> str:
        return f"{timezone.localtime(carro.abierto_en):%d-%m-%Y %H:%M}" if carro.abierto_en else "todavía no"

    @admin.display(description="stock")
    def stock(self, carro: Carro) -> SafeString:
        return stock_bars(carro.existencias.all())

    def has_corregir_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_view_permission(request) and request.user.has_perm("stock.corregir_stock")

    @action(description="Corregir el stock", permissions=["corregir"], url_path="corregir", icon="edit")
    def corregir(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for a correction, and write it once the form is valid."""
        carro = get_object_or_404(self.get_queryset(request), pk=object_id)
        form = CorreccionForm(request.POST or None, obj=carro)
        if form.is_valid() and self._correct(request, carro, form):
            self.message_user(request, f"Stock de {carro} corregido.", messages.SUCCESS)
            return redirect("admin:stock_carro_change", object_id)
        title = f"Corregir el stock de {carro}"
        context = {"carro": carro, "barras": self.stock(carro), "form": form}
        return self.render_page(request, "stock/admin/corregir.html", title, **context)

    def _correct(self, request: HttpRequest, carro: Carro, form: CorreccionForm) -> bool:
        """Write the correction; if the cart was corrected meanwhile, say it in the form instead."""
        datos = form.cleaned_data
        correccion = inventario.Correccion(
            datos["evento_id"], carro.pk, datos["insumo"].pk, datos["cantidad"], datos["motivo"]
        )
        with transaction.atomic():
            movimientos.tomar([carro.pk])
            first = Movimiento.objects.filter(evento_id=correccion.evento_id).first()
            if first is not None:
                return form.is_same_as(first, correccion)
            if not form.check_seen(carro):
                return False
            inventario.corregir(correccion, ahora=timezone.now())
            note = f"Corrigió {datos['cantidad']:+} de {datos['insumo']}: {datos['motivo']}"
            self.log_change(request, carro, note)
        return True


def stock_bars(existencias: Iterable[Existencia]) -> SafeString:
    """Return one bar per ingredient, the parts of one picture (mamochi_site/desk.css)."""
    return format_html(
        '<div class="barras">{}</div>', format_html_join("", "{}", ((stock_bar(one),) for one in existencias))
    )


def stock_bar(existencia: Existencia) -> SafeString:
    """Return a bar that shows an ingredient's stock as a part of its capacity.

    Below zero the bar is empty, and the number beside it is negative.
    """
    insumo = existencia.insumo
    part = min(1.0, max(0.0, existencia.cantidad / insumo.capacidad))
    color = _color(existencia.cantidad, part)
    return format_html(
        '<div><span>{}</span><span class="barra"><span style="width:{}%;background:{}"></span></span>'
        "<{tag}>{}</{tag}></div>",
        insumo.nombre,
        round(part * 100),
        color,
        f"{miles(existencia.cantidad)} de {con_unidad(insumo.capacidad, insumo.unidad)}",
        tag="strong" if existencia.cantidad <= 0 else "span",
    )


def _color(cantidad: int, part: float) -> str:
    if cantidad <= 0:
        return RED
    return GREEN if part > LOW else AMBER
