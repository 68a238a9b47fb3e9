"""Numbers, money and durations as people in Chile write them."""

import pytest

from gremio.formats import con_unidad, duracion, miles, pesos


@pytest.mark.parametrize(("cantidad", "text"), [(0, "0"), (999, "999"), (1_500, "1.500"), (-1_234_567, "-1.234.567")])
def test_miles(cantidad: int, text: str) -> None:
    assert miles(cantidad) == text


def test_con_unidad() -> None:
    assert con_unidad(1_500, "g") == "1.500 g"


@pytest.mark.parametrize(("monto", "text"), [(0, "$0"), (12_500, "$12.500"), (-1_000, "-$1.000")])
def test_pesos(monto: int, text: str) -> None:
    assert pesos(monto) == text


@pytest.mark.parametrize(
    ("segundos", "text"),
    [
        (0.44, "0,4 s"),
        (9.94, "9,9 s"),
        (90, "90 s"),
        (180, "3 min"),
        (18_000, "5 h"),
        (172_800, "2 días"),
    ],
)
def test_duracion(segundos: float, text: str) -> None:
    assert duracion(segundos) == text
