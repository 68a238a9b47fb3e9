"""The catalogue's pages: prices as Chileans type them, and two people on one page."""

import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse

from stock.models import Insumo
from tests.support.staff import make_staff
from ventas.models import Producto, Receta

PAGE = "admin:ventas_producto_change"


class Boxes(HTMLParser):
    """The boxes of a page, with what a browser would send."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.values: dict[str, str] = {}
        self.select = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        own = {name: value or "" for name, value in attrs}
        if tag == "select":
            self.select = own.get("name", "")
        elif tag == "option" and "selected" in own:
            self.values[self.select] = own["value"]
        elif tag == "input" and own.get("type") == "checkbox":
            if "checked" in own and "name" in own:
                self.values[own["name"]] = own.get("value", "on")
        elif tag == "input" and "name" in own and own.get("type") != "submit":
            self.values[own["name"]] = own.get("value", "")


def boxes(response: Any) -> dict[str, str]:
    assert response.status_code == 200, response.status_code
    values = Boxes(response.content.decode()).values
    return {name: value for name, value in values.items() if "__prefix__" not in name and "DELETE" not in name}


@pytest.fixture
def ana(catalogue: None) -> Client:
    return person("ana")


@pytest.fixture
def beto(catalogue: None) -> Client:
    return person("beto")


def person(name: str) -> Client:
    client = Client()
    client.force_login(make_staff(name, is_superuser=True))
    return client


def save(client: Client, form: dict[str, str], page: str = PAGE, pk: str = "grande") -> Any:
    return client.post(reverse(page, args=[pk]), form)


@pytest.mark.parametrize(
    ("typed", "saved"), [("3.000", 3_000), ("3 000", 3_000), ("$3.000", 3_000), ("3000", 3_000), ("$ 3.000.-", 3_000)]
)
def test_a_price_is_saved_as_it_was_meant(ana: Client, typed: str, saved: int) -> None:
    form = boxes(ana.get(reverse(PAGE, args=["grande"])))
    assert save(ana, {**form, "precio": typed}).status_code == 302
    assert Producto.objects.get(pk="grande").precio == saved


@pytest.mark.parametrize("typed", ["3.00", "3,5", "1.5", "3.000 ml", "3", "99", "1.000.001", "-3.000"])
def test_a_doubtful_price_is_an_error(ana: Client, typed: str) -> None:
    form = boxes(ana.get(reverse(PAGE, args=["grande"])))
    response = save(ana, {**form, "precio": typed})
    assert response.context["adminform"].form.errors["precio"]
    assert Producto.objects.get(pk="grande").precio == 2_500


def test_recipes_costs_and_capacities_are_read_alike(ana: Client) -> None:
    form = boxes(ana.get(reverse(PAGE, args=["grande"])))
    assert save(ana, {**form, "receta-0-cantidad": "1.000"}).status_code == 302
    assert Receta.objects.filter(producto="grande", cantidad=1_000).exists()
    assert "receta-0-cantidad" in form
    costs = "admin:ventas_insumo_change"
    form = boxes(ana.get(reverse(costs, args=["mote"])))
    assert form["costo"] == "1,20"
    assert save(ana, {**form, "costo": "1.200,50"}, costs, "mote").status_code == 302
    assert str(Producto._meta.apps.get_model("ventas", "Insumo").objects.get(pk="mote").costo) == "1200.50"
    capacities = "admin:stock_insumo_change"
    Insumo.objects.get_or_create(codigo="jugo", defaults={"nombre": "Jugo", "unidad": "ml", "capacidad": 3_000})
    form = boxes(ana.get(reverse(capacities, args=["jugo"])))
    assert save(ana, {**form, "capacidad": "4.000"}, capacities, "jugo").status_code == 302
    assert Insumo.objects.get(pk="jugo").capacidad == 4_000


def test_the_database_refuses_an_implausible_price(catalogue: None) -> None:
    for precio in (3, 1_000_001):
        with pytest.raises(IntegrityError), transaction.atomic():
            Producto.objects.filter(pk="grande").update(precio=precio)


def test_the_second_person_is_told_of_the_first(ana: Client, beto: Client) -> None:
    url = reverse(PAGE, args=["grande"])
    of_ana, of_beto = boxes(ana.get(url)), boxes(beto.get(url))
    assert save(ana, {**of_ana, "precio": "2.200"}).status_code == 302
    response = save(beto, {**of_beto, "receta-0-cantidad": "7"})
    told = " ".join(response.context["adminform"].form.non_field_errors())
    assert "precio: antes «2.500», ahora «2.200»" in told
    assert "ana (" in told
    assert Producto.objects.get(pk="grande").precio == 2_200
    assert not Receta.objects.filter(producto="grande", cantidad=7).exists()
    again = boxes(response)
    assert (again["precio"], again["receta-0-cantidad"]) == ("2500", "7")  # what beto has typed stays
    assert save(beto, {**again, "precio": "2.200"}).status_code == 302
    assert Producto.objects.get(pk="grande").precio == 2_200
    assert Receta.objects.filter(producto="grande", cantidad=7).exists()


def test_a_changed_recipe_is_told_too(ana: Client, beto: Client) -> None:
    url = reverse(PAGE, args=["grande"])
    of_ana, of_beto = boxes(ana.get(url)), boxes(beto.get(url))
    assert save(ana, {**of_ana, "receta-0-cantidad": "9"}).status_code == 302
    told = " ".join(save(beto, {**of_beto, "precio": "2.900"}).context["adminform"].form.non_field_errors())
    assert "ingrediente de la receta: antes «" in told
    assert "cantidad: 9" in told
    assert Producto.objects.get(pk="grande").precio == 2_500


def test_what_a_program_changed_is_told(ana: Client) -> None:
    form = boxes(ana.get(reverse(PAGE, args=["grande"])))
    Producto.objects.filter(pk="grande").update(nombre="Otro")
    told = " ".join(save(ana, form).context["adminform"].form.non_field_errors())
    assert "alguien, fuera de estas páginas" in told
    assert "ahora «Otro»" in told


def test_a_page_with_a_forged_version_is_refused(ana: Client) -> None:
    form = boxes(ana.get(reverse(PAGE, args=["grande"])))
    assert save(ana, {**form, "version_mostrada": "x"}).status_code == 200


def test_an_unchanged_object_is_saved_twice(ana: Client) -> None:
    for _ in range(2):
        form = boxes(ana.get(reverse(PAGE, args=["grande"])))
        assert save(ana, form).status_code == 302


@pytest.fixture
def other_threads() -> Iterator[list[threading.Thread]]:
    threads: list[threading.Thread] = []
    yield threads
    for thread in threads:
        thread.join(30)


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_of_two_at_once_one_is_told(catalogue: None, other_threads: list[threading.Thread]) -> None:
    people = [person("ana"), person("beto")]
    url = reverse(PAGE, args=["grande"])
    pages = [boxes(client.get(url)) for client in people]
    answers: list[int] = []
    start = threading.Barrier(2)

    def press(client: Client, form: dict[str, str], price: str) -> None:
        start.wait(10)
        try:
            answers.append(save(client, {**form, "precio": price}).status_code)
        finally:
            connection.close()

    for client, form, price in zip(people, pages, ("2.200", "2.300"), strict=True):
        other_threads.append(threading.Thread(target=press, args=(client, form, price)))
        other_threads[-1].start()
    for thread in other_threads:
        thread.join(30)
    assert sorted(answers) == [200, 302]
