"""The bodies of requests and responses: notices in; stock, ledger and notices out.

The serializers' docstrings are part of the API's documentation, which is in Spanish.
"""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from gremio.lectura.serializer_fields import StrictSerializer
from gremio.lectura.textos import limpiar
from stock.models import Aviso, Insumo, Movimiento


# The catalogue is rows, and the document must not depend on them: the codes are texts.
@extend_schema_field({"type": "array", "items": {"type": "string", "maxLength": 30}, "example": ["mote", "vaso"]})
class InsumosField(serializers.MultipleChoiceField):
    """A list of ingredient codes. DRF's own field accepts an object too, and takes its keys."""

    def to_internal_value(self, data: Any) -> Any:
        """Return the set of codes. Raises ValidationError with a code that the catalogue lacks."""
        if not isinstance(data, list):
            self.fail("not_a_list", input_type=type(data).__name__)
        # The stubs type the argument as one choice.
        codigos: Any = [limpiar(codigo).strip() if isinstance(codigo, str) else codigo for codigo in data]
        return super().to_internal_value(codigos)


class AvisoNuevoSerializer(StrictSerializer):
    """Lo que se agotó. Un cuerpo vacío también es un aviso."""

    insumos = InsumosField(
        choices=[],
        required=False,
        label="Insumos",
        help_text="Códigos de lo que se agotó. Sin ninguno: todo lo agotado.",
        error_messages={"invalid_choice": "No hay un insumo «{input}»."},
    )

    def get_fields(self) -> dict[str, Any]:
        """Return the fields, with the catalogue of this moment as the choices.

        The schema of the API has no choices: it is made without a database.
        """
        fields: dict[str, Any] = super().get_fields()
        if not getattr(self.context.get("view"), "swagger_fake_view", False):
            fields["insumos"].choices = list(Insumo.objects.values_list("codigo", "nombre"))
        return fields


class AceptadoSerializer(serializers.Serializer[Any]):
    """La respuesta a un aviso aceptado, que ya no se pierde."""

    id = serializers.UUIDField(help_text="Identifica el aviso en GET stock/avisos/.")


class LineaSerializer(serializers.Serializer[Any]):
    """Un insumo de tu carro."""

    insumo = serializers.CharField(help_text="Código.")
    cantidad = serializers.IntegerField(help_text="Lo que queda, en su unidad.")
    capacidad = serializers.IntegerField()
    unidad = serializers.CharField()
    agotado = serializers.BooleanField()
    se_agota_en = serializers.DateTimeField(
        allow_null=True, help_text="Cuándo se agota al ritmo de la última hora; null si no se puede saber."
    )


class RenglonSerializer(serializers.Serializer[Any]):
    """Un insumo de un movimiento: lo positivo entra al carro, lo negativo sale."""

    insumo = serializers.CharField(help_text="Código.")
    tipo = serializers.ChoiceField(choices=Movimiento.Tipo.choices)
    cantidad = serializers.IntegerField(help_text="En la unidad del insumo.")
    ocurrido_en = serializers.DateTimeField()
    referencia = serializers.UUIDField(allow_null=True, help_text="La venta, el aviso o la inscripción que lo causó.")
    motivo = serializers.CharField(help_text="De una corrección.")


class AvisoSerializer(serializers.ModelSerializer[Aviso]):
    """Un aviso y su estado, uno por cada insumo nombrado."""

    id = serializers.UUIDField(source="aviso_id")

    class Meta:
        model = Aviso
        fields = ["id", "insumo", "origen", "estado", "abierto_en", "cerrado_en"]
