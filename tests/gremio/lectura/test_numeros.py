"""Numbers as people in Chile type them: read in the one way that is meant, or refused."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gremio.formats import miles, pesos
from gremio.lectura import numeros


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("3000", 3_000),
        ("3.000", 3_000),
        ("3 000", 3_000),
        ("3\N{NO-BREAK SPACE}000", 3_000),
        ("$3.000", 3_000),
        ("$ 3.000.-", 3_000),
        (" 1.234.567 ", 1_234_567),
        ("-1.500", -1_500),
        ("\N{MINUS SIGN}7", -7),
        ("+5", 5),
        ("３．０００", 3_000),
        ("＄𝟑000", 3_000),
    ],
)
def test_a_whole_number_is_read(typed: str, meant: int) -> None:
    assert numeros.entero(typed) == meant


@pytest.mark.parametrize(
    "typed",
    [
        *("3.00", "3,5", "1.5", "3,000", "1.0", "3.0000", "0.500", "1.000 000", "1.00.000", "3.000 ml", "1e3", "3_000"),
        *("3.000,50", "3'000"),
        *("", "$", "-", ".", "--3", "0x10", "\N{ARABIC-INDIC DIGIT THREE}", "9" * 5_000, "1.000,00", "3.", ".5"),
    ],
)
def test_other_texts_are_no_whole_number(typed: str) -> None:
    with pytest.raises(ValueError, match="Escribe un número entero"):
        numeros.entero(typed)


@given(st.integers(-(10**17), 10**17))
def test_what_we_write_is_read_back(number: int) -> None:
    assert numeros.entero(str(number)) == numeros.entero(miles(number)) == numeros.entero(pesos(number)) == number


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        *(("1,20", "1.20"), ("1.20", "1.20"), ("1.2", "1.2"), ("1.200", "1200"), ("1.200,50", "1200.50")),
        *(("$0,5", "0.5"), ("12", "12")),
    ],
)
def test_a_decimal_number_is_read(typed: str, meant: str) -> None:
    assert numeros.decimal(typed) == Decimal(meant)


@pytest.mark.parametrize("typed", ["1,2,3", "1.200.50", "0.500", "1e3", "NaN", "1,200.50", "uno"])
def test_other_texts_are_no_decimal_number(typed: str) -> None:
    with pytest.raises(ValueError, match="Escribe un número"):
        numeros.decimal(typed)
