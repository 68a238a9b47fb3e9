"""What HTTP adds to an enrolment: each field in its normal form, or the reason in Spanish at that field."""

from collections.abc import Callable
from typing import Any

from rest_framework import serializers

from inscripciones import normalizacion


class CampoNormal(serializers.CharField):
    """Text that `formato` brings to its normal form."""

    def __init__(self, normalizar: Callable[[str], str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.normalizar = normalizar

    def to_internal_value(self, data: Any) -> str:
        texto = super().to_internal_value(data)
        try:
            normal = self.normalizar(texto)
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from None
        return _dentro_del_largo(self, normal)


class CorreoNormal(serializers.EmailField):
    def to_internal_value(self, data: Any) -> str:
        return _dentro_del_largo(self, normalizacion.email(super().to_internal_value(data)))


def _dentro_del_largo(campo: serializers.CharField, normal: str) -> str:
    """Composing accents and lower case can make a text longer than the one that was checked."""
    if campo.max_length is not None and len(normal) > campo.max_length:
        campo.fail("max_length", max_length=campo.max_length)
    return normal


class FormularioSerializer(serializers.Serializer[dict[str, Any]]):
    """The form of an enrolment, as it arrives."""

    nombre = CampoNormal(normalizacion.nombre, max_length=120, help_text="Nombre y apellidos.")
    rut = CampoNormal(normalizacion.rut, max_length=20, label="RUT", help_text="Con dígito verificador: 12.345.678-5.")
    email = CorreoNormal(
        max_length=254,
        label="Correo",
        help_text="Aquí llegan tus credenciales.",
        error_messages={"invalid": "No es un correo: escríbelo como nombre@ejemplo.cl."},
    )
    telefono = CampoNormal(normalizacion.telefono, max_length=30, label="Teléfono", help_text="+56 9 8765 4321")
    comuna = CampoNormal(normalizacion.comuna, max_length=60, help_text="Donde trabajas: Ñuñoa.")
    paid = serializers.BooleanField(default=False, label="Pagada", help_text="Si pagaste, tu revisión va primero.")
    comprobante_pago = CampoNormal(
        normalizacion.comprobante,
        max_length=100,
        default="",
        allow_blank=True,
        label="Comprobante de pago",
        help_text="El código del comprobante. Obligatorio si pagaste.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["paid"] and not attrs["comprobante_pago"]:
            raise serializers.ValidationError({"comprobante_pago": "Si pagaste, escribe el código de tu comprobante."})
        return attrs


class RecibidaSerializer(serializers.Serializer[dict[str, Any]]):
    """The answer to a form that was accepted."""

    id = serializers.UUIDField()
    estado = serializers.ChoiceField(["recibida"])
    via = serializers.ChoiceField(["paid", "normal"])
    url = serializers.URLField(help_text="Dónde seguir tu inscripción.")


class SeguimientoSerializer(serializers.Serializer[dict[str, Any]]):
    """How an enrolment is doing. `motivo` is the reason of a rejection."""

    id = serializers.UUIDField()
    estado = serializers.ChoiceField(["recibida", "en_revision", "aprobada", "rechazada"])
    via = serializers.ChoiceField(["paid", "normal"])
    recibida_en = serializers.DateTimeField(allow_null=True)
    resuelta_en = serializers.DateTimeField(allow_null=True)
    motivo = serializers.CharField(allow_null=True)


class TokenSerializer(serializers.Serializer[Any]):
    """A token as it can be shown: never whole."""

    clave = serializers.CharField(source="token_key", help_text="Sus primeros caracteres.")
    creado_en = serializers.DateTimeField(source="created")
    vence_en = serializers.DateTimeField(source="expiry")


class TokenNuevoSerializer(serializers.Serializer[dict[str, Any]]):
    """The only time that a token can be read."""

    token = serializers.CharField()
    vence_en = serializers.DateTimeField()
