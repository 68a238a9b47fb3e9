"""The week's arithmetic, through both changes of Chile's clocks."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ventas import calendario

MOMENTS = st.datetimes(datetime(2019, 1, 1), datetime(2031, 1, 1), timezones=st.just(UTC))
DATES = st.dates(date(2000, 1, 3), date(2999, 12, 1))


@given(MOMENTS)
def test_every_moment_is_in_its_week(moment: datetime) -> None:
    lunes = calendario.semana_de(moment)
    begin, end = calendario.limites(lunes)
    assert begin <= moment < end
    assert lunes.weekday() == 0


@given(DATES)
def test_weeks_leave_no_gap(day: date) -> None:
    lunes = calendario.lunes_de(day)
    assert calendario.limites(lunes)[1] == calendario.limites(lunes + calendario.SEMANA)[0]
    assert calendario.dias(lunes)[0] == lunes <= day <= calendario.dias(lunes)[-1]


@given(DATES)
def test_a_name_leads_back_to_its_week(day: date) -> None:
    lunes = calendario.lunes_de(day)
    assert calendario.lunes_de_codigo(calendario.codigo(lunes)) == lunes


@pytest.mark.parametrize(
    ("lunes", "hours"),
    [
        (date(2026, 11, 16), 168),
        (date(2026, 3, 30), 169),  # winter time begins: the night to Sunday 5 April has one hour more
        (date(2026, 8, 31), 167),  # summer time begins: Sunday 6 September has no 00:30
    ],
)
def test_clock_changes_alter_a_weeks_length(lunes: date, hours: int) -> None:
    begin, end = calendario.limites(lunes)
    assert end - begin == timedelta(hours=hours)


def test_a_week_begins_at_chilean_midnight() -> None:
    assert calendario.limites(date(2026, 11, 16))[0] == datetime(2026, 11, 16, 3, tzinfo=UTC)  # summer: UTC-3
    assert calendario.limites(date(2026, 6, 15))[0] == datetime(2026, 6, 15, 4, tzinfo=UTC)  # winter: UTC-4


def test_midnight_separates_sunday_and_monday() -> None:
    midnight = datetime(2026, 11, 23, 3, tzinfo=UTC)
    assert calendario.semana_de(midnight - timedelta(seconds=1)) == date(2026, 11, 16)
    assert calendario.semana_de(midnight) == date(2026, 11, 23)


def test_a_day_without_midnight_begins_at_one() -> None:
    assert calendario.comienzo(date(2026, 9, 6)) == datetime(2026, 9, 6, 4, tzinfo=UTC)  # 24:00 is 01:00
    assert calendario.dia_en_chile(datetime(2026, 9, 6, 3, 59, tzinfo=UTC)) == date(2026, 9, 5)


@pytest.mark.parametrize("text", ["2026-W54", "2026-W00", "2025-W53", "2026W47", "26-W47", "9999-W52", "", "2026-W٤٧"])
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"ISO week|Invalid week"):
        calendario.lunes_de_codigo(text)


def test_some_years_have_a_week_53() -> None:
    assert calendario.lunes_de_codigo("2026-W53") == date(2026, 12, 28)


@pytest.mark.parametrize("text", ["2026-11-23T12:00:00-03:00", "2026-11-23T12:00:00"])
def test_a_moment_without_offset_is_chilean(text: str) -> None:
    noon = datetime(2026, 11, 23, 12, tzinfo=calendario.CHILE)
    assert calendario.con_zona(datetime.fromisoformat(text)) == noon
