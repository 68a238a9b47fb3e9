"""What the pages of sales say: what has arrived, what counts, in which words."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from inscripciones.models import Usuario
from tests.support.sales import enter, sale, void_of
from tests.ventas.api.requests import VALID, VENTAS
from ventas.api.paginas import LATE, cortos
from ventas.catalogo.memoria import EnVenta
from ventas.models import Venta

pytestmark = pytest.mark.django_db
PAGE = {"accept": "text/html"}


@pytest.fixture
def browser(catalogue: None, topics: None, client: Client, maestro_id: UUID) -> Client:
    usuario = Usuario.objects.create_user(username=str(maestro_id), maestro_id=maestro_id)
    client.force_login(usuario, backend="django.contrib.auth.backends.ModelBackend")
    return client


def sell(browser: Client, **fields: Any) -> Any:
    return browser.post(VENTAS, {**VALID, "Idempotency-Key": str(uuid4()), **fields}, headers=PAGE, follow=True)


def the_ledger_gets(browser: Client, maestro_id: UUID) -> None:
    """Enter what the session has noted, as the consumer does with the events."""
    for venta_id, producto, cantidad, precio, *_ in browser.session["ventas_recibidas"]:
        enter(
            sale(
                maestro_id,
                venta_id=UUID(venta_id),
                producto=producto,
                cantidad=cantidad,
                precio_unitario=precio,
                vendida_en=timezone.now(),
            )
        )


def test_a_sale_is_received_then_in_the_accounts(browser: Client, maestro_id: UUID) -> None:
    page = sell(browser, cantidad=3).text
    assert page.count("· recibida") == 1
    assert "<dd>$6.000</dd>" in page
    assert "en tus cuentas<" not in page
    the_ledger_gets(browser, maestro_id)
    page = browser.get(VENTAS, headers=PAGE).text
    assert (page.count("· recibida"), page.count("· en tus cuentas")) == (0, 1)
    assert "<dd>$6.000</dd>" in page
    assert browser.session["ventas_recibidas"] == []


def test_a_sale_that_stays_away_says_so(browser: Client) -> None:
    sell(browser)
    with time_machine.travel(timezone.now() + LATE + timedelta(seconds=1)):
        assert "si sigue así, avisa al gremio" in browser.get(VENTAS, headers=PAGE).text


def test_the_count_of_today_has_no_voids(browser: Client, maestro_id: UUID) -> None:
    now = timezone.now()
    mistake = sale(maestro_id, vendida_en=now)
    enter(sale(maestro_id, vendida_en=now, cantidad=2), sale(maestro_id, vendida_en=now - timedelta(days=2)), mistake)
    enter(void_of(mistake, now))
    page = browser.get(VENTAS, headers=PAGE).text
    assert "<dt>venta hoy</dt><dd>1</dd>" in page
    assert "<dt>vasos</dt><dd>2</dd>" in page
    assert "<dd>$4.000</dd>" in page


def test_a_void_is_received_then_done(browser: Client, maestro_id: UUID) -> None:
    enter(sold := sale(maestro_id, vendida_en=timezone.now()))
    page = browser.post(f"{VENTAS}{sold.venta_id}/anular/", {}, headers=PAGE, follow=True).text
    assert "Anulación recibida" in page
    assert "Anular esta venta" not in page
    assert "anulación recibida" in browser.get(VENTAS, headers=PAGE).text
    enter(void_of(sold, timezone.now()))
    assert "· anulada" in browser.get(VENTAS, headers=PAGE).text
    assert Venta.objects.get().anulada_en


def test_a_program_with_a_token_gets_no_session(api: Any, topics: None) -> None:
    answer = api.post(VENTAS, VALID, format="json", headers={"Accept": "application/json"})
    assert (answer.status_code, "sessionid" in answer.cookies) == (202, False)


def test_names_leave_out_what_all_begin_with() -> None:
    def catalogue(*names: str) -> dict[str, str]:
        return cortos({name: EnVenta(name, name, 1_000, 1, {}) for name in names})

    assert [*catalogue("Mote con huesillo chico", "Mote con huesillo grande").values()] == ["Chico", "Grande"]
    assert [*catalogue("Mote con huesillo", "Mote con huesillo grande").values()] == ["Mote con huesillo", "Grande"]
    assert [*catalogue("Mote con huesillo").values()] == ["Mote con huesillo"]
    assert catalogue() == {}
