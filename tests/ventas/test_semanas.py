"""The week's arithmetic, through both changes of Chile's clocks."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ventas import calendario

MOMENTOS = st.datetimes(datetime(2019, 1, 1), datetime(2031, 1, 1), timezones=st.just(UTC))
DIAS = st.dates(date(2000, 1, 3), date(2999, 12, 1))


@given(MOMENTOS)
def test_every_moment_lies_in_exactly_its_week(momento: datetime) -> None:
    lunes = calendario.semana_de(momento)
    desde, hasta = calendario.limites(lunes)
    assert desde <= momento < hasta
    assert lunes.weekday() == 0


@given(DIAS)
def test_weeks_touch_without_a_gap(dia: date) -> None:
    lunes = calendario.lunes_de(dia)
    assert calendario.limites(lunes)[1] == calendario.limites(lunes + calendario.SEMANA)[0]
    assert calendario.dias(lunes)[0] == lunes <= dia <= calendario.dias(lunes)[-1]


@given(DIAS)
def test_a_weeks_name_leads_back_to_it(dia: date) -> None:
    lunes = calendario.lunes_de(dia)
    assert calendario.lunes_de_codigo(calendario.codigo(lunes)) == lunes


@pytest.mark.parametrize(
    ("lunes", "horas"),
    [
        (date(2026, 11, 16), 168),
        (date(2026, 3, 30), 169),  # winter time begins: the night to Sunday 5 April has one hour more
        (date(2026, 8, 31), 167),  # summer time begins: Sunday 6 September has no 00:30
    ],
)
def test_two_weeks_a_year_have_another_length(lunes: date, horas: int) -> None:
    desde, hasta = calendario.limites(lunes)
    assert hasta - desde == timedelta(hours=horas)


def test_a_week_begins_at_midnight_in_chile_whatever_the_offset() -> None:
    assert calendario.limites(date(2026, 11, 16))[0] == datetime(2026, 11, 16, 3, tzinfo=UTC)  # summer: UTC-3
    assert calendario.limites(date(2026, 6, 15))[0] == datetime(2026, 6, 15, 4, tzinfo=UTC)  # winter: UTC-4


def test_the_last_second_of_sunday_and_the_first_of_monday_are_in_different_weeks() -> None:
    medianoche = datetime(2026, 11, 23, 3, tzinfo=UTC)
    assert calendario.semana_de(medianoche - timedelta(seconds=1)) == date(2026, 11, 16)
    assert calendario.semana_de(medianoche) == date(2026, 11, 23)


def test_the_days_of_a_clock_change_begin_when_the_clock_says() -> None:
    assert calendario.comienzo(date(2026, 9, 6)) == datetime(2026, 9, 6, 4, tzinfo=UTC)  # 24:00 is 01:00
    assert calendario.dia_en_chile(datetime(2026, 9, 6, 3, 59, tzinfo=UTC)) == date(2026, 9, 5)


@pytest.mark.parametrize("texto", ["2026-W54", "2026-W00", "2025-W53", "2026W47", "26-W47", "9999-W52", "", "2026-W٤٧"])
def test_what_names_no_week_is_refused(texto: str) -> None:
    with pytest.raises(ValueError, match=r"ISO week|Invalid week"):
        calendario.lunes_de_codigo(texto)


def test_the_53rd_week_exists_in_the_years_that_have_it() -> None:
    assert calendario.lunes_de_codigo("2026-W53") == date(2026, 12, 28)
