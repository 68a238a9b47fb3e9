"""What HTTP needs besides the events: the maestro's words in, stock and ledger out."""

from typing import Any

from rest_framework import serializers

from stock.models import Aviso, Insumo, Movimiento


class InsumosField(serializers.MultipleChoiceField):
    """Codes of the catalogue as it is now. DRF's own takes any iterable, so an object's keys too."""

    def to_internal_value(self, data: Any) -> Any:
        """A set of codes. Raises ValidationError with the code that the catalogue lacks."""
        if not isinstance(data, list):
            self.fail("not_a_list", input_type=type(data).__name__)
        codigos: Any = data  # the stubs type it as a single choice
        return super().to_internal_value(codigos)


class AvisoNuevoSerializer(serializers.Serializer[Any]):
    """`{insumos?: [codigo]}`; an empty body is a notice too, and one tap in the browsable page."""

    insumos = InsumosField(
        choices=[],
        required=False,
        label="Insumos",
        help_text="Códigos de lo que se agotó. Sin ninguno: todo lo agotado.",
        error_messages={"invalid_choice": "No hay un insumo «{input}»."},
    )

    def get_fields(self) -> dict[str, Any]:
        """The catalogue as it is now; the schema of the API is made without a database."""
        fields: dict[str, Any] = super().get_fields()
        if not getattr(self.context.get("view"), "swagger_fake_view", False):
            fields["insumos"].choices = list(Insumo.objects.values_list("codigo", "nombre"))
        return fields


class AceptadoSerializer(serializers.Serializer[Any]):
    """202: accepted and durable."""

    id = serializers.UUIDField(help_text="Identifica el aviso en GET stock/avisos/.")


class LineaSerializer(serializers.Serializer[Any]):
    """An ingredient of the cart."""

    insumo = serializers.CharField(help_text="Código.")
    cantidad = serializers.IntegerField(help_text="Lo que queda, en su unidad.")
    capacidad = serializers.IntegerField()
    unidad = serializers.CharField()
    agotado = serializers.BooleanField()
    se_agota_en = serializers.DateTimeField(
        allow_null=True, help_text="Cuándo se agota al ritmo de la última hora; null si no se puede saber."
    )


class RenglonSerializer(serializers.Serializer[Any]):
    """One ingredient of a movement: positive comes in, negative goes out."""

    insumo = serializers.CharField(help_text="Código.")
    tipo = serializers.ChoiceField(choices=Movimiento.Tipo.choices)
    cantidad = serializers.IntegerField(help_text="En la unidad del insumo.")
    ocurrido_en = serializers.DateTimeField()
    referencia = serializers.UUIDField(allow_null=True, help_text="La venta, el aviso o la inscripción que lo causó.")
    motivo = serializers.CharField(help_text="De una corrección.")


class AvisoSerializer(serializers.ModelSerializer[Aviso]):
    """A notice and what became of it; one row for each ingredient it named."""

    id = serializers.UUIDField(source="aviso_id")

    class Meta:
        model = Aviso
        fields = ["id", "insumo", "origen", "estado", "abierto_en", "cerrado_en"]
