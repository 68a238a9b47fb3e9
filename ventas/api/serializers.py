"""The fields that the API reads and writes, for its documentation, its forms and its errors.

Well-formed sales are not read here (see `entrada.py`); the serializer explains what is wrong with
the others. The docstrings of the classes are in Spanish because the API's page shows them.
"""

import re
from datetime import datetime
from typing import Any, Final

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from gremio.lectura.serializer_fields import EnteroField, StrictSerializer, TextoField
from ventas import calendario
from ventas.events import MAX_UNIDADES
from ventas.models import Producto, Receta, Venta

MAX_VENTAS: Final = 1_000  # in one list
TIME_OF_DAY: Final = re.compile(r"\d\s*[Tt ]\s*\d")
SIN_HORA: Final = "Escribe fecha y hora, como 2026-11-23T15:04; sin vendida_en, la venta es de ahora."


class IdField(serializers.UUIDField):
    """A UUID as text only: DRF's field also accepts whole numbers, and True as one."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            self.fail("invalid", value=data)
        return super().to_internal_value(data)


class MomentoField(serializers.DateTimeField):
    """A time that may lack a UTC offset: `entrada.py` adds the maestro's zone, not the server's.

    A date alone is refused: DRF would read it as midnight.
    """

    def to_internal_value(self, value: Any) -> Any:
        moment = super().to_internal_value(value)
        if isinstance(value, str) and not TIME_OF_DAY.search(value):
            raise serializers.ValidationError(SIN_HORA, code="invalid")
        return moment

    def enforce_timezone(self, value: datetime) -> datetime:
        return value


class VentaEntradaSerializer(StrictSerializer):
    """Una venta, como la envía el maestro."""

    producto = TextoField(max_length=30, help_text="Código del catálogo: chico, mediano, grande.")
    cantidad = EnteroField(
        min_value=1, max_value=MAX_UNIDADES, help_text="Unidades vendidas: un entero, sin decimales ni exponente."
    )
    vendida_en = MomentoField(
        required=False,
        allow_null=True,
        help_text="Cuándo se vendió (ISO 8601), hasta 60 días atrás. Si falta, ahora. Vale el precio de ese momento. "
        "Sin zona horaria es la hora de tu comuna; de la hora que el reloj repite en abril, la primera.",
    )
    id = IdField(
        required=False,
        allow_null=True,
        help_text="UUID tuyo: si repites el envío, la venta se cuenta una sola vez. Con otros datos es un 422.",
    )

    def to_internal_value(self, data: Any) -> Any:
        """Read the sale; an empty box of the HTML form counts as a field that was not sent."""
        if hasattr(data, "dict"):
            data = {campo: valor for campo, valor in data.dict().items() if valor != ""}
        return super().to_internal_value(data)


class VentaAceptadaSerializer(serializers.Serializer[Any]):
    """La respuesta a una venta."""

    id = serializers.UUIDField(help_text="Con él se consulta: ventas/{id}/")


class VentaConErroresSerializer(serializers.Serializer[Any]):
    """Una venta que no se aceptó: además del índice trae, por campo, los motivos."""

    indice = serializers.IntegerField(help_text="Su posición en la lista enviada, desde 0.")
    detail = serializers.ListField(child=serializers.CharField(), required=False)
    producto = serializers.ListField(child=serializers.CharField(), required=False)
    cantidad = serializers.ListField(child=serializers.CharField(), required=False)
    vendida_en = serializers.ListField(child=serializers.CharField(), required=False)
    id = serializers.ListField(child=serializers.CharField(), required=False)
    ventas = serializers.ListField(child=serializers.CharField(), required=False)


class VentasAceptadasSerializer(serializers.Serializer[Any]):
    """La respuesta a una lista de ventas."""

    aceptadas = serializers.IntegerField()
    ids = serializers.ListField(
        child=serializers.UUIDField(), help_text="Los de las aceptadas, en el orden de la lista."
    )
    errores = VentaConErroresSerializer(many=True, required=False, help_text="Solo con `?parcial=true`.")


class AnularSerializer(StrictSerializer):
    """Por qué se anula una venta."""

    motivo = TextoField(max_length=300, required=False, allow_blank=True, default="")


class CorreoSemanalSerializer(serializers.Serializer[Any]):
    """Si el maestro recibe el correo de los lunes."""

    recibir = serializers.BooleanField(default=False)


class VentaSerializer(serializers.ModelSerializer[Venta]):
    """Una venta en la contabilidad. Montos en pesos, sin decimales."""

    id = serializers.UUIDField(source="venta_id")
    ingresos = serializers.IntegerField()
    ganancias = serializers.IntegerField(help_text="Ingresos menos el costo de los ingredientes.")
    semana = serializers.SerializerMethodField(help_text="La semana contable que la cuenta: 2026-W47.")

    class Meta:
        model = Venta
        fields = [
            *("id", "producto", "cantidad", "precio_unitario", "ingresos", "ganancias"),
            *("vendida_en", "registrada_en", "semana", "anulada_en"),
        ]
        read_only_fields = fields

    def get_semana(self, venta: Venta) -> str:
        return calendario.codigo(venta.semana_contable)


@extend_schema_serializer(many=False)
class PaginaDeVentasSerializer(serializers.Serializer[Any]):
    """Una página de ventas, de la más nueva a la más antigua."""

    next = serializers.URLField(allow_null=True)
    results = VentaSerializer(many=True)


class DiaSerializer(serializers.Serializer[Any]):
    """Un día de la semana, en la hora de Santiago: la de las cuentas, en todo Chile."""

    dia = serializers.DateField()
    cantidad_ventas = serializers.IntegerField()
    unidades = serializers.IntegerField()
    ingresos = serializers.IntegerField()
    ganancias = serializers.IntegerField()


class AjustesSerializer(serializers.Serializer[Any]):
    """Lo que suman o descuentan semanas ya cerradas."""

    cantidad_ventas = serializers.IntegerField()
    unidades = serializers.IntegerField()
    ingresos = serializers.IntegerField()
    ganancias = serializers.IntegerField()


class ResumenSerializer(serializers.Serializer[Any]):
    """La semana de un maestro: totales (con ajustes), por día y por producto.

    Montos en pesos, sin decimales.
    """

    semana = serializers.CharField(help_text="2026-W47")
    desde = serializers.DateTimeField()
    hasta = serializers.DateTimeField(help_text="Primer momento de la semana siguiente.")
    cantidad_ventas = serializers.IntegerField()
    unidades = serializers.IntegerField()
    ingresos = serializers.IntegerField()
    ganancias = serializers.IntegerField()
    por_dia = DiaSerializer(many=True)
    por_producto = serializers.DictField(child=serializers.IntegerField(), help_text="Unidades por código.")
    ajustes = AjustesSerializer(help_text="Lo que cuenta en esta semana y es de otras, ya cerradas.")


class RecetaSerializer(serializers.ModelSerializer[Receta]):
    """Un ingrediente de una unidad."""

    unidad = serializers.CharField(source="insumo.unidad")

    class Meta:
        model = Receta
        fields = ["insumo", "cantidad", "unidad"]


class ProductoSerializer(serializers.ModelSerializer[Producto]):
    """Un producto del catálogo."""

    receta = RecetaSerializer(many=True)

    class Meta:
        model = Producto
        fields = ["codigo", "nombre", "precio", "receta"]
