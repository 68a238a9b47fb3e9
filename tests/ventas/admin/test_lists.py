"""The lists: every page opens, without a query per row; what services write is read-only."""

from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.test import Client
from django.urls import reverse

from tests.support.sales import W47, close, enter, sale, void_of
from tests.ventas.admin.pages import SellAndVoid, open_list
from ventas.admin import ventas
from ventas.models import Semana, Venta

LISTS = ["venta", "anulacion", "cuenta", "semana", "reportesemanal", "producto", "insumo"]
pytestmark = pytest.mark.django_db


def open_list_of_week(client: Client, model: str) -> Any:
    return open_list(client, model, **({"semana": "2026-W47"} if model == "venta" else {}))


@pytest.mark.parametrize("model", LISTS)
def test_a_long_list_takes_no_more_queries(
    admin_client: Client, sell_and_void: SellAndVoid, model: str, django_assert_max_num_queries: Any
) -> None:
    def queries() -> int:
        with django_assert_max_num_queries(30) as counted:
            assert open_list_of_week(admin_client, model).status_code == 200
        return len(counted)

    sell_and_void(2)
    open_list(admin_client, model)
    few = queries()
    sell_and_void(8)
    assert queries() == few


def test_the_ledger_shows_the_chosen_week(admin_client: Client, sell_and_void: SellAndVoid) -> None:
    sell_and_void(1)
    assert "Maestra 0" in open_list(admin_client, "venta", semana="2026-W47").content.decode()
    assert "Maestra 0" not in open_list(admin_client, "venta", semana="2026-W40").content.decode()
    assert "Maestra 0" in open_list(admin_client, "venta", semana="2026-W47", q="maestra").content.decode()


def test_the_ledger_shows_a_weeks_voids(admin_client: Client, catalogue: None) -> None:
    enter(mistake := sale(uuid4()), sale(uuid4()))
    close(W47)
    enter(void_of(mistake))
    assert len(open_list(admin_client, "venta", semana="2026-W47").context["cl"].result_list) == 2
    assert not open_list(admin_client, "venta", semana="2026-W48").context["cl"].result_list
    [voided] = open_list(admin_client, "venta", semana="2026-W48", asiento="anuladas").context["cl"].result_list
    assert voided.id == mistake.id


def test_the_ledger_counts_up_to_its_limit(
    admin_client: Client, sell_and_void: SellAndVoid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ventas, "COUNT_LIMIT", 3)
    sell_and_void(3)
    assert open_list_of_week(admin_client, "venta").context["cl"].result_count == 3


def test_an_unknown_maestro_is_shown_by_id(admin_client: Client, catalogue: None) -> None:
    enter(sale(uuid4()))
    page = open_list(admin_client, "venta", semana="2026-W47").content.decode()
    assert str(Venta.objects.get().maestro_id) in page


def test_weeks_show_totals_state_and_a_chart(admin_client: Client, sell_and_void: SellAndVoid) -> None:
    sell_and_void(3)
    open_week = open_list(admin_client, "semana").content.decode()
    assert "$6.000" in open_week
    assert "<svg" not in open_week.split("result_list")[0]
    Semana.objects.filter(pk=W47).update(espera="Espera que contabilidad registre 3 mensajes")
    assert "Espera que contabilidad" in open_list(admin_client, "semana").content.decode()
    close(W47)
    closed_week = open_list(admin_client, "semana").content.decode()
    assert "$6.000" in closed_week
    assert "3 (3, 0)" in closed_week
    assert "Ingresos por semana cerrada" in closed_week


@pytest.mark.parametrize("model", ["venta", "semana", "reportesemanal", "anulacion", "cuenta"])
def test_rows_of_services_are_read_only(admin_client: Client, sell_and_void: SellAndVoid, model: str) -> None:
    sell_and_void(1)
    close(W47)
    row = apps.get_model("ventas", model).objects.all()[0]
    page = reverse(f"admin:ventas_{model}_change", args=[row.pk])
    assert admin_client.get(page).status_code == 200
    assert admin_client.post(page, {}).status_code == 403
    assert admin_client.get(reverse(f"admin:ventas_{model}_add")).status_code == 403
    assert admin_client.post(reverse(f"admin:ventas_{model}_delete", args=[row.pk])).status_code == 403
