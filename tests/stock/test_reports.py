"""When a cart runs out at its recent pace."""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from stock import consumers, reports
from stock.reports import HORIZON, Ritmo, se_agota_en
from tests.stock.carts import approval, automatic_notices, sale_of
from tests.support.sales import NOW, void_of


def ago(**time: float) -> datetime:
    return NOW - timedelta(**time)


@pytest.mark.parametrize(
    ("cantidad", "vendido", "desde", "lasts"),
    [
        (10, 10, ago(minutes=30), timedelta(minutes=30)),
        (5, 10, ago(minutes=30), timedelta(minutes=15)),
        (0, 10, ago(minutes=30), timedelta(0)),
        (-3, 10, ago(minutes=30), timedelta(0)),  # below zero is out, not in the past
        (9, 1, NOW, timedelta(minutes=9)),  # one sale just now counts as one per minute
        (9, 1, NOW + timedelta(hours=1), timedelta(minutes=9)),  # a client's clock that runs ahead
    ],
)
def test_stock_lasts_as_long_as_the_pace_says(cantidad: int, vendido: int, desde: datetime, lasts: timedelta) -> None:
    assert se_agota_en(cantidad, Ritmo(vendido, desde), ahora=NOW) == NOW + lasts


@pytest.mark.parametrize("ritmo", [None, Ritmo(0, ago(minutes=5)), Ritmo(-4, ago(minutes=5)), Ritmo(1, ago(hours=1))])
def test_no_forecast_without_a_pace_or_beyond_a_month(ritmo: Ritmo | None) -> None:
    assert se_agota_en(10**6, ritmo, ahora=NOW) is None


@given(st.integers(-(10**9), 10**12), st.integers(-(10**9), 10**9), st.timedeltas(timedelta(0), timedelta(hours=1)))
def test_a_forecast_is_between_now_and_the_horizon(cantidad: int, vendido: int, since: timedelta) -> None:
    end = se_agota_en(cantidad, Ritmo(vendido, NOW - since), ahora=NOW)
    assert end is None or NOW <= end <= NOW + HORIZON + timedelta(microseconds=1)


def test_the_pace_is_of_the_last_hour_less_voids(rosa: UUID) -> None:
    old, voided, counted = (sale_of(rosa, ago(minutes=m), vaso=2) for m in (61, 40, 20))
    consumers.descontar_ventas([old, voided, counted])
    consumers.devolver_anuladas([void_of(voided)])
    vaso = next(line for line in reports.estado_del_carro(rosa, ahora=NOW) if line.insumo == "vaso")
    assert (vaso.cantidad, vaso.se_agota_en) == (6, NOW + timedelta(minutes=120))  # 2 in 40 minutes


def test_the_carts_that_run_out_next_are_those_of_the_forecasts(rosa: UUID) -> None:
    """The list is computed in SQL, and a maestro's own forecast in Python."""
    others = [uuid4() for _ in range(3)]
    consumers.abrir_carros([approval(maestro_id, f"Maestro {n}") for n, maestro_id in enumerate(others)])
    unopened = uuid4()
    sold = {others[0]: 4, others[1]: 9, unopened: 5, others[2]: 10}  # the last one is out, and so not next
    for maestro_id, count in sold.items():
        consumers.descontar_ventas([sale_of(maestro_id, ago(minutes=5 + n)) for n in range(count)])
    found = reports.proximos_en_agotarse(9, ahora=NOW)
    assert [one.maestro_id for one in found] == [others[1], others[0]]
    for one in found:
        forecasts = [line.se_agota_en for line in reports.estado_del_carro(one.maestro_id, ahora=NOW)]
        earliest = min(moment for moment in forecasts if moment)
        assert abs(one.se_agota_en - earliest) < timedelta(milliseconds=1)
    assert [one.maestro_id for one in reports.proximos_en_agotarse(1, ahora=NOW)] == [others[1]]


def test_restocks_of_today_are_counted_by_the_hour(rosa: UUID) -> None:
    consumers.descontar_ventas([sale_of(rosa, ago(minutes=n)) for n in range(10)])
    consumers.reponer_carros(automatic_notices())
    now = timezone.now()
    assert reports.reposiciones_por_hora(ahora=now) == {timezone.localtime(now).hour: 1}
    assert reports.reposiciones_por_hora(ahora=now + timedelta(days=1)) == {}
