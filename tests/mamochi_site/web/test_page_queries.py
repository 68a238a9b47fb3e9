"""How many queries each page makes: a fixed number, however many sales and notices there are."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from inscripciones import credenciales
from inscripciones.models import Usuario
from stock import consumers
from tests.stock.carts import approval, notice, sale_of
from tests.support.people import make_form, register
from tests.support.sales import enter, sale
from ventas.catalogo import memoria

pytestmark = pytest.mark.django_db
PAGE = {"accept": "text/html"}
# Two of each are the session and its user.
QUERIES = {
    "": 2,
    "ventas/": 4,  # the sales, today's sums
    "ventas/resumen/": 3,
    "stock/": 7,  # ingredients twice (amounts and names), stock, pace, notices
    "stock/avisos/": 4,
    "stock/movimientos/": 4,
    "productos/": 5,  # products, recipes, ingredients
    "tokens/": 3,
}


@pytest.fixture
def maestro_id() -> UUID:
    return uuid4()


@pytest.fixture
def browser(client: Client, maestro_id: UUID) -> Client:
    """Return the browser of a maestro with a cart, 30 sales and 30 notices."""
    usuario = Usuario.objects.create_user(username=str(maestro_id), maestro_id=maestro_id)
    credenciales.emitir(usuario)
    client.force_login(usuario, backend="django.contrib.auth.backends.ModelBackend")
    now = timezone.now()
    enter(*[sale(maestro_id, vendida_en=now - timedelta(minutes=n)) for n in range(30)])
    with transaction.atomic():
        consumers.abrir_carros([approval(maestro_id)])
        consumers.descontar_ventas([sale_of(maestro_id, now - timedelta(minutes=n)) for n in range(9)])
        consumers.reponer_carros([notice(maestro_id, "mote") for _ in range(30)])
    memoria.leer()  # a process keeps the catalogue for two seconds
    return client


@pytest.mark.parametrize("path", QUERIES)
def test_a_page_makes_few_queries(
    browser: Client, django_assert_num_queries: DjangoAssertNumQueries, path: str
) -> None:
    memoria.leer()
    with django_assert_num_queries(QUERIES[path]):
        assert browser.get(f"/api/v1/{path}", headers=PAGE).status_code == 200


def test_the_page_of_a_sale_makes_three(
    browser: Client, maestro_id: UUID, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    enter(sold := sale(maestro_id))
    memoria.leer()
    with django_assert_num_queries(3):
        page = browser.get(f"/api/v1/ventas/{sold.venta_id}/", headers=PAGE)
    assert "Anular esta venta" in page.text


def test_public_pages_make_at_most_one(client: Client, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    [inscripcion] = register(make_form())
    for path, queries in (("", 0), ("inscripciones/", 0), (f"inscripciones/{inscripcion.pk}/", 1)):
        with django_assert_num_queries(queries):
            assert client.get(f"/api/v1/{path}", headers=PAGE).status_code == 200


def test_a_page_is_short_and_leads_to_the_next(browser: Client) -> None:
    page = browser.get("/api/v1/ventas/", headers=PAGE).text
    assert page.count('class="accion"') == 20
    assert "Más antiguas" in page
    assert len(browser.get("/api/v1/ventas/").json()["results"]) == 30
