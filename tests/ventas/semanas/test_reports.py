"""The sums of a week, by day and product."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from tests.support.sales import NOW, W47, close, enter, sale, void_of
from ventas import calendario
from ventas.semanas import reports

pytestmark = pytest.mark.django_db


def test_a_summary_adds_up_by_day_and_product(maestro_id: UUID) -> None:
    enter(
        sale(maestro_id, cantidad=2),
        sale(maestro_id, vendida_en=NOW + timedelta(days=1)),
        sale(maestro_id, producto="chico", precio_unitario=1_500, costo_unitario=380),
        sale(UUID(int=7), cantidad=50),
    )
    accounts = reports.resumen(W47, maestro_id)
    assert (accounts.cantidad_ventas, accounts.unidades, accounts.ingresos) == (3, 4, 7_500)
    assert accounts.ganancias == 3 * 1_390 + 1_120
    assert [day["unidades"] for day in accounts.por_dia] == [0, 0, 3, 1, 0, 0, 0]
    assert accounts.por_dia[2] == {
        "dia": "2026-11-18",
        "cantidad_ventas": 2,
        "unidades": 3,
        "ingresos": 5_500,
        "ganancias": 3_900,
    }
    assert accounts.por_producto == {"mediano": 3, "chico": 1}


def test_a_week_without_sales_is_all_zeros(maestro_id: UUID) -> None:
    accounts = reports.resumen(W47, maestro_id)
    assert {getattr(accounts, field) for field in reports.TOTALES} == {0}
    assert (accounts.tardias, accounts.anuladas, accounts.por_producto) == (0, 0, {})
    assert accounts.por_dia == [
        {"dia": day.isoformat(), "cantidad_ventas": 0, "unidades": 0, "ingresos": 0, "ganancias": 0}
        for day in calendario.dias(W47)
    ]
    assert reports.resumen(W47) == accounts


def test_sums_do_not_overflow(maestro_id: UUID) -> None:
    enter(*[sale(maestro_id, cantidad=1_000, precio_unitario=2_000_000_000) for _ in range(3)])
    assert reports.resumen(W47, maestro_id).ingresos == 6_000_000_000_000
    close(W47)


def test_the_summary_of_all_adds_all_maestros(maestro_id: UUID) -> None:
    enter(sale(maestro_id), sale(UUID(int=7), cantidad=2))
    assert reports.resumen(W47).unidades == 3


def test_sales_of_today_are_counted_by_the_hour(maestro_id: UUID) -> None:
    noon = NOW.replace(hour=15)  # 12:00 in Chile
    mistake = sale(maestro_id, vendida_en=noon)
    enter(
        mistake,
        sale(maestro_id, vendida_en=noon),
        sale(maestro_id, vendida_en=noon + timedelta(minutes=59)),
        sale(UUID(int=7), vendida_en=noon + timedelta(hours=3)),
        sale(maestro_id, vendida_en=noon - timedelta(days=1)),
        sale(maestro_id, vendida_en=noon + timedelta(days=1)),
    )
    enter(void_of(mistake))
    assert reports.ventas_por_hora(ahora=noon + timedelta(hours=4)) == {12: 2, 15: 1}


def test_a_day_of_25_hours_counts_both_of_its_hours(maestro_id: UUID) -> None:
    """In the night of 4 April 2026 the clock in Chile goes back from 24:00 to 23:00."""
    evening = datetime(2026, 4, 5, 2, 30, tzinfo=UTC)  # 23:30, for the first time
    enter(sale(maestro_id, vendida_en=evening), sale(maestro_id, vendida_en=evening + timedelta(hours=1)))
    assert reports.ventas_por_hora(ahora=evening + timedelta(minutes=80)) == {23: 2}


def test_sales_of_a_week_that_closed_early_are_counted(maestro_id: UUID) -> None:
    close(W47, NOW)
    enter(sale(maestro_id, vendida_en=NOW))
    assert sum(reports.ventas_por_hora(ahora=NOW).values()) == 1
