"""The accounts in the admin: every page opens, without a query per row; exports and resending."""

import csv
import io
from collections.abc import Callable
from datetime import date
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from openpyxl.reader.excel import load_workbook

from inscripciones.models import Usuario
from tests.ventas.conftest import AHORA, anulacion, venta
from ventas import libro
from ventas.admin import reportes
from ventas.admin.export import FORMULA
from ventas.models import Cuenta, Producto, ReporteSemanal, Semana, Venta
from ventas.semanas import cierre

W47 = date(2026, 11, 16)
pytestmark = pytest.mark.django_db
LISTAS = ["venta", "anulacion", "cuenta", "semana", "reportesemanal", "producto", "insumo"]


@pytest.fixture
def datos(con_catalogo: None, cuenta: Callable[..., Cuenta]) -> Callable[[int], None]:
    def crear(maestros: int) -> None:
        for n in range(maestros):
            una = cuenta(nombre=f"Maestra {n}")
            libro.registrar([venta(una.maestro_id), erronea := venta(una.maestro_id)])
            libro.anular([anulacion(erronea)])

    return crear


def abrir(client: Client, modelo: str, **parametros: str) -> Any:
    return client.get(reverse(f"admin:ventas_{modelo}_changelist"), parametros)


def abrir_de_la_semana(client: Client, modelo: str) -> Any:
    return abrir(client, modelo, **({"semana": "2026-W47"} if modelo == "venta" else {}))


@pytest.mark.parametrize("modelo", LISTAS)
def test_a_list_takes_the_same_queries_however_long_it_is(
    admin_client: Client, datos: Callable[[int], None], modelo: str, django_assert_max_num_queries: Any
) -> None:
    def queries() -> int:
        with django_assert_max_num_queries(30) as counted:
            assert abrir_de_la_semana(admin_client, modelo).status_code == 200
        return len(counted)

    datos(2)
    abrir(admin_client, modelo)
    pocas = queries()
    datos(8)
    assert queries() == pocas


def test_the_ledger_shows_the_chosen_week(admin_client: Client, datos: Callable[[int], None]) -> None:
    datos(1)
    assert "Maestra 0" in abrir(admin_client, "venta", semana="2026-W47").content.decode()
    assert "Maestra 0" not in abrir(admin_client, "venta", semana="2026-W40").content.decode()
    assert "Maestra 0" in abrir(admin_client, "venta", semana="2026-W47", q="maestra").content.decode()


def test_the_ledger_shows_what_a_week_takes_back(admin_client: Client, con_catalogo: None) -> None:
    libro.registrar([erronea := venta(uuid4()), venta(uuid4())])
    cierre.contabilizar(W47, ahora=AHORA)
    libro.anular([anulacion(erronea)])
    assert len(abrir(admin_client, "venta", semana="2026-W47").context["cl"].result_list) == 2
    assert not abrir(admin_client, "venta", semana="2026-W48").context["cl"].result_list
    [descontada] = abrir(admin_client, "venta", semana="2026-W48", asiento="anuladas").context["cl"].result_list
    assert descontada.id == erronea.id


def test_weeks_show_totals_state_and_a_plot(admin_client: Client, datos: Callable[[int], None]) -> None:
    datos(3)
    abierta = abrir(admin_client, "semana").content.decode()
    assert "$6.000" in abierta
    assert "<svg" not in abierta.split("result_list")[0]
    Semana.objects.filter(pk=W47).update(espera="Espera que contabilidad registre 3 mensajes")
    assert "Espera que contabilidad" in abrir(admin_client, "semana").content.decode()
    cierre.contabilizar(W47, ahora=AHORA)
    cerrada = abrir(admin_client, "semana").content.decode()
    assert "$6.000" in cerrada
    assert "3 (3, 0)" in cerrada
    assert "Ingresos por semana cerrada" in cerrada


@pytest.mark.parametrize("modelo", ["venta", "semana", "reportesemanal", "anulacion", "cuenta"])
def test_what_services_wrote_is_read_only(admin_client: Client, datos: Callable[[int], None], modelo: str) -> None:
    datos(1)
    cierre.contabilizar(W47, ahora=AHORA)
    fila = apps.get_model("ventas", modelo).objects.all()[0]
    pagina = reverse(f"admin:ventas_{modelo}_change", args=[fila.pk])
    assert admin_client.get(pagina).status_code == 200
    assert admin_client.post(pagina, {}).status_code == 403
    assert admin_client.get(reverse(f"admin:ventas_{modelo}_add")).status_code == 403
    assert admin_client.post(reverse(f"admin:ventas_{modelo}_delete", args=[fila.pk])).status_code == 403


def test_a_recipe_and_a_price_are_edited_and_a_code_is_not(admin_client: Client, con_catalogo: None) -> None:
    producto = Producto.objects.get(pk="chico")
    receta = list(producto.receta.all())
    formulario = {
        "nombre": "Chico",
        "precio": "1700",
        "activo": "on",
        "codigo": "otro",
        "receta-TOTAL_FORMS": str(len(receta)),
        "receta-INITIAL_FORMS": str(len(receta)),
        **{f"receta-{n}-id": str(linea.pk) for n, linea in enumerate(receta)},
        **{f"receta-{n}-producto": "chico" for n in range(len(receta))},
        **{f"receta-{n}-insumo": linea.insumo_id for n, linea in enumerate(receta)},
        **{f"receta-{n}-cantidad": "7" for n in range(len(receta))},
    }
    respuesta = admin_client.post(reverse("admin:ventas_producto_change", args=["chico"]), formulario)
    assert respuesta.status_code == 302, respuesta.content
    assert Producto.objects.get(pk="chico").precio == 1_700
    assert set(producto.receta.values_list("cantidad", flat=True)) == {7}
    assert not Producto.objects.filter(pk="otro").exists()


def exportar(client: Client, formato: str) -> bytes:
    campos = ["semana", "maestro", "cantidad_ventas", "ingresos", "ganancias", "envio", "respuesta"]
    datos = {"format": formato, "resource": "", **{f"reporteresource_{campo}": "on" for campo in campos}}
    respuesta = client.post(reverse("admin:ventas_reportesemanal_export"), datos)
    assert respuesta.status_code == 200
    return bytes(respuesta.content)


def test_reports_are_exported_without_formulas(admin_client: Client, cuenta: Callable[..., Cuenta]) -> None:
    for nombre in ("=HYPERLINK(1)", "@SUM(1)", "+1", "-1", "\t=1", "Rosa Ñáñez"):
        una = cuenta(nombre=nombre)
        libro.registrar([venta(una.maestro_id)])
    cierre.contabilizar(W47, ahora=AHORA)
    ReporteSemanal.objects.update(respuesta="=HYPERLINK(2)")  # a mail server's words
    filas = list(csv.DictReader(io.StringIO(exportar(admin_client, "0").decode())))
    assert {fila["maestro"] for fila in filas} == {"'=HYPERLINK(1)", "'@SUM(1)", "'+1", "'-1", "'\t=1", "Rosa Ñáñez"}
    assert {(fila["semana"], fila["ingresos"]) for fila in filas} == {("2026-W47", "2000")}
    assert {fila["respuesta"] for fila in filas} == {"'=HYPERLINK(2)"}
    hoja = load_workbook(io.BytesIO(exportar(admin_client, "1"))).active  # type: ignore[no-untyped-call]
    assert hoja is not None
    celdas = [celda for fila in hoja.iter_rows(min_row=2) for celda in fila]
    assert all(celda.data_type != "f" for celda in celdas)
    assert 2_000 in [celda.value for celda in celdas]


@pytest.mark.parametrize("texto", ["=HYPERLINK(1)", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1", "\x07=1", "a\x1bb"])
def test_no_text_of_a_report_is_a_formula_and_control_characters_do_not_stop_the_export(
    admin_client: Client, cuenta: Callable[..., Cuenta], texto: str
) -> None:
    libro.registrar([venta(cuenta(nombre=texto).maestro_id)])
    cierre.contabilizar(W47, ahora=AHORA)
    ReporteSemanal.objects.update(respuesta=texto)
    [fila] = csv.DictReader(io.StringIO(exportar(admin_client, "0").decode(), newline=""))
    hoja = load_workbook(io.BytesIO(exportar(admin_client, "1"))).active  # type: ignore[no-untyped-call]
    assert hoja is not None
    [celdas] = hoja.iter_rows(min_row=2)
    assert {celda.data_type for celda in celdas} == {"s", "n"}
    textos = [fila["maestro"], fila["respuesta"], *(str(celda.value) for celda in celdas if celda.data_type == "s")]
    assert not [uno for uno in textos if uno.startswith(FORMULA)]


def test_the_ledgers_page_counts_so_far_and_no_further(
    admin_client: Client, datos: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reportes, "SE_CUENTAN", 3)
    datos(3)
    assert abrir_de_la_semana(admin_client, "venta").context["cl"].result_count == 3


def test_resending_needs_its_permission(client: Client, admin_client: Client, datos: Callable[[int], None]) -> None:
    datos(1)
    cierre.contabilizar(W47, ahora=AHORA)
    ReporteSemanal.objects.update(envio="fallido", intentos=12, respuesta="550 no")
    elegidos = {"action": "reenviar", "_selected_action": [str(ReporteSemanal.objects.get().pk)]}
    lector = Usuario.objects.create_user(username="lectora", is_staff=True)
    lector.user_permissions.add(Permission.objects.get(codename="view_reportesemanal"))
    otro = Client()
    otro.force_login(lector)
    otro.post(reverse("admin:ventas_reportesemanal_changelist"), elegidos)
    assert ReporteSemanal.objects.get().envio == "fallido"
    admin_client.post(reverse("admin:ventas_reportesemanal_changelist"), elegidos)
    assert (ReporteSemanal.objects.get().envio, ReporteSemanal.objects.get().intentos) == ("pendiente", 0)


def test_a_sale_without_a_known_account_is_shown_by_its_id(admin_client: Client, con_catalogo: None) -> None:
    libro.registrar([venta(uuid4())])
    assert str(Venta.objects.get().maestro_id) in abrir(admin_client, "venta", semana="2026-W47").content.decode()
