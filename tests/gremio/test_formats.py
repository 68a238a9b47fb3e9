"""Numbers, money, durations and times as people in Chile write them."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from gremio.formats import a_las, con_unidad, cuando, duracion, medida, miles, pesos

CHILE = ZoneInfo("America/Santiago")
AHORA = datetime(2026, 11, 25, 15, 12, tzinfo=CHILE)


@pytest.mark.parametrize(("cantidad", "text"), [(0, "0"), (999, "999"), (1_500, "1.500"), (-1_234_567, "-1.234.567")])
def test_miles(cantidad: int, text: str) -> None:
    assert miles(cantidad) == text


def test_con_unidad() -> None:
    assert con_unidad(1_500, "g") == "1.500 g"


def test_pieces_have_no_unit() -> None:
    assert (medida(1_500, "g"), medida(3, "un")) == ("1.500 g", "3")


@pytest.mark.parametrize(
    ("momento", "text"),
    [
        ("2026-11-25T15:12", "hoy 15:12"),
        ("2026-11-25T00:00", "hoy 0:00"),
        ("2026-11-24T23:59", "ayer 23:59"),
        ("2026-11-26T09:05", "mañana 9:05"),
        ("2026-11-21T09:05", "sábado 21 de noviembre 9:05"),
        ("2025-01-03T09:05", "3 de enero de 2025 9:05"),
    ],
)
def test_a_moment_in_words(momento: str, text: str) -> None:
    moment = datetime.fromisoformat(momento).replace(tzinfo=CHILE)
    assert cuando(moment.astimezone(UTC), ahora=AHORA, zona=CHILE) == text


def test_a_day_begins_on_the_maestros_clock() -> None:
    moment = datetime(2026, 11, 25, 3, 30, tzinfo=UTC)
    easter_island = ZoneInfo("Pacific/Easter")
    assert cuando(moment, ahora=AHORA, zona=CHILE) == "hoy 0:30"
    assert cuando(moment, ahora=AHORA, zona=easter_island) == "ayer 22:30"


@pytest.mark.parametrize(
    ("momento", "text"),
    [
        ("2026-11-25T15:51", "a las 15:51"),
        ("2026-11-26T01:05", "mañana a la 1:05"),
        ("2026-11-27T09:05", "el viernes 27 de noviembre"),
    ],
)
def test_a_coming_moment_in_words(momento: str, text: str) -> None:
    assert a_las(datetime.fromisoformat(momento).replace(tzinfo=CHILE), ahora=AHORA, zona=CHILE) == text


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
