"""The carts as staff see and correct them."""

import re
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from stock import consumers
from stock.models import Carro, Movimiento
from tests.stock.carts import FULL, approval, automatic_notices, sale_of, stock_of

CARROS = "/admin/stock/carro/"


def open_cart(nombre: str, sold: int) -> UUID:
    """Open a cart that sold so many medianos, one per minute until now."""
    maestro_id = uuid4()
    consumers.abrir_carros([approval(maestro_id, nombre)])
    now = timezone.now()
    consumers.descontar_ventas([sale_of(maestro_id, now - timedelta(minutes=n)) for n in range(sold)])
    return maestro_id


def test_the_carts_that_run_out_next_are_listed(staff: Client) -> None:
    for nombre, sold in (("Ana", 3), ("Beto", 9), ("Carla", 10)):
        open_cart(nombre, sold)
    page = staff.get(CARROS).content.decode()
    assert "150 de 1.500 g" in page
    table = re.search(r"data-proximos>(.*?)</table>", page, re.DOTALL)
    assert table
    assert re.findall(r">(Ana|Beto|Carla)<", table[1]) == ["Beto", "Ana"]  # Carla has run out already


def test_queries_do_not_grow_with_the_carts(staff: Client) -> None:
    counts = []
    for more in (2, 18):
        for n in range(more):
            open_cart(f"Maestro {n}", 2)
        with CaptureQueriesContext(connection) as queries:
            assert staff.get(CARROS).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_restocks_are_drawn_by_day(staff: Client) -> None:
    open_cart("Ana", 10)
    consumers.reponer_carros(automatic_notices())
    page = staff.get(CARROS).content.decode()
    assert f"<title>{timezone.localdate():%d-%m-%Y}: 1</title>" in page
    assert page.count("<rect") == 14


@pytest.mark.parametrize(("value", "found"), [("agotado", "Carla"), ("abierto", "Carla"), ("", "Ana")])
def test_carts_are_filtered_by_what_is_out(staff: Client, value: str, found: str) -> None:
    open_cart("Ana", 3)
    open_cart("Carla", 10)
    page = staff.get(CARROS, {"stock": value} if value else {}).content.decode()
    rows = re.search(r'id="result_list".*', page, re.DOTALL)
    assert rows
    assert found in rows[0]
    assert ("Ana" in rows[0]) == (not value)


@pytest.mark.parametrize("query", ["Ana", "ana"])
def test_carts_are_searched_by_name(staff: Client, query: str) -> None:
    open_cart("Ana", 0)
    open_cart("Beto", 0)
    page = staff.get(CARROS, {"q": query}).content.decode()
    assert "Ana" in page
    assert Carro.objects.count() == 2
    assert 'class="field-carro nowrap">Beto' not in page


def test_carts_are_searched_by_id(staff: Client) -> None:
    maestro_id = open_cart("Ana", 1)
    assert "Ana" in staff.get(CARROS, {"q": str(maestro_id)}).content.decode()


def test_a_form_sent_twice_is_one_correction(staff: Client) -> None:
    maestro_id = open_cart("Ana", 1)
    path = f"{CARROS}{maestro_id}/corregir/"
    page = staff.get(path).content.decode()
    hidden = re.search(r'name="evento_id" value="([^"]+)"', page)
    assert hidden
    form = {"evento_id": hidden[1], "insumo": "mote", "cantidad": "-50", "motivo": "Se derramó"}
    for _ in range(2):
        assert staff.post(path, form).headers["Location"] == f"{CARROS}{maestro_id}/change/"
    assert stock_of(maestro_id)["mote"] == 1_300
    line = Movimiento.objects.get(tipo="correccion")
    assert (line.insumos, line.motivo) == ({"mote": -50}, "Se derramó")
    assert "Se derramó" in LogEntry.objects.latest("action_time").change_message


def test_a_form_sent_again_with_other_content_is_asked(staff: Client) -> None:
    """The browser's Back shows the form that was sent, with its id."""
    maestro_id = open_cart("Ana", 1)
    path = f"{CARROS}{maestro_id}/corregir/"
    form = {"evento_id": str(uuid4()), "insumo": "mote", "cantidad": "-50", "motivo": "Se derramó"}
    assert staff.post(path, form).status_code == 302
    for other in ({"cantidad": "-70"}, {"insumo": "jugo"}, {"motivo": "Otro conteo"}):
        asked = staff.post(path, {**form, **other})
        assert "se corrigió -50 de mote («Se derramó»)" in asked.text
        assert Movimiento.objects.filter(tipo="correccion", carro=maestro_id).count() == 1
    again = {**form, "cantidad": "-70", "evento_id": asked.context["form"]["evento_id"].value()}
    assert staff.post(path, again).status_code == 302
    assert stock_of(maestro_id)["mote"] == 1_230


@pytest.mark.parametrize("fields", [{"cantidad": "0"}, {"motivo": ""}, {"insumo": "canela"}, {"cantidad": ""}])
def test_an_incomplete_correction_is_asked_again(staff: Client, fields: dict[str, str]) -> None:
    maestro_id = open_cart("Ana", 0)
    form = {"evento_id": str(uuid4()), "insumo": "mote", "cantidad": "5", "motivo": "Conteo", **fields}
    answer = staff.post(f"{CARROS}{maestro_id}/corregir/", form)
    assert answer.status_code == 200
    assert stock_of(maestro_id) == FULL


def test_correcting_needs_its_permission(client: Client, db: None) -> None:
    maestro_id = open_cart("Ana", 0)
    user = get_user_model().objects.create_user("lectora", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_carro"))
    client.force_login(user)
    assert client.get(f"{CARROS}{maestro_id}/change/").status_code == 200
    assert client.get(f"{CARROS}{maestro_id}/corregir/").status_code == 403


def test_a_second_correction_is_told_of_the_first(staff: Client) -> None:
    maestro_id = open_cart("Ana", 1)
    page = f"{CARROS}{maestro_id}/corregir/"
    pages = [staff.get(page).context["form"] for _ in range(2)]
    sent = [
        {
            "evento_id": str(form["evento_id"].value()),
            "visto": form["visto"].value(),
            "insumo": "mote",
            "cantidad": "-1.000",
            "motivo": f"Conté {n}.",
        }
        for n, form in enumerate(pages)
    ]
    assert staff.post(page, sent[0]).status_code == 302
    assert staff.post(page, sent[0]).status_code == 302  # sent twice: the same correction
    told = staff.post(page, sent[1])
    assert "Corrigió -1000 de Mote: Conté 0." in told.text
    assert stock_of(maestro_id)["mote"] == FULL["mote"] - 150 - 1_000
    again = {**sent[1], "visto": told.context["form"]["visto"].value()}
    assert staff.post(page, again).status_code == 302
    assert stock_of(maestro_id)["mote"] == FULL["mote"] - 150 - 2_000
    assert Movimiento.objects.filter(tipo="correccion", carro=maestro_id).count() == 2
