"""The carts as staff see and correct them."""

import re
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_celery_beat.models import PeriodicTask
from pytest_django import Settings

from kafka_bridge.consuming import progress
from stock import consumers, reposicion, seed
from stock.models import Carro, Movimiento
from stock.tasks import revisar_avisos
from tests.stock.guion import LLENO, anulada, aprobada, automaticos, aviso, estados, inventario_va_en, stock, venta

CARROS = "/admin/stock/carro/"


@pytest.fixture(autouse=True)
def _static_files_need_no_manifest(settings: Settings) -> None:
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}


@pytest.fixture
def staff(client: Client, catalogo: None) -> Client:
    client.force_login(get_user_model().objects.create_superuser("admin"))
    return client


def _open_a_cart(nombre: str, sold: int) -> UUID:
    maestro_id = uuid4()
    consumers.abrir_carros([aprobada(maestro_id, nombre)])
    now = timezone.now()
    consumers.descontar_ventas([venta(maestro_id, now - timedelta(minutes=n)) for n in range(sold)])
    return maestro_id


def test_carts_show_their_stock_and_who_runs_out_next(staff: Client) -> None:
    for nombre, sold in (("Ana", 3), ("Beto", 9), ("Carla", 10)):
        _open_a_cart(nombre, sold)
    page = staff.get(CARROS).content.decode()
    assert "150 de 1.500 g" in page
    table = re.search(r"data-proximos>(.*?)</table>", page, re.DOTALL)
    assert table
    assert re.findall(r">(Ana|Beto|Carla)<", table[1]) == ["Beto", "Ana"]  # Carla has run out already


def test_the_list_of_carts_asks_as_much_for_twenty_as_for_two(staff: Client) -> None:
    counts = []
    for more in (2, 18):
        for n in range(more):
            _open_a_cart(f"Maestro {n}", 2)
        with CaptureQueriesContext(connection) as queries:
            assert staff.get(CARROS).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_restocks_are_drawn_by_day(staff: Client) -> None:
    _open_a_cart("Ana", 10)
    consumers.reponer_carros(automaticos())
    page = staff.get(CARROS).content.decode()
    assert f"<title>{timezone.localdate():%d-%m-%Y}: 1</title>" in page
    assert page.count("<rect") == 14


@pytest.mark.parametrize(("filtro", "found"), [("agotado", "Carla"), ("abierto", "Carla"), ("", "Ana")])
def test_carts_are_found_by_what_is_out(staff: Client, filtro: str, found: str) -> None:
    _open_a_cart("Ana", 3)
    _open_a_cart("Carla", 10)
    page = staff.get(CARROS, {"stock": filtro} if filtro else {}).content.decode()
    rows = re.search(r'id="result_list".*', page, re.DOTALL)
    assert rows
    assert found in rows[0]
    assert ("Ana" in rows[0]) == (not filtro)


def test_a_correction_is_a_line_with_its_reason_however_often_it_is_sent(staff: Client) -> None:
    maestro_id = _open_a_cart("Ana", 1)
    path = f"{CARROS}{maestro_id}/corregir/"
    page = staff.get(path).content.decode()
    hidden = re.search(r'name="evento_id" value="([^"]+)"', page)
    assert hidden
    form = {"evento_id": hidden[1], "insumo": "mote", "cantidad": "-50", "motivo": "Se derramó"}
    for _ in range(2):
        assert staff.post(path, form).headers["Location"] == f"{CARROS}{maestro_id}/change/"
    assert stock(maestro_id)["mote"] == 1_300
    line = Movimiento.objects.get(tipo="correccion")
    assert (line.insumos, line.motivo) == ({"mote": -50}, "Se derramó")
    assert "Se derramó" in LogEntry.objects.first().change_message  # type: ignore[union-attr]


@pytest.mark.parametrize("fields", [{"cantidad": "0"}, {"motivo": ""}, {"insumo": "canela"}, {"cantidad": ""}])
def test_a_correction_without_reason_or_amount_is_asked_again(staff: Client, fields: dict[str, str]) -> None:
    maestro_id = _open_a_cart("Ana", 0)
    form = {"evento_id": str(uuid4()), "insumo": "mote", "cantidad": "5", "motivo": "Conteo", **fields}
    answer = staff.post(f"{CARROS}{maestro_id}/corregir/", form)
    assert answer.status_code == 200
    assert stock(maestro_id) == LLENO


def test_only_who_may_correct_corrects(client: Client, catalogo: None) -> None:
    maestro_id = _open_a_cart("Ana", 0)
    user = get_user_model().objects.create_user("lectora", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_carro"))
    client.force_login(user)
    assert client.get(f"{CARROS}{maestro_id}/change/").status_code == 200
    assert client.get(f"{CARROS}{maestro_id}/corregir/").status_code == 403


@pytest.mark.parametrize("model", ["insumo", "carro", "existencia", "movimiento", "aviso", "anulacion"])
def test_every_model_has_its_list_without_a_query_a_row(staff: Client, model: str) -> None:
    counts = []
    for more in (2, 6):
        for n in range(more):
            maestro_id = _open_a_cart(f"Maestro {n}", 9)
            one = venta(maestro_id)
            consumers.descontar_ventas([one])
            consumers.devolver_anuladas([anulada(one)])
        with CaptureQueriesContext(connection) as queries:
            assert staff.get(f"/admin/stock/{model}/").status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]


@pytest.mark.parametrize("model", ["carro", "existencia", "movimiento", "aviso", "anulacion"])
def test_what_services_write_nobody_edits(staff: Client, model: str) -> None:
    assert staff.get(f"/admin/stock/{model}/add/").status_code == 403


@pytest.mark.parametrize("query", ["Ana", "ana"])
def test_carts_are_searched_by_name(staff: Client, query: str) -> None:
    _open_a_cart("Ana", 0)
    _open_a_cart("Beto", 0)
    page = staff.get(CARROS, {"q": query}).content.decode()
    assert "Ana" in page
    assert Carro.objects.count() == 2
    assert 'class="field-carro nowrap">Beto' not in page


def test_ids_are_searched_too_and_nonsense_finds_nothing(staff: Client) -> None:
    maestro_id = _open_a_cart("Ana", 1)
    sale = Movimiento.objects.get(tipo="venta")
    for path, query in ((CARROS, maestro_id), ("/admin/stock/movimiento/", sale.referencia)):
        assert "Ana" in staff.get(path, {"q": str(query)}).content.decode()
    assert staff.get("/admin/stock/movimiento/", {"q": "nada de nada"}).status_code == 200


def test_the_sweep_is_in_beats_schedule_once_and_runs(catalogo: None, topics: None) -> None:
    seed.sembrar(apps)
    row = PeriodicTask.objects.get(task=revisar_avisos.name)
    assert row.enabled
    assert "10" in str(row.interval)
    rosa = _open_a_cart("Rosa", 0)
    consumers.reponer_carros([aviso(rosa)])
    for partition, end in progress.end_offsets(reposicion.TOPICO_DE_VENTAS).items():
        inventario_va_en(end, partition)
    revisar_avisos()
    assert estados(rosa) == [("", "infundado")]
