"""The home of the admin: what waits for each role."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from gremio.desk import Panel, Waiting, age, hours_chart
from inscripciones.models import Envio, Inscripcion, Maestro
from kafka_bridge.monitoring import overview
from tests.mamochi_site.desk.conftest import ROLES, make
from tests.support.guild import sell
from tests.support.people import make_form, register
from tests.support.staff import make_staff
from ventas.models import Venta

HOME = "/admin/"
WAITS = {
    "revisora": {
        "Paid por revisar": 1,
        "Normales por revisar": 2,
        "Con datos de otra inscripción": 1,
        "Correos que no llegaron": 1,
    },
    "distribuidor": {"Carros con algo agotado": 3, "Avisos abiertos": 12},
    "contadora": {"Semanas por cerrar": 0, "Correos de la semana que no salieron": 1, "Anulaciones sin su venta": 0},
}
PANELS = {
    "revisora": ["Las próximas inscripciones", "Inscripciones de los últimos 14 días"],
    "distribuidor": ["Carros por agotarse", "Reposiciones de hoy"],
    "contadora": ["La semana", "Ventas de hoy"],
}


def waiting(context: Any) -> list[Waiting]:
    found: list[tuple[Waiting, str]] = context["waiting"]
    return [one for one, _ in found]


def panels(context: Any) -> dict[str, Panel]:
    return {panel.title: panel for panel in context["panels"]}


@pytest.mark.parametrize("role", WAITS)
def test_each_role_sees_what_waits_for_it(guild: list[Maestro], role: str) -> None:
    context = make(role).get(HOME).context
    assert {one.what: one.count for one in waiting(context)} == WAITS[role]
    assert list(panels(context)) == PANELS[role]


def test_an_operator_sees_the_engine_too(guild: list[Maestro]) -> None:
    found = {one.what: one.count for one in waiting(make("operadora").get(HOME).context)}
    assert found["Mensajes no procesados"] == found["Mensajes que Kafka rechazó"] == 1
    assert set(found) >= {what for waits in WAITS.values() for what in waits}


@pytest.mark.parametrize("role", ROLES)
def test_each_list_has_what_was_counted(guild: list[Maestro], role: str) -> None:
    client = make(role)
    for one in waiting(client.get(HOME).context):
        listed = client.get(one.url)
        assert listed.status_code == 200, one.url
        if one.what != "Semanas por cerrar":  # leads to all weeks: the late ones are the first
            assert listed.context["cl"].result_count == one.count, one.what


@pytest.mark.parametrize(("count", "minutes", "shown"), [(1, 0.5, "recién"), (1, 3, "desde hace 3 min"), (0, 5, "")])
def test_age_is_told_in_words(count: int, minutes: float, shown: str) -> None:
    now = timezone.now()
    waiting_since = Waiting(what="Avisos", count=count, url="/", since=now - timedelta(minutes=minutes))
    assert age(waiting_since, now) == shown


@pytest.mark.parametrize("role", ROLES)
def test_each_link_opens(guild: list[Maestro], role: str) -> None:
    client = make(role)
    page = client.get(HOME).text
    links = set(re.findall(r'href="(/admin/[^"]+)"', page))
    codes = {link: client.get(link.replace("&amp;", "&")).status_code for link in links}
    assert len(codes) > 5
    assert {link: code for link, code in codes.items() if code != 200} == {}


def test_the_queue_is_paid_first_then_by_age(guild: list[Maestro]) -> None:
    rows = panels(make("revisora").get(HOME).context)["Las próximas inscripciones"].rows
    assert [row.text for row in rows] == ["Gina", "Hugo", "Inés"]
    assert rows[0].note.startswith("Paid, Ñuñoa, hace ")


def test_sales_are_counted_without_the_voided(guild: list[Maestro]) -> None:
    picture = panels(make("contadora").get(HOME).context)["Ventas de hoy"].picture
    counted = Venta.objects.filter(dia=timezone.localdate(), anulada_en=None).count()
    assert Venta.objects.filter(anulada_en__isnull=False).exists()
    assert f"<p>{counted} ventas; " in picture
    assert sum(int(count) for count in re.findall(r"<title>\d+ h: (\d+)<", picture)) == counted


def test_a_user_without_a_group_is_told_what_to_do(kafka: str, db: None, client: Client) -> None:
    client.force_login(make_staff("nueva"))
    page = client.get(HOME)
    assert "pide a quien administra que te agregue a un grupo" in page.text
    assert "Buscar un maestro" not in page.text


def test_the_health_is_told_to_each_as_they_may_see_it(guild: list[Maestro]) -> None:
    overview.forget()
    health = make("operadora").get(HOME).context["health"]
    seen = overview.recent(60).problems
    assert seen  # no consumer runs in this test
    assert health.sentence == f"{seen[0].summary} Y {len(seen) - 1} más."
    assert health.url == "/admin/kafka_bridge/overviewpage/"
    health = make("revisora").get(HOME).context["health"]
    assert health.sentence.startswith("El sistema tiene un problema")
    assert health.url == ""


@pytest.mark.parametrize(
    ("role", "queries"), [("revisora", 10), ("distribuidor", 11), ("contadora", 12), ("operadora", 20)]
)
def test_queries_do_not_grow_with_the_guild(
    guild: list[Maestro], role: str, queries: int, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    client = make(role)
    client.get(HOME)  # the health is remembered for some seconds
    with django_assert_max_num_queries(queries) as before:
        client.get(HOME)
    register(*(make_form(nombre="Solo") for _ in range(20)))
    sell(guild, Inscripcion.objects.latest("registrada_en").registrada_en)
    Envio.objects.update(estado=Envio.Estado.DETENIDO)
    with django_assert_max_num_queries(queries) as after:
        client.get(HOME)
    assert len(before) == len(after)


def test_the_chart_says_its_figures() -> None:
    chart = hours_chart({9: 3, 15: 1_200}, what="ventas")
    assert 'aria-label="1.203 ventas; lo más alto, entre las 15 y las 16 h: 1.200"' in chart
    assert "<title>9 h: 3</title>" in chart
    assert "Todavía no hay ventas" in hours_chart({}, what="ventas")
