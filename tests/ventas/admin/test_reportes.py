"""Reports: exported without formulas, and sent again by those who may."""

import csv
import io
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from openpyxl.reader.excel import load_workbook

from inscripciones.models import Usuario
from tests.support.sales import W47, account, close, enter, sale
from tests.ventas.admin.pages import SellAndVoid
from ventas.admin.export import FORMULA
from ventas.models import ReporteSemanal

CSV, XLSX = "0", "1"
pytestmark = pytest.mark.django_db


def export(client: Client, file_format: str) -> bytes:
    columns = ["semana", "maestro", "cantidad_ventas", "ingresos", "ganancias", "envio", "respuesta"]
    form = {"format": file_format, "resource": "", **{f"reporteresource_{name}": "on" for name in columns}}
    response = client.post(reverse("admin:ventas_reportesemanal_export"), form)
    assert response.status_code == 200
    return bytes(response.content)


def read_csv(client: Client) -> "csv.DictReader[str]":
    """Read the export as Excel in Chile does: UTF-8 by its mark, semicolons between columns."""
    return csv.DictReader(io.StringIO(export(client, CSV).decode("utf-8-sig"), newline=""), delimiter=";")


def cells(client: Client) -> list[Any]:
    """Return the cells of the exported workbook, without its first row."""
    sheet = load_workbook(io.BytesIO(export(client, XLSX))).active
    assert sheet is not None
    return [cell for row in sheet.iter_rows(min_row=2) for cell in row]


def test_reports_are_exported_without_formulas(admin_client: Client) -> None:
    for nombre in ("=HYPERLINK(1)", "@SUM(1)", "+1", "-1", "\t=1", "Rosa Ñáñez"):
        enter(sale(account(nombre=nombre).maestro_id))
    close(W47)
    ReporteSemanal.objects.update(respuesta="=HYPERLINK(2)")  # as a mail server may answer
    rows = list(read_csv(admin_client))
    assert {row["maestro"] for row in rows} == {"'=HYPERLINK(1)", "'@SUM(1)", "'+1", "'-1", "'\t=1", "Rosa Ñáñez"}
    assert {(row["semana"], row["ingresos"]) for row in rows} == {("2026-W47", "2000")}
    assert {row["respuesta"] for row in rows} == {"'=HYPERLINK(2)"}
    in_sheet = cells(admin_client)
    assert all(cell.data_type != "f" for cell in in_sheet)
    assert 2_000 in [cell.value for cell in in_sheet]


def test_the_csv_opens_by_a_double_click_in_chile(admin_client: Client) -> None:
    enter(sale(account(nombre="Rosa Ñáñez; Peña").maestro_id))
    close(W47)
    exported = export(admin_client, CSV)
    assert exported.startswith(b"\xef\xbb\xbfsemana;maestro;")
    [row] = read_csv(admin_client)
    assert (row["maestro"], row["ingresos"]) == ("Rosa Ñáñez; Peña", "2000")


@pytest.mark.parametrize("text", ["=HYPERLINK(1)", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1", "\x07=1", "a\x1bb"])
def test_no_text_is_exported_as_a_formula(admin_client: Client, text: str) -> None:
    """Nor do control characters stop the export."""
    enter(sale(account(nombre=text).maestro_id))
    close(W47)
    ReporteSemanal.objects.update(respuesta=text)
    [row] = read_csv(admin_client)
    in_sheet = cells(admin_client)
    assert {cell.data_type for cell in in_sheet} == {"s", "n"}
    texts = [row["maestro"], row["respuesta"], *(str(cell.value) for cell in in_sheet if cell.data_type == "s")]
    assert not [one for one in texts if one.startswith(FORMULA)]


def test_resending_needs_its_permission(client: Client, admin_client: Client, sell_and_void: SellAndVoid) -> None:
    sell_and_void(1)
    close(W47)
    ReporteSemanal.objects.update(envio="fallido", intentos=12, respuesta="550 no")
    chosen = {"action": "reenviar", "_selected_action": [str(ReporteSemanal.objects.get().pk)]}
    reader = Usuario.objects.create_user(username="lectora", is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_reportesemanal"))
    client.force_login(reader)
    client.post(reverse("admin:ventas_reportesemanal_changelist"), chosen)
    assert ReporteSemanal.objects.get().envio == "fallido"
    admin_client.post(reverse("admin:ventas_reportesemanal_changelist"), chosen)
    assert (ReporteSemanal.objects.get().envio, ReporteSemanal.objects.get().intentos) == ("pendiente", 0)
