"""The ledger: each sale once, in the week that is open for it."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from pytest_django import DjangoAssertNumQueries

from tests.ventas.conftest import AHORA, anulacion, venta
from ventas import libro
from ventas.models import Anulacion, Cuenta, Semana, Venta
from ventas.semanas import cierre, reports

W46, W47, W48 = date(2026, 11, 9), date(2026, 11, 16), date(2026, 11, 23)
pytestmark = pytest.mark.django_db


def registrar(*ventas: object) -> None:
    with transaction.atomic():
        libro.registrar(ventas)  # type: ignore[arg-type]


def cerrar(lunes: date) -> None:
    Semana.objects.bulk_create([Semana.nueva(lunes)], ignore_conflicts=True)
    cierre.contabilizar(lunes, ahora=AHORA + timedelta(days=14))


def test_a_sale_becomes_a_row_of_its_own_week(maestro_id: UUID) -> None:
    vendida = venta(maestro_id, cantidad=3)
    registrar(vendida)
    fila = Venta.objects.get()
    assert (fila.id, fila.venta_id, fila.maestro_id) == (vendida.id, vendida.venta_id, maestro_id)
    assert (fila.ingresos, fila.ganancias) == (6_000, 4_170)
    assert (fila.dia, fila.semana_contable) == (date(2026, 11, 18), W47)
    assert (fila.vendida_en, fila.registrada_en) == (AHORA, AHORA)


def test_a_redelivered_batch_adds_only_what_is_new(maestro_id: UUID) -> None:
    ventas = [venta(maestro_id) for _ in range(10)]
    registrar(*ventas[:6])
    registrar(*ventas, ventas[-1])
    assert set(Venta.objects.values_list("id", flat=True)) == {una.id for una in ventas}


def test_the_queries_of_a_batch_do_not_grow_with_it(
    maestro_id: UUID, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    registrar(venta(maestro_id))
    with transaction.atomic(), django_assert_num_queries(5):  # weeks, savepoint and its end, COPY, voids
        libro.registrar([venta(maestro_id) for _ in range(500)])


def test_a_sale_of_a_closed_week_counts_in_the_first_open_one(maestro_id: UUID) -> None:
    cerrar(W47)
    registrar(venta(maestro_id))
    assert Venta.objects.get().semana_contable == W48
    cuentas = reports.resumen(W48, maestro_id)
    assert (cuentas.cantidad_ventas, cuentas.ingresos) == (1, 2_000)
    assert (cuentas.ajuste_ventas, cuentas.ajuste_ingresos, cuentas.ajuste_ganancias) == (1, 2_000, 1_390)
    assert all(dia["cantidad_ventas"] == 0 for dia in cuentas.por_dia)


def test_a_week_older_than_the_last_closed_one_does_not_open(maestro_id: UUID) -> None:
    cerrar(W47)
    registrar(venta(maestro_id, vendida_en=AHORA - timedelta(days=40)))
    assert Venta.objects.get().semana_contable == W48
    assert list(Semana.objects.values_list("lunes", flat=True)) == [W48, W47]


def test_a_sale_at_midnight_belongs_to_the_week_that_begins(maestro_id: UUID) -> None:
    registrar(venta(maestro_id, vendida_en=datetime(2026, 11, 16, 3, tzinfo=UTC)))
    assert (Venta.objects.get().dia, Venta.objects.get().semana_contable) == (W47, W47)


def test_a_void_in_the_same_week_leaves_nothing_to_count(maestro_id: UUID) -> None:
    erronea = venta(maestro_id)
    registrar(erronea, venta(maestro_id))
    libro.anular([anulacion(erronea)])
    assert reports.resumen(W47, maestro_id).cantidad_ventas == 1
    assert Venta.objects.get(pk=erronea.id).anulada_en == AHORA


def test_a_void_that_comes_before_its_sale_waits_for_it(maestro_id: UUID) -> None:
    erronea = venta(maestro_id)
    libro.anular([anulacion(erronea)])
    assert not Anulacion.objects.get().aplicada
    registrar(erronea)
    assert Anulacion.objects.get().aplicada
    assert reports.resumen(W47, maestro_id) == reports.vacio(W47)


def test_a_void_repeated_takes_back_once(maestro_id: UUID) -> None:
    erronea = venta(maestro_id)
    registrar(erronea)
    libro.anular([anulacion(erronea), anulacion(erronea)])
    libro.anular([anulacion(erronea)])
    cerrar(W47)
    libro.anular([anulacion(erronea)])
    assert reports.resumen(W48, maestro_id) == reports.vacio(W48)


def test_a_void_of_a_closed_week_is_a_negative_adjustment_of_the_open_one(maestro_id: UUID) -> None:
    erronea = venta(maestro_id, cantidad=2)
    registrar(erronea)
    cerrar(W47)
    libro.anular([anulacion(erronea)])
    assert reports.resumen(W47, maestro_id).ingresos == 4_000
    cuentas = reports.resumen(W48, maestro_id)
    assert (cuentas.cantidad_ventas, cuentas.unidades, cuentas.ingresos, cuentas.ganancias) == (-1, -2, -4_000, -2_780)
    assert (cuentas.ajuste_ventas, cuentas.ajuste_unidades) == (-1, -2)
    assert cuentas.por_producto == {"mediano": -2}


def test_another_maestros_void_takes_nothing_back(maestro_id: UUID) -> None:
    vendida = venta(maestro_id)
    registrar(vendida)
    ajena = anulacion(venta(UUID(int=7), venta_id=vendida.venta_id))
    libro.anular([ajena])
    assert reports.resumen(W47, maestro_id).cantidad_ventas == 1


def test_the_summary_of_a_maestro_adds_up_by_day_and_product(maestro_id: UUID) -> None:
    registrar(
        venta(maestro_id, cantidad=2),
        venta(maestro_id, vendida_en=AHORA + timedelta(days=1)),
        venta(maestro_id, producto="chico", precio_unitario=1_500, costo_unitario=380),
        venta(UUID(int=7), cantidad=50),
    )
    cuentas = reports.resumen(W47, maestro_id)
    assert (cuentas.cantidad_ventas, cuentas.unidades, cuentas.ingresos) == (3, 4, 7_500)
    assert cuentas.ganancias == 3 * 1_390 + 1_120
    assert [dia["unidades"] for dia in cuentas.por_dia] == [0, 0, 3, 1, 0, 0, 0]
    assert cuentas.por_dia[2] == {
        "dia": "2026-11-18",
        "cantidad_ventas": 2,
        "unidades": 3,
        "ingresos": 5_500,
        "ganancias": 3_900,
    }
    assert cuentas.por_producto == {"mediano": 3, "chico": 1}


def test_sums_do_not_overflow(maestro_id: UUID) -> None:
    registrar(*[venta(maestro_id, cantidad=1_000, precio_unitario=2_000_000_000) for _ in range(3)])
    assert reports.resumen(W47, maestro_id).ingresos == 6_000_000_000_000
    cerrar(W47)


def test_the_summary_of_everybody_is_the_sum_of_all(maestro_id: UUID) -> None:
    registrar(venta(maestro_id), venta(UUID(int=7), cantidad=2))
    assert reports.resumen(W47).unidades == 3


def test_the_newest_correction_of_an_address_holds_whatever_comes_first(
    maestro_id: UUID, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    otro, tarde = uuid4(), AHORA + timedelta(hours=2)
    libro.abrir_cuentas(
        Cuenta(maestro_id=uno, nombre="Rosa", email="rosa@gmial.com", abierta_en=AHORA) for uno in (maestro_id, otro)
    )
    with django_assert_num_queries(1):
        libro.corregir_correos(
            [
                (maestro_id, "rosa@gmail.com", tarde),
                (maestro_id, "rosa@gmal.com", AHORA + timedelta(hours=1)),
                (otro, "otra@example.cl", AHORA),
            ]
        )
    libro.corregir_correos([(maestro_id, "rosa@gmal.com", AHORA + timedelta(hours=1))])  # delivered again
    assert dict(Cuenta.objects.values_list("maestro_id", "email")) == {
        maestro_id: "rosa@gmail.com",
        otro: "otra@example.cl",
    }
