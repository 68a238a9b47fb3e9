"""When a cart runs out at its recent pace."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock import consumers, reports
from stock.reports import HORIZONTE, Ritmo, se_agota_en
from tests.stock.guion import AHORA, anulada, venta


def hace(**ago: float) -> datetime:
    return AHORA - timedelta(**ago)


@pytest.mark.parametrize(
    ("cantidad", "vendido", "desde", "falta"),
    [
        (10, 10, hace(minutes=30), timedelta(minutes=30)),
        (5, 10, hace(minutes=30), timedelta(minutes=15)),
        (0, 10, hace(minutes=30), timedelta(0)),
        (-3, 10, hace(minutes=30), timedelta(0)),  # below zero is out, not in the past
        (9, 1, AHORA, timedelta(minutes=9)),  # one sale just now counts as one a minute
        (9, 1, AHORA + timedelta(hours=1), timedelta(minutes=9)),  # a client's clock that runs ahead
    ],
)
def test_what_is_left_lasts_as_long_as_the_pace_says(
    cantidad: int, vendido: int, desde: datetime, falta: timedelta
) -> None:
    assert se_agota_en(cantidad, Ritmo(vendido, desde), ahora=AHORA) == AHORA + falta


@pytest.mark.parametrize(
    "ritmo", [None, Ritmo(0, hace(minutes=5)), Ritmo(-4, hace(minutes=5)), Ritmo(1, hace(hours=1))]
)
def test_without_a_pace_or_beyond_a_month_nobody_can_tell(ritmo: Ritmo | None) -> None:
    assert se_agota_en(10**6, ritmo, ahora=AHORA) is None


@given(st.integers(-(10**9), 10**12), st.integers(-(10**9), 10**9), st.timedeltas(timedelta(0), timedelta(hours=1)))
def test_it_is_never_in_the_past_nor_beyond_the_horizon(cantidad: int, vendido: int, ago: timedelta) -> None:
    end = se_agota_en(cantidad, Ritmo(vendido, AHORA - ago), ahora=AHORA)
    assert end is None or AHORA <= end <= AHORA + HORIZONTE + timedelta(microseconds=1)


def test_the_pace_is_of_the_last_hour_and_net_of_voids(rosa: UUID) -> None:
    old, voided, counted = (venta(rosa, hace(minutes=m), vaso=2) for m in (61, 40, 20))
    consumers.descontar_ventas([old, voided, counted])
    consumers.devolver_anuladas([anulada(voided)])
    vaso = next(linea for linea in reports.estado_del_carro(rosa, ahora=AHORA) if linea.insumo == "vaso")
    assert (vaso.cantidad, vaso.se_agota_en) == (6, AHORA + timedelta(minutes=120))  # 2 in 40 minutes
