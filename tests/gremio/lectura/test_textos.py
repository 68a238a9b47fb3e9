"""Texts as they are pasted: cleaned, and then judged by the rules of today."""

import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gremio.lectura.direcciones import con_dominio_ascii
from gremio.lectura.textos import limpiar
from inscripciones.formulario import normalizacion

# Characters that word processors, telephones and chats add, between those of names and numbers.
PASTED = st.text(
    st.one_of(
        st.sampled_from("aeñÑ ó'’´`-–—.,+()0123456789Kk@\u0301\u0303"),
        st.sampled_from("\u00a0\u00ad\u200b\u200e\u202a\u202c\u2028\u2060\ufeff\t\n\r\x1f\x85\u3000\u1fef"),
        st.characters(),
    ),
    max_size=40,
)


@pytest.mark.parametrize(
    ("pasted", "clean"),
    [
        ("\u202a+56 9 8765 4321\u202c", "+56 9 8765 4321"),
        ("9\N{NO-BREAK SPACE}8765\N{EN DASH}4321", "9 8765-4321"),
        ("Bernardo O\N{ACUTE ACCENT}Higgins", "Bernardo O'Higgins"),
        ("O\N{RIGHT SINGLE QUOTATION MARK}Higgins", "O'Higgins"),
        ("Nun\u0303oa", "Ñuñoa".replace("Ñ", "N")),
        ("\N{ZERO WIDTH NO-BREAK SPACE}Rosa\N{ZERO WIDTH SPACE} N\N{SOFT HYPHEN}", "Rosa N"),
        ("uno\r\ndos\N{LINE SEPARATOR}tres\tcuatro\x07", "uno\ndos\ntres cuatro\x07"),
        ("a\x00b", "a\x00b"),
        ("+56\u20439\u02d78765\u25004321", "+56-9-8765-4321"),
        ("＋５６ ９ ８７６５ 𝟒𝟑𝟐𝟏", "+56 9 8765 4321"),
        ("Ｊoseﬁna O\N{MODIFIER LETTER RIGHT HALF RING}Brien\N{OBJECT REPLACEMENT CHARACTER}", "Josefina O'Brien"),
        ("o`brien+mote@example.cl", "o`brien+mote@example.cl"),
    ],
)
def test_a_pasted_text_is_cleaned(pasted: str, clean: str) -> None:
    assert limpiar(pasted) == clean


@given(PASTED)
def test_cleaning_twice_changes_nothing(text: str) -> None:
    clean = limpiar(text)
    assert limpiar(clean) == clean
    assert unicodedata.is_normalized("NFC", clean)


@pytest.mark.parametrize(
    "normalise",
    [normalizacion.nombre, normalizacion.telefono, normalizacion.rut, normalizacion.comprobante, normalizacion.comuna],
)
@given(text=PASTED)
def test_a_normal_form_survives_cleaning(normalise: Callable[[str], str], text: str) -> None:
    try:
        normal = normalise(text)
    except ValueError:
        return
    assert normalise(limpiar(text)) == normal
    assert normalise(limpiar(normal)) == normal


@pytest.mark.parametrize(
    ("typed", "deliverable"),
    [
        ("rosa@ñandu.cl", "rosa@xn--andu-fqa.cl"),
        ("rosa@ÑANDU.CL", "rosa@xn--andu-fqa.cl"),
        ("rosa@n\u0303andu.cl", "rosa@xn--andu-fqa.cl"),
        ("rosa@XN--ANDU-FQA.cl", "rosa@xn--andu-fqa.cl"),
        ("rosa@fa\N{LATIN SMALL LETTER SHARP S}.de", "rosa@xn--fa-hia.de"),  # Python's codec says fass.de
        ("rosa@example。cl", "rosa@example.cl"),
        ("rosa@Example.cl", "rosa@example.cl"),
        ("rosa", "rosa"),
        ("rosa@\u0378.cl", "rosa@\u0378.cl"),
    ],
)
def test_a_domain_has_one_spelling(typed: str, deliverable: str) -> None:
    assert con_dominio_ascii(typed) == deliverable
    assert con_dominio_ascii(deliverable) == deliverable
