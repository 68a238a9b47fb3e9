"""Bodies of the API: no field that is unknown, and errors in Spanish."""

from gremio.lectura.serializer_fields import StrictSerializer, TextoField


class Saludo(StrictSerializer):
    nombre = TextoField()
    motivo = TextoField(required=False)


def errors_of(data: object) -> object:
    saludo = Saludo(data=data)
    return None if saludo.is_valid() else saludo.errors


def test_each_unknown_field_is_named() -> None:
    assert errors_of({"nombre": "Rosa", "csrfmiddlewaretoken": "x", "Idempotency-Key": "y"}) is None
    text = "No se lee este campo: los que van son nombre, motivo."
    assert errors_of({"nombre": "Rosa", "Motivo": "x", "razon": "y"}) == {"Motivo": [text], "razon": [text]}
    assert errors_of({"nombre": "Rosa", "x" * 5_000: 1}) == {"x" * 60: [text]}


def test_a_body_that_is_null_is_explained_in_spanish() -> None:
    assert errors_of(None) == {"detail": ["Falta un objeto con nombre, motivo."]}
