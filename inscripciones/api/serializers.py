"""The API's bodies. Each field of a form is normalised, or refused with a reason in Spanish.

The serializers' docstrings are part of the API's documentation, which is in Spanish.
"""

from collections.abc import Callable
from typing import Any

from rest_framework import serializers

from gremio.lectura.serializer_fields import CorreoField, StrictSerializer, TextoField
from inscripciones.formulario import normalizacion


class NormalisedField(TextoField):
    """A text in the normal form that a function of `normalizacion` returns."""

    def __init__(self, normalise: Callable[[str], str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.normalise = normalise

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        try:
            normal = self.normalise(text)
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from None
        return _check_length(self, normal)


class NormalisedEmailField(CorreoField):
    """An e-mail address in lower case, its domain in ASCII."""

    def to_internal_value(self, data: Any) -> str:
        return _check_length(self, normalizacion.email(super().to_internal_value(data)))


def _check_length(field: serializers.CharField, normal: str) -> str:
    """Check the length again: a composed accent or lower case can be longer than what was typed."""
    if field.max_length is not None and len(normal) > field.max_length:
        field.fail("max_length", max_length=field.max_length)
    return normal


class FormularioSerializer(StrictSerializer):
    """El formulario de inscripción."""

    nombre = NormalisedField(normalizacion.nombre, max_length=120, help_text="Nombre y apellidos.")
    rut = NormalisedField(
        normalizacion.rut, max_length=20, label="RUT", help_text="Con dígito verificador: 12.345.678-5."
    )
    email = NormalisedEmailField(
        max_length=254,
        label="Correo",
        help_text="Aquí llegan tus credenciales.",
        error_messages={"invalid": "No es un correo: escríbelo como nombre@ejemplo.cl."},
    )
    telefono = NormalisedField(normalizacion.telefono, max_length=30, label="Teléfono", help_text="+56 9 8765 4321")
    comuna = NormalisedField(normalizacion.comuna, max_length=60, help_text="Donde trabajas: Ñuñoa.")
    paid = serializers.BooleanField(default=False, label="Pagada", help_text="Si pagaste, tu revisión va primero.")
    comprobante_pago = NormalisedField(
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
    """La respuesta a un formulario aceptado."""

    id = serializers.UUIDField()
    estado = serializers.ChoiceField(["recibida"])
    via = serializers.ChoiceField(["paid", "normal"])
    url = serializers.URLField(help_text="Dónde seguir tu inscripción.")


class SeguimientoSerializer(serializers.Serializer[dict[str, Any]]):
    """El estado de una inscripción. `motivo` dice por qué se rechazó."""

    id = serializers.UUIDField()
    estado = serializers.ChoiceField(["recibida", "en_revision", "aprobada", "rechazada"])
    via = serializers.ChoiceField(["paid", "normal"])
    recibida_en = serializers.DateTimeField(allow_null=True)
    resuelta_en = serializers.DateTimeField(allow_null=True)
    motivo = serializers.CharField(allow_null=True)


class TokenSerializer(serializers.Serializer[Any]):
    """Un token, como lo muestra la API: solo su comienzo."""

    clave = serializers.CharField(source="token_key", help_text="Sus primeros caracteres.")
    creado_en = serializers.DateTimeField(source="created")
    vence_en = serializers.DateTimeField(source="expiry")


class CambioDeTokenSerializer(StrictSerializer):
    """Qué token se cambia."""

    clave = TextoField(
        required=False,
        allow_blank=True,
        help_text="Los primeros caracteres del token que cambias, como en GET tokens/; vacío si no tienes. Si ya no es "
        "ese, es un 409 y no cambia nada. Hace falta solo sin `Authorization`: ahí va el token que cambias.",
    )


class TokenNuevoSerializer(serializers.Serializer[dict[str, Any]]):
    """Un token nuevo: ninguna otra respuesta vuelve a mostrarlo."""

    token = serializers.CharField()
    vence_en = serializers.DateTimeField()
