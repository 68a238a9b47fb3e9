"""Normal forms: one per value, however it is typed; a reason in Spanish for what is wrong."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inscripciones.formulario import normalizacion
from tests.support.people import make_rut

NUMBERS = st.integers(1_000_000, 99_999_999)


@given(
    NUMBERS,
    st.sampled_from(
        ["{}.{}.{}-{}", "{}{}{}-{}", "{}{}{}{}", "{},{},{}–{}", " {} {} {} {} ", "0{}.{}.{}-{}", "CL{}{}{}-{}"]
    ),
)
def test_a_rut_has_one_normal_form(number: int, pattern: str) -> None:
    body, digit = make_rut(number).split("-")
    texto = pattern.format(body[:-6], body[-6:-3], body[-3:], digit.lower())
    assert normalizacion.rut(texto) == f"{body}-{digit}"


@given(NUMBERS, st.sampled_from("0123456789K"))
def test_a_wrong_check_digit_is_refused(number: int, digit: str) -> None:
    body, right = make_rut(number).split("-")
    if digit != right:
        with pytest.raises(ValueError, match="dígito verificador"):
            normalizacion.rut(f"{body}-{digit}")


@pytest.mark.parametrize(
    "texto", ["", "-", "123", "hola", "12.345.678", "12.345.67A-5", "123.456.789.012-3", "١٢٣٤٥٦٧٨-5"]
)
def test_an_invalid_rut_is_refused(texto: str) -> None:
    with pytest.raises(ValueError, match="RUT"):
        normalizacion.rut(texto)


@pytest.mark.parametrize(
    "texto",
    [
        "+56 9 8765 4321",
        "56987654321",
        "987654321",
        "9 8765 4321",
        "(+56) 9-8765-4321",
        "0056 9 8765 4321",
        "09 8765 4321",
        "tel:+56-9-8765-4321",
        "\u202a９ 8765–4321\u202c",
    ],
)
def test_a_telephone_has_one_normal_form(texto: str) -> None:
    assert normalizacion.telefono(texto) == "+56987654321"


@pytest.mark.parametrize(
    "texto", ["", "8765 4321", "+54 9 11 8765 4321", "+1 202 555 0100", "98765432a", "1" * 9, "+569876543210"]
)
def test_a_telephone_abroad_is_refused(texto: str) -> None:
    with pytest.raises(ValueError, match="teléfono"):
        normalizacion.telefono(texto)


def test_there_are_346_comunas() -> None:
    assert len(normalizacion.comunas()) == 346


@pytest.mark.parametrize("nombre", normalizacion.comunas())
def test_a_comuna_needs_no_case_or_accents(nombre: str) -> None:
    plain = unicodedata.normalize("NFKD", nombre).encode("ascii", "ignore").decode()
    assert normalizacion.comuna(nombre) == normalizacion.comuna(f" {plain.upper()} ") == nombre


@pytest.mark.parametrize("texto", ["", "Macondo", "Buenos Aires", "123"])
def test_an_unknown_comuna_is_refused(texto: str) -> None:
    with pytest.raises(ValueError, match="comuna"):
        normalizacion.comuna(texto)


@pytest.mark.parametrize("nombre", ["Rosa Ñáñez Peña", "María-José O'Higgins", "Ana", "Søren Ó Briain Jr."])
def test_names_keep_their_accents(nombre: str) -> None:
    assert normalizacion.nombre(f"  {unicodedata.normalize('NFD', nombre)}\n ") == nombre


@pytest.mark.parametrize("texto", ["", "7", "123 456", "<b>Rosa</b>", "rosa_peña", "a@b.cl", "Rosa\x07Peña"])
def test_an_invalid_name_is_refused(texto: str) -> None:
    with pytest.raises(ValueError, match="nombre"):
        normalizacion.nombre(texto)


@pytest.mark.parametrize("texto", ["www.premio-gratis.com Rosa", "premio.cl", "http://premio.cl", "Rosa x@premio.cl"])
def test_a_name_carries_no_web_address(texto: str) -> None:
    with pytest.raises(ValueError, match="nombre"):
        normalizacion.nombre(texto)


@pytest.mark.parametrize(
    ("correo", "buzon"),
    [
        ("Rosa.N+mote@gmail.com", "rosan@gmail.com"),
        ("rosan@googlemail.com", "rosan@gmail.com"),
        ("rosa.n+x+y@example.cl", "rosa.n@example.cl"),
        ("+x@example.cl", "+x@example.cl"),
    ],
)
def test_aliases_are_one_mailbox(correo: str, buzon: str) -> None:
    assert normalizacion.buzon(correo) == buzon


@given(st.text(max_size=40))
def test_normalising_twice_changes_nothing(texto: str) -> None:
    for normalise in (
        normalizacion.rut,
        normalizacion.telefono,
        normalizacion.comuna,
        normalizacion.nombre,
        normalizacion.comprobante,
    ):
        try:
            normal = normalise(texto)
        except ValueError:
            continue
        assert normalise(normal) == normal
