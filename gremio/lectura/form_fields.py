"""Fields of Django's forms that read numbers and texts as people in Chile type them."""

from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.widgets import Widget

from gremio.lectura import numeros
from gremio.lectura.direcciones import con_dominio_ascii
from gremio.lectura.textos import limpiar


class EnteroField(forms.IntegerField):
    """A whole number: `3.000` is three thousand, and `3.00` is refused.

    Django's own field removes zeros after a dot, and reads 3 in both.
    """

    def to_python(self, value: Any) -> int | None:
        if value in self.empty_values:
            return None
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        try:
            return numeros.entero(str(value))
        except ValueError as error:
            raise ValidationError(str(error), code="invalid") from None

    def widget_attrs(self, widget: Widget) -> dict[str, Any]:
        """Make the box one of text: a browser's box of numbers reads dots in its own way."""
        return _as_text(widget, "numeric")


class DecimalField(forms.DecimalField):
    """A number with decimals: `1,20`, `1.20` or `1.200,50`. It is shown with a comma."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "localize": True})

    def to_python(self, value: Any) -> Decimal | None:  # type: ignore[override]  # the stubs say int
        if value in self.empty_values:
            return None
        if isinstance(value, Decimal | int):
            return Decimal(value)
        try:
            return numeros.decimal(str(value))
        except ValueError as error:
            raise ValidationError(str(error), code="invalid") from None

    def widget_attrs(self, widget: Widget) -> dict[str, Any]:
        """Make the box one of text, as EnteroField does."""
        return _as_text(widget, "decimal")


class TextoField(forms.CharField):
    """A text, cleaned before it is judged."""

    def to_python(self, value: Any) -> str | None:
        return super().to_python(limpiar(value) if isinstance(value, str) else value)


class CorreoField(forms.EmailField):
    """An e-mail address, cleaned, with its domain in the form that mail servers use."""

    def to_python(self, value: Any) -> str | None:
        return super().to_python(con_dominio_ascii(limpiar(value).strip()) if isinstance(value, str) else value)


def _as_text(widget: Widget, mode: str) -> dict[str, Any]:
    if not isinstance(widget, forms.HiddenInput) and isinstance(widget, forms.NumberInput):
        widget.input_type = "text"
    return {"inputmode": mode}
