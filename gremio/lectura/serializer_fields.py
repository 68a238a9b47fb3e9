"""Bodies of the API: fields that read what people in Chile type, and no field that is unknown."""

from collections.abc import Mapping
from typing import Any, Final

from rest_framework import serializers
from rest_framework.fields import empty

from gremio.lectura import numeros
from gremio.lectura.direcciones import con_dominio_ascii
from gremio.lectura.textos import limpiar
from kafka_bridge.publishing import rest

# What the forms of the pages send besides their fields.
FORM_FIELDS: Final = {"csrfmiddlewaretoken", rest.KEY}


class StrictSerializer(serializers.Serializer[Any]):
    """A body with the declared fields only.

    A misspelled name of an optional field would otherwise be accepted, and mean something else: a
    sale of yesterday would get the time and the price of today.
    """

    def run_validation(self, data: Any = empty) -> Any:
        """Read the body. Raises ValidationError; DRF says in English what is wrong with `null`."""
        if data is None:
            raise serializers.ValidationError({"detail": [f"Falta un objeto con {', '.join(self.fields)}."]})
        return super().run_validation(data)

    def to_internal_value(self, data: Any) -> Any:
        """Read the fields. Raises ValidationError for each one that is not declared."""
        unknown = set(data) - {*self.fields, *FORM_FIELDS} if isinstance(data, Mapping) else ()
        if unknown:
            text = f"No se lee este campo: los que van son {', '.join(self.fields)}."
            raise serializers.ValidationError({str(name)[:60]: [text] for name in sorted(unknown)[:10]})
        return super().to_internal_value(data)


class EnteroField(serializers.IntegerField):
    """A whole number. A text is read as in Chile, `1.000` as one thousand; `1.0` is refused.

    DRF's own field removes zeros after a dot and reads 1 in both. A JSON number with a fraction or
    an exponent is refused too: `1.000` may be a thousand that a program wrote as people do.
    """

    def __init__(self, **kwargs: Any) -> None:
        # The page's form has a box of text: a box of numbers reads dots in the browser's own way.
        super().__init__(**{"style": {"input_type": "text"}, **kwargs})

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, int) and not isinstance(data, bool):
            return data
        try:
            return numeros.entero(data if isinstance(data, str) else "")
        except ValueError as error:
            raise serializers.ValidationError(str(error), code="invalid") from None


class TextoField(serializers.CharField):
    """A text, cleaned before it is judged."""

    def run_validation(self, data: Any = empty) -> Any:
        return super().run_validation(limpiar(data) if isinstance(data, str) else data)


class CorreoField(serializers.EmailField):
    """An e-mail address, cleaned, with its domain in the form that mail servers use."""

    def run_validation(self, data: Any = empty) -> Any:
        return super().run_validation(con_dominio_ascii(limpiar(data)) if isinstance(data, str) else data)
