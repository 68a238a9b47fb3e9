"""The carts: their stock, the ledger that moves it, and the notices that an ingredient ran out.

`Existencia.cantidad` is always the sum of the ledger: movimientos.py writes both in one
transaction, and no other code writes them. Rows name an ingredient by its code, without a foreign
key in the database: a sale may use an ingredient that staff add here later.
"""

from typing import Final

from django.contrib.postgres.indexes import BrinIndex
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from gremio.formats import miles

CAPACIDAD_MAXIMA: Final = 1_000_000  # g, ml or pieces: a ton does not fit into a cart


class Insumo(models.Model):
    """An ingredient that every cart carries. `capacidad`: what fits in a cart, in `unidad`."""

    codigo = models.CharField(
        "código",
        max_length=30,
        primary_key=True,
        validators=[RegexValidator(r"^[a-z][a-z0-9_]*$", "Usa a-z, 0-9 y _.")],
    )
    nombre = models.CharField("nombre", max_length=60)
    unidad = models.CharField("unidad", max_length=10, help_text="g, ml, un")
    capacidad = models.PositiveIntegerField(
        "capacidad del carro",
        validators=[
            MinValueValidator(1, "En un carro cabe al menos 1."),
            MaxValueValidator(CAPACIDAD_MAXIMA, f"En un carro caben a lo más {miles(CAPACIDAD_MAXIMA)}."),
        ],
        help_text=(
            "Lo que cabe en un carro, en su unidad: 3000 o 3.000. "
            "Vale para todos los carros desde la próxima reposición."
        ),
    )

    class Meta:
        verbose_name = "insumo del carro"
        verbose_name_plural = "insumos del carro"
        ordering = ["codigo"]
        constraints = [
            models.CheckConstraint(
                condition=Q(capacidad__gte=1, capacidad__lte=CAPACIDAD_MAXIMA),
                name="a_cart_holds_something",
                violation_error_message=f"En un carro cabe de 1 a {miles(CAPACIDAD_MAXIMA)}.",
            )
        ]

    def __str__(self) -> str:
        return self.nombre


class Carro(models.Model):
    """A maestro's cart.

    The row is made by the first event that names the maestro. The cart is open once the approval
    has arrived, which a sale may overtake. The row is also the lock of everything the cart has:
    code that moves stock locks it first (`movimientos.tomar`), in the order of `maestro_id`.
    """

    maestro_id = models.UUIDField("maestro", primary_key=True, editable=False)
    nombre = models.CharField("nombre", max_length=200, blank=True)
    abierto_en = models.DateTimeField("abierto", null=True, blank=True)

    class Meta:
        verbose_name = "carro"
        verbose_name_plural = "carros"
        permissions = [("corregir_stock", "Puede corregir el stock de un carro")]
        ordering = ["nombre", "maestro_id"]

    def __str__(self) -> str:
        return self.nombre or str(self.maestro_id)


class Existencia(models.Model):
    """What a cart holds of an ingredient, in its unit.

    Negative if more was sold than the ledger knew of: a sale is never refused for lack of stock.
    """

    carro = models.ForeignKey(
        Carro,
        models.PROTECT,
        db_column="maestro_id",
        db_index=False,
        related_name="existencias",
        verbose_name="carro",
    )
    insumo = models.ForeignKey(
        Insumo,
        models.PROTECT,
        db_column="insumo",
        db_constraint=False,
        db_index=False,
        related_name="+",
        verbose_name="insumo",
    )
    cantidad = models.BigIntegerField("cantidad")

    class Meta:
        verbose_name = "existencia"
        verbose_name_plural = "existencias"
        ordering = ["carro", "insumo"]
        constraints = [models.UniqueConstraint(fields=["carro", "insumo"], name="one_stock_per_cart_and_ingredient")]
        indexes = [models.Index(fields=["carro", "insumo"], condition=Q(cantidad__lte=0), name="stock_that_is_out")]

    def __str__(self) -> str:
        return f"{self.carro_id}: {self.insumo_id} {self.cantidad}"


class Movimiento(models.Model):
    """A line of the ledger, one per event. It is written once and never changed.

    `insumos`: what came in (positive) or went out (negative), by ingredient code, in its unit.
    `referencia`: the id of the sale, notice or enrolment that caused it. `motivo`: why staff
    corrected. `ocurrido_en`: the event's own time.
    """

    class Tipo(models.TextChoices):
        CARGA = "carga", "carga inicial"
        VENTA = "venta", "venta"
        ANULACION = "anulacion", "venta anulada"
        REPOSICION = "reposicion", "reposición"
        CORRECCION = "correccion", "corrección"

    evento_id = models.UUIDField("id del evento", unique=True, editable=False)
    carro = models.ForeignKey(
        Carro,
        models.PROTECT,
        db_column="maestro_id",
        # The writer has locked the cart's row, so it exists: PostgreSQL need not check each line.
        db_constraint=False,
        db_index=False,
        related_name="movimientos",
        verbose_name="carro",
    )
    tipo = models.CharField("tipo", max_length=10, choices=Tipo.choices)
    insumos = models.JSONField("insumos")
    ocurrido_en = models.DateTimeField("ocurrido")
    referencia = models.UUIDField("referencia", null=True)
    motivo = models.CharField("motivo", max_length=200, blank=True)

    class Meta:
        verbose_name = "movimiento"
        verbose_name_plural = "movimientos"
        ordering = ["-ocurrido_en", "-id"]
        indexes = [
            models.Index(fields=["carro", "ocurrido_en"], name="ledger_of_a_cart"),
            models.Index(fields=["ocurrido_en"], condition=Q(tipo="reposicion"), name="restocks_by_time"),
            # A BRIN index costs almost nothing to keep.
            BrinIndex(fields=["ocurrido_en"], autosummarize=True, name="ledger_by_time"),
        ]

    def __str__(self) -> str:
        lineas = ", ".join(f"{cantidad:+} {insumo}" for insumo, cantidad in self.insumos.items())
        return f"{self.get_tipo_display()}: {lineas}"


class Anulacion(models.Model):
    """A sale that its maestro voided, whether or not the sale has arrived.

    `venta`: the id of the sale's event.
    """

    carro = models.ForeignKey(
        Carro, models.PROTECT, db_column="maestro_id", db_index=False, related_name="+", verbose_name="carro"
    )
    venta = models.UUIDField("venta", unique=True)
    evento_id = models.UUIDField("id del evento", editable=False)
    anulada_en = models.DateTimeField("anulada")

    class Meta:
        verbose_name = "venta devuelta al carro"
        verbose_name_plural = "ventas devueltas al carro"
        ordering = ["-anulada_en"]

    def __str__(self) -> str:
        return f"venta {self.venta}"


class Aviso(models.Model):
    """A notice that an ingredient ran out. An empty `insumo` means everything that is out.

    A notice that names several ingredients is several rows with the same `aviso_id`.
    `ventas_hasta`: where the topic of sales ended when the notice was accepted, or later. Once
    `inventario` has reached these offsets, all the sales that the maestro can have known of are
    counted. `ventas_topico`: the broker's id of that topic. If the topic was made again, the
    sweep asks Kafka for its new ends.
    """

    class Origen(models.TextChoices):
        MAESTRO = "maestro", "del maestro"
        AUTOMATICO = "automatico", "automático"

    class Estado(models.TextChoices):
        ABIERTO = "abierto", "abierto"
        ATENDIDO = "atendido", "atendido"
        INFUNDADO = "infundado", "infundado: no faltaba nada"
        REPETIDO = "repetido", "repetido: ya había uno abierto"

    aviso_id = models.UUIDField("id", editable=False)
    carro = models.ForeignKey(
        Carro, models.PROTECT, db_column="maestro_id", db_index=False, related_name="avisos", verbose_name="carro"
    )
    insumo = models.CharField("insumo", max_length=30, blank=True, help_text="Vacío: todo lo agotado.")
    origen = models.CharField("origen", max_length=10, choices=Origen.choices)
    estado = models.CharField("estado", max_length=10, choices=Estado.choices, default=Estado.ABIERTO)
    ventas_hasta = models.JSONField(
        "ventas hasta", null=True, help_text="Offset final por partición del tópico de ventas."
    )
    ventas_topico = models.CharField("id del tópico de ventas", max_length=40, blank=True, editable=False)
    abierto_en = models.DateTimeField("abierto")
    cerrado_en = models.DateTimeField("cerrado", null=True)
    registrado_en = models.DateTimeField("registrado", db_default=Now(), editable=False)

    class Meta:
        verbose_name = "aviso"
        verbose_name_plural = "avisos"
        ordering = ["-abierto_en", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["aviso_id", "insumo"], name="one_row_per_notice_and_ingredient"),
            models.UniqueConstraint(
                fields=["carro", "insumo"],
                condition=Q(estado="abierto"),
                name="one_open_notice_per_cart_and_ingredient",
            ),
            models.CheckConstraint(
                condition=Q(estado="abierto", cerrado_en=None) | (~Q(estado="abierto") & Q(cerrado_en__isnull=False)),
                name="closed_when_decided",
            ),
        ]
        indexes = [models.Index(fields=["carro", "-abierto_en"], name="notices_of_a_cart")]

    def __str__(self) -> str:
        return f"{self.insumo or 'todo lo agotado'} ({self.get_estado_display()})"

    def ventas_contadas(self, contadas: dict[tuple[str, int], int]) -> bool:
        """Return whether all sales accepted before the notice are counted.

        `contadas`: the next offset that `inventario` will count, by topic id and partition.
        """
        if self.ventas_hasta is None:
            return False
        ends = ((self.ventas_topico, int(partition), end) for partition, end in self.ventas_hasta.items())
        return all(contadas.get((topic, partition), 0) >= end for topic, partition, end in ends)
