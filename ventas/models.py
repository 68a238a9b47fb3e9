"""The catalogue, the ledger of sales, the accounting weeks and their reports.

The ledger has no running totals: every sum is computed from its rows (`semanas/reports.py`). Rows
refer to the maestros of another app, and to the products of past sales, by id or code without a
foreign key, so that topics can be replayed in any order.
"""

from collections.abc import Iterable
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import ClassVar, Final

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from gremio.formats import miles, pesos
from ventas import calendario

# What a price, a recipe and a cost can plausibly be: outside of it, a zero or a dot was mistyped.
PRECIO_MINIMO: Final = 100  # CLP
PRECIO_MAXIMO: Final = 1_000_000  # CLP
RECETA_MAXIMA: Final = 10_000  # g, ml or pieces in one unit of a product
COSTO_MAXIMO: Final = 100_000  # CLP per g, ml or piece
CODIGO_VALIDO = RegexValidator(r"^[a-z0-9_-]+$", "Solo minúsculas, números y guiones.")


class Insumo(models.Model):
    """An ingredient; `costo` is in CLP per `unidad` (g, ml or pieces), with two decimals."""

    codigo = models.CharField("código", max_length=30, primary_key=True, validators=[CODIGO_VALIDO])
    nombre = models.CharField("nombre", max_length=60)
    unidad = models.CharField("unidad", max_length=10, help_text="g, ml o un (unidades)")
    costo = models.DecimalField(
        "costo por unidad",
        max_digits=10,
        decimal_places=2,
        validators=[
            MinValueValidator(0, "El costo no puede ser negativo."),
            MaxValueValidator(COSTO_MAXIMO, f"El costo de una unidad es de a lo más {pesos(COSTO_MAXIMO)}."),
        ],
        help_text="CLP, con coma antes de los decimales: 1,20",
    )

    class Meta:
        verbose_name = "costo de un insumo"
        verbose_name_plural = "costos de los insumos"
        ordering = ["codigo"]
        constraints = [
            models.CheckConstraint(
                condition=Q(costo__gte=0, costo__lte=COSTO_MAXIMO),
                name="ingredient_cost_is_plausible",
                violation_error_message=f"El costo de una unidad va de $0 a {pesos(COSTO_MAXIMO)}.",
            )
        ]

    def __str__(self) -> str:
        return self.nombre


class Producto(models.Model):
    """A product that maestros sell; `precio` is in whole CLP.

    An edit applies to what is sold from then on: `CambioDeCatalogo` keeps what was valid before.
    """

    codigo = models.CharField("código", max_length=30, primary_key=True, validators=[CODIGO_VALIDO])
    nombre = models.CharField("nombre", max_length=60)
    precio = models.PositiveIntegerField(
        "precio",
        validators=[
            MinValueValidator(PRECIO_MINIMO, f"El precio mínimo del gremio es {pesos(PRECIO_MINIMO)}."),
            MaxValueValidator(PRECIO_MAXIMO, f"El precio máximo del gremio es {pesos(PRECIO_MAXIMO)}."),
        ],
        help_text="CLP, sin decimales: 3000 o 3.000",
    )
    activo = models.BooleanField("activo", default=True, help_text="Los inactivos no se pueden vender.")

    class Meta:
        verbose_name = "producto"
        verbose_name_plural = "productos"
        ordering = ["precio", "codigo"]
        constraints = [
            models.CheckConstraint(
                condition=Q(precio__gte=PRECIO_MINIMO, precio__lte=PRECIO_MAXIMO),
                name="price_is_plausible",
                violation_error_message=f"El precio va de {pesos(PRECIO_MINIMO)} a {pesos(PRECIO_MAXIMO)}.",
            )
        ]

    def __str__(self) -> str:
        return self.nombre


class Receta(models.Model):
    """The quantity of an ingredient in one unit of a product, in the ingredient's own unit."""

    producto = models.ForeignKey(Producto, models.CASCADE, related_name="receta", verbose_name="producto")
    insumo = models.ForeignKey(Insumo, models.PROTECT, related_name="recetas", verbose_name="insumo")
    cantidad = models.PositiveIntegerField(
        "cantidad",
        validators=[
            MinValueValidator(1, "Una receta lleva al menos 1."),
            MaxValueValidator(RECETA_MAXIMA, f"Una unidad lleva a lo más {miles(RECETA_MAXIMA)}."),
        ],
        help_text="En la unidad del ingrediente",
    )

    class Meta:
        verbose_name = "ingrediente de la receta"
        verbose_name_plural = "receta"
        ordering = ["insumo"]
        constraints = [
            models.UniqueConstraint(fields=["producto", "insumo"], name="ingredient_once_per_recipe"),
            models.CheckConstraint(
                condition=Q(cantidad__gte=1, cantidad__lte=RECETA_MAXIMA),
                name="recipe_amount_is_plausible",
                violation_error_message=f"Una unidad lleva de 1 a {miles(RECETA_MAXIMA)}.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.cantidad} {self.insumo.unidad} de {self.insumo}"


def costo_de(receta: Iterable[Receta]) -> int:
    """Return the cost of one unit's ingredients, in whole CLP.

    The exact sum is rounded half up once, at the end.
    """
    exacto = sum((linea.cantidad * linea.insumo.costo for linea in receta), Decimal(0))
    return int(exacto.quantize(Decimal(1), ROUND_HALF_UP))


class CambioDeCatalogo(models.Model):
    """A product as it was sold from `desde` on, until the product's next row (ADR 24).

    A sale takes price, cost and recipe of the moment in which it was sold. `insumos`: what one unit
    takes, by ingredient code. Rows are added by `historia.py`, never changed, and name the product
    without a foreign key: they outlive it.
    """

    producto = models.CharField("producto", max_length=30)
    nombre = models.CharField("nombre", max_length=60)
    precio = models.PositiveIntegerField("precio")
    costo = models.PositiveIntegerField("costo")
    insumos = models.JSONField("receta")
    activo = models.BooleanField("a la venta")
    desde = models.DateTimeField("desde")

    class Meta:
        verbose_name = "cambio del catálogo"
        verbose_name_plural = "cambios del catálogo"
        ordering = ["-desde", "-id"]
        default_permissions = ["view"]
        indexes = [models.Index(fields=["producto", "-desde"], name="changes_of_a_product")]

    def __str__(self) -> str:
        return f"{self.producto} desde {self.desde:%Y-%m-%d %H:%M}"


class Cuenta(models.Model):
    """The name and address of a maestro, to whom the weekly e-mail goes.

    Written from the events InscripcionAprobada and CorreoCorregido. `correo_desde` is the time of
    the last correction of the address: an older correction changes nothing.
    `correo_semanal` is False if the maestro wants no weekly e-mail; no event has that, so a restore
    loses it.
    """

    maestro_id = models.UUIDField("id de maestro", primary_key=True, editable=False)
    nombre = models.CharField("nombre", max_length=200)
    email = models.EmailField("correo")
    abierta_en = models.DateTimeField("abierta")
    correo_desde = models.DateTimeField("correo desde", null=True, editable=False)
    correo_semanal = models.BooleanField("quiere el correo semanal", default=True, db_default=True)

    class Meta:
        verbose_name = "cuenta"
        verbose_name_plural = "cuentas"
        ordering = ["nombre"]

    def __str__(self) -> str:
        return self.nombre


class Semana(models.Model):
    """An accounting week, identified by its Monday. Weeks close in order and never reopen.

    `hasta` is the boundary of the closing, in UTC: the end of the week, or an earlier moment if
    staff close the week early. `fines` is set when the closing begins: per topic, its id on the
    brokers (`topico`) and the offset per partition that `contabilidad` must reach (`fines`).
    `correos_retenidos`: see `cierre.retener_correos`.
    """

    class Estado(models.TextChoices):
        ABIERTA = "abierta", "abierta"
        CERRANDO = "cerrando", "cerrándose"
        CERRADA = "cerrada", "cerrada"

    lunes = models.DateField("lunes", primary_key=True)
    hasta = models.DateTimeField("hasta")
    estado = models.CharField("estado", max_length=10, choices=Estado.choices, default=Estado.ABIERTA)
    espera = models.TextField("qué espera", blank=True)
    fines = models.JSONField("offsets por alcanzar", null=True, blank=True)
    advertencia = models.TextField("advertencia", blank=True)
    cerrada_en = models.DateTimeField("cerrada", null=True, blank=True)
    correos_retenidos = models.BooleanField("correos retenidos", default=False)

    class Meta:
        verbose_name = "semana"
        verbose_name_plural = "semanas"
        ordering = ["-lunes"]
        constraints = [
            models.CheckConstraint(
                condition=Q(estado="cerrada", cerrada_en__isnull=False)
                | Q(estado__in=["abierta", "cerrando"], cerrada_en=None),
                name="closed_week_has_its_moment",
            ),
            models.CheckConstraint(condition=Q(lunes__iso_week_day=1), name="week_begins_on_monday"),
        ]

    def __str__(self) -> str:
        return calendario.codigo(self.lunes)

    @classmethod
    def nueva(cls, lunes: date) -> "Semana":
        """Return an open, unsaved week that ends at its end in the calendar."""
        return cls(lunes=lunes, hasta=calendario.limites(lunes)[1])

    @property
    def desde(self) -> datetime:
        return calendario.limites(self.lunes)[0]

    @property
    def cerrada(self) -> bool:
        return self.estado == self.Estado.CERRADA


class Venta(models.Model):
    """A sale in the ledger; `id` is the event's id, `venta_id` the client's.

    Prices and costs are in whole CLP per unit. `dia` is the Chilean date of `vendida_en`.
    `semana_contable` is the Monday of the week that counts the sale: the week of `vendida_en`, or a
    later one if that week had already closed. A void keeps the row and sets `semana_anulacion`, the
    week that subtracts the sale; if both weeks are the same, the sale is not counted at all.
    """

    id = models.UUIDField("id del evento", primary_key=True, editable=False)
    venta_id = models.UUIDField("id de venta")
    maestro_id = models.UUIDField("id de maestro")
    producto = models.CharField("producto", max_length=30)
    cantidad = models.PositiveIntegerField("cantidad")
    precio_unitario = models.PositiveIntegerField("precio unitario")
    costo_unitario = models.PositiveIntegerField("costo unitario")
    vendida_en = models.DateTimeField("vendida")
    dia = models.DateField("día")
    registrada_en = models.DateTimeField("registrada")
    semana_contable = models.DateField("semana contable")
    anulada_en = models.DateTimeField("anulada", null=True, blank=True)
    semana_anulacion = models.DateField("semana de la anulación", null=True, blank=True)

    class Meta:
        verbose_name = "venta"
        verbose_name_plural = "ventas"
        ordering = ["-vendida_en", "-id"]
        indexes = [
            # Ascending: new sales go to the end of their part of an index, and leave full pages
            # behind. Lists read from the end (ADR 30).
            models.Index(fields=["maestro_id", "vendida_en", "id"], name="sales_of_a_maestro"),
            models.Index(fields=["semana_contable", "maestro_id"], name="sales_of_a_week"),
            models.Index(fields=["semana_contable", "vendida_en"], name="ledger_of_a_week"),
            models.Index(
                fields=["semana_anulacion", "maestro_id"],
                name="voids_of_a_week",
                condition=Q(semana_anulacion__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.cantidad} × {self.producto}"

    @property
    def ingresos(self) -> int:
        """Return what was paid, in whole CLP."""
        return self.cantidad * self.precio_unitario

    @property
    def ganancias(self) -> int:
        """Return what was paid minus the cost of the ingredients, in whole CLP."""
        return self.cantidad * (self.precio_unitario - self.costo_unitario)


class Anulacion(models.Model):
    """A void: a maestro took back a sale. `venta` is the id of the sale's event.

    A void may arrive before its sale; it waits for the sale while `aplicada` is false.
    """

    id = models.UUIDField("id del evento", primary_key=True, editable=False)
    venta = models.UUIDField("id del evento de la venta")
    venta_id = models.UUIDField("id de venta")
    maestro_id = models.UUIDField("id de maestro")
    motivo = models.TextField("motivo", blank=True)
    anulada_en = models.DateTimeField("anulada")
    aplicada = models.BooleanField("aplicada", default=False)

    class Meta:
        verbose_name = "anulación"
        verbose_name_plural = "anulaciones"
        ordering = ["-anulada_en"]
        indexes = [
            models.Index(fields=["venta"], name="voids_that_wait", condition=Q(aplicada=False)),
            models.Index(fields=["-anulada_en"], name="voids_by_moment"),
        ]

    def __str__(self) -> str:
        return f"Anulación de {self.venta_id}"


class ReporteSemanal(models.Model):
    """The totals of one maestro in one accounting week, and the state of the e-mail about them.

    A maestro has one report per week, and it is never replaced. Totals include the adjustments
    (`ajuste_*`): sales and voids of weeks that had already closed. Days and products are read from
    the ledger, whose entries of a closed week never change (`semanas/reports.py`).

    `proximo_intento` (UTC) is when the e-mail is due (at once, if empty) and, while a worker sends
    it, when that worker's claim lapses. `reenvios` counts how often a person asked for it again.
    """

    class EstadoCorreo(models.TextChoices):
        PENDIENTE = "pendiente", "por enviar"
        ENVIANDO = "enviando", "enviándose"
        ENVIADO = "enviado", "enviado"
        FALLIDO = "fallido", "no se pudo enviar"
        NO_QUIERE = "no_quiere", "no lo quiere"

    # The e-mails that are still to arrive.
    POR_ENVIAR: ClassVar = (EstadoCorreo.PENDIENTE, EstadoCorreo.ENVIANDO)

    semana = models.ForeignKey(Semana, models.PROTECT, related_name="reportes", verbose_name="semana")
    maestro_id = models.UUIDField("id de maestro")
    cantidad_ventas = models.BigIntegerField("ventas")
    unidades = models.BigIntegerField("unidades")
    ingresos = models.BigIntegerField("ingresos")
    ganancias = models.BigIntegerField("ganancias")
    ajuste_ventas = models.BigIntegerField("ventas de ajuste", default=0)
    ajuste_unidades = models.BigIntegerField("unidades de ajuste", default=0)
    ajuste_ingresos = models.BigIntegerField("ingresos de ajuste", default=0)
    ajuste_ganancias = models.BigIntegerField("ganancias de ajuste", default=0)
    creado_en = models.DateTimeField("creado", db_default=Now())
    envio = models.CharField("correo", max_length=10, choices=EstadoCorreo.choices, default=EstadoCorreo.PENDIENTE)
    intentos = models.PositiveIntegerField("intentos", default=0)
    proximo_intento = models.DateTimeField("próximo intento", null=True, blank=True)
    respuesta = models.TextField("respuesta del servidor", blank=True)
    enviado_en = models.DateTimeField("enviado", null=True, blank=True)
    reenvios = models.PositiveIntegerField("reenvíos", db_default=0, default=0)

    class Meta:
        verbose_name = "reporte semanal"
        verbose_name_plural = "reportes semanales"
        ordering = ["-semana_id", "-ingresos"]
        permissions = [("reenviar_reporte", "Puede reenviar reportes")]
        constraints = [models.UniqueConstraint(fields=["semana", "maestro_id"], name="one_report_per_maestro_and_week")]
        indexes = [
            models.Index(fields=["id"], name="reports_to_send", condition=Q(envio__in=["pendiente", "enviando"])),
            models.Index(fields=["semana"], name="reports_that_failed", condition=Q(envio="fallido")),
        ]

    def __str__(self) -> str:
        return f"{calendario.codigo(self.semana_id)}: {self.cantidad_ventas} ventas"
