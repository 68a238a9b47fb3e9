"""A maestro's page in the admin: all that the guild has of the maestro."""

import re
from typing import Any

from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from gremio.desk import Panel
from inscripciones import credenciales
from inscripciones.models import Maestro
from tests.mamochi_site.desk.conftest import make
from tests.support.guild import sell

QUERIES = 13


def url_of(maestro: Maestro) -> str:
    return reverse("admin:inscripciones_maestro_change", args=[maestro.pk])


def panels(page: Any) -> dict[str, Panel]:
    return {panel.title: panel for panel in page.context["panels"]}


def test_all_of_a_maestro_is_there(guild: list[Maestro]) -> None:
    credenciales.emitir(guild[0].usuario)
    page = make("operadora").get(url_of(guild[0]))
    found = {title: len(panel.rows) for title, panel in panels(page).items()}
    assert found == {
        "Inscripción": 1,
        "Token": 1,
        "Correos de su inscripción": 1,
        "Eventos": 3,
        "Carro": 1,
        "Avisos de lo que se acabó": 4,
        "Últimos movimientos": 5,
        "Sus semanas y sus correos": 1,
        "Últimas ventas": 5,
    }
    assert panels(page)["Carro"].picture.count("Huesillo") == 1
    assert panels(page)["Sus semanas y sus correos"].rows[0].text.endswith(": 5 ventas, $6.950")


def test_each_link_opens_a_page_of_the_maestro(guild: list[Maestro]) -> None:
    client = make("operadora")
    page = client.get(url_of(guild[1])).text
    links = re.findall(r'href="([^"]+)"', page[page.index('class="paneles ficha"') :])
    assert len(links) > 15
    assert {link: client.get(link).status_code for link in links} == dict.fromkeys(links, 200)


def test_the_ledger_is_found_by_the_maestros_id(guild: list[Maestro]) -> None:
    client = make("contadora")
    listed = client.get(reverse("admin:ventas_venta_changelist"), {"q": str(guild[2].pk)}).context["cl"].result_list
    assert {sale.maestro_id for sale in listed} == {guild[2].pk}


def test_a_reviewer_sees_enrolment_only(guild: list[Maestro]) -> None:
    page = make("revisora").get(url_of(guild[0]))
    assert list(panels(page)) == ["Inscripción", "Token", "Correos de su inscripción"]


def test_queries_do_not_grow_with_the_sales(
    guild: list[Maestro], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client = make("operadora")
    with django_assert_num_queries(QUERIES):
        client.get(url_of(guild[0]))
    sell(guild, guild[0].aprobado_en)
    with django_assert_num_queries(QUERIES):
        client.get(url_of(guild[0]))
