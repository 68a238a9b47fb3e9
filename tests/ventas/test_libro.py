"""The ledger: each sale once, in the week that is open for it."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from pytest_django import DjangoAssertNumQueries

from gremio.transactions import TransactionRequired
from tests.support.sales import NOW, W47, W48, close, enter, sale, void_of
from ventas import libro
from ventas.models import Anulacion, Cuenta, Semana, Venta
from ventas.semanas import reports

pytestmark = pytest.mark.django_db


def is_empty(lunes: date, maestro_id: UUID) -> bool:
    """Whether the week's accounts are those of a maestro who sold nothing."""
    return reports.resumen(lunes, maestro_id) == reports.resumen(lunes, uuid4())


def test_a_sale_becomes_a_row_of_its_week(maestro_id: UUID) -> None:
    sold = sale(maestro_id, cantidad=3)
    enter(sold)
    row = Venta.objects.get()
    assert (row.id, row.venta_id, row.maestro_id) == (sold.id, sold.venta_id, maestro_id)
    assert (row.ingresos, row.ganancias) == (6_000, 4_170)
    assert (row.dia, row.semana_contable) == (date(2026, 11, 18), W47)
    assert (row.vendida_en, row.registrada_en) == (NOW, NOW)


def test_a_redelivered_batch_adds_the_rest(maestro_id: UUID) -> None:
    sold = [sale(maestro_id) for _ in range(10)]
    enter(*sold[:6])
    enter(*sold, sold[-1])
    assert set(Venta.objects.values_list("id", flat=True)) == {one.id for one in sold}


def test_queries_do_not_grow_with_the_batch(
    maestro_id: UUID, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    enter(sale(maestro_id))
    with transaction.atomic(), django_assert_num_queries(5):  # weeks, savepoint and its end, COPY, voids
        libro.registrar([sale(maestro_id) for _ in range(500)])


@pytest.mark.django_db(transaction=True)
def test_the_ledger_needs_a_transaction(maestro_id: UUID) -> None:
    with pytest.raises(TransactionRequired):
        libro.registrar([sale(maestro_id)])
    with pytest.raises(TransactionRequired):
        libro.anular([void_of(sale(maestro_id))])


def test_a_closed_weeks_sale_counts_in_the_next(maestro_id: UUID) -> None:
    close(W47)
    enter(sale(maestro_id))
    assert Venta.objects.get().semana_contable == W48
    accounts = reports.resumen(W48, maestro_id)
    assert (accounts.cantidad_ventas, accounts.ingresos) == (1, 2_000)
    assert (accounts.ajuste_ventas, accounts.ajuste_ingresos, accounts.ajuste_ganancias) == (1, 2_000, 1_390)
    assert all(day["cantidad_ventas"] == 0 for day in accounts.por_dia)


def test_no_week_opens_before_a_closed_one(maestro_id: UUID) -> None:
    close(W47)
    enter(sale(maestro_id, vendida_en=NOW - timedelta(days=40)))
    assert Venta.objects.get().semana_contable == W48
    assert list(Semana.objects.values_list("lunes", flat=True)) == [W48, W47]


def test_a_sale_at_midnight_is_of_the_new_week(maestro_id: UUID) -> None:
    enter(sale(maestro_id, vendida_en=datetime(2026, 11, 16, 3, tzinfo=UTC)))
    assert (Venta.objects.get().dia, Venta.objects.get().semana_contable) == (W47, W47)


def test_a_void_in_the_same_week_cancels_the_sale(maestro_id: UUID) -> None:
    mistake = sale(maestro_id)
    enter(mistake, sale(maestro_id))
    enter(void_of(mistake))
    assert reports.resumen(W47, maestro_id).cantidad_ventas == 1
    assert Venta.objects.get(pk=mistake.id).anulada_en == NOW


def test_a_void_waits_for_its_sale(maestro_id: UUID) -> None:
    mistake = sale(maestro_id)
    enter(void_of(mistake))
    assert not Anulacion.objects.get().aplicada
    enter(mistake)
    assert Anulacion.objects.get().aplicada
    assert is_empty(W47, maestro_id)


def test_a_repeated_void_subtracts_once(maestro_id: UUID) -> None:
    mistake = sale(maestro_id)
    enter(mistake)
    enter(void_of(mistake), void_of(mistake))
    enter(void_of(mistake))
    close(W47)
    enter(void_of(mistake))
    assert is_empty(W48, maestro_id)


def test_a_closed_weeks_void_adjusts_the_next(maestro_id: UUID) -> None:
    mistake = sale(maestro_id, cantidad=2)
    enter(mistake)
    close(W47)
    enter(void_of(mistake))
    assert reports.resumen(W47, maestro_id).ingresos == 4_000
    accounts = reports.resumen(W48, maestro_id)
    assert (accounts.cantidad_ventas, accounts.unidades) == (-1, -2)
    assert (accounts.ingresos, accounts.ganancias) == (-4_000, -2_780)
    assert (accounts.ajuste_ventas, accounts.ajuste_unidades) == (-1, -2)
    assert accounts.por_producto == {"mediano": -2}


def test_another_maestros_void_changes_nothing(maestro_id: UUID) -> None:
    sold = sale(maestro_id)
    enter(sold)
    enter(void_of(sale(UUID(int=7), venta_id=sold.venta_id)))
    assert reports.resumen(W47, maestro_id).cantidad_ventas == 1


def test_the_newest_corrected_address_wins(maestro_id: UUID, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    other, late = uuid4(), NOW + timedelta(hours=2)
    libro.abrir_cuentas(
        Cuenta(maestro_id=one, nombre="Rosa", email="rosa@gmial.com", abierta_en=NOW) for one in (maestro_id, other)
    )
    with django_assert_num_queries(1):
        libro.corregir_correos(
            [
                (maestro_id, "rosa@gmail.com", late),
                (maestro_id, "rosa@gmal.com", NOW + timedelta(hours=1)),
                (other, "otra@example.cl", NOW),
            ]
        )
    libro.corregir_correos([(maestro_id, "rosa@gmal.com", NOW + timedelta(hours=1))])  # delivered again
    assert dict(Cuenta.objects.values_list("maestro_id", "email")) == {
        maestro_id: "rosa@gmail.com",
        other: "otra@example.cl",
    }


@pytest.mark.django_db
def test_a_correction_before_the_approval_is_kept(maestro_id: UUID) -> None:
    """They can arrive in this order when partitions were added in between."""
    libro.corregir_correos([(maestro_id, "rosa@gmail.com", NOW)])
    aprobada = Cuenta(maestro_id=maestro_id, nombre="Rosa", email="rosa@gmal.com", abierta_en=NOW - timedelta(days=1))
    for _ in range(2):
        libro.abrir_cuentas([aprobada, aprobada])
    cuenta = Cuenta.objects.get()
    assert (cuenta.nombre, cuenta.email, cuenta.abierta_en) == ("Rosa", "rosa@gmail.com", NOW - timedelta(days=1))
