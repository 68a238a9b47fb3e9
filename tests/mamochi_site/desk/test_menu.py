"""The menu of the admin."""

from collections import Counter

import pytest
from django.apps import apps
from django.contrib import admin
from django.test import Client

from mamochi_site.desk import menu
from tests.mamochi_site.desk.conftest import ROLES, make

pytestmark = pytest.mark.django_db


def shown(client: Client) -> dict[str, list[str]]:
    """Return the titles of the menu's items, by group."""
    groups = client.get("/admin/ventas/producto/").context or client.get("/admin/password_change/").context
    return {
        group.get("title", ""): [item["title"] for item in group["items"]] for group in groups["sidebar_navigation"]
    }


def test_each_model_is_in_the_menu_once() -> None:
    listed = Counter(apps.get_model(label) for models in menu.GROUPS.values() for label in models)
    assert set(listed) == set(admin.site._registry)
    assert set(listed.values()) == {1}


def test_no_two_items_have_the_same_name() -> None:
    names = Counter(title for titles in shown(make("operadora")).values() for title in titles)
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize(
    ("role", "groups"),
    [
        ("revisora", ["", "Inscripciones"]),
        ("distribuidor", ["", "Carros"]),
        ("contadora", ["", "Cuentas"]),
        ("operadora", ["", "Inscripciones", "Carros", "Cuentas", "Sistema"]),
    ],
)
def test_each_role_sees_its_own_work(role: str, groups: list[str]) -> None:
    assert list(shown(make(role))) == groups


@pytest.mark.parametrize("role", ROLES)
def test_each_item_opens(role: str, kafka: str) -> None:
    client = make(role)
    items = [
        item for group in client.get("/admin/password_change/").context["sidebar_navigation"] for item in group["items"]
    ]
    assert {item["link"]: client.get(item["link"]).status_code for item in items} == {
        item["link"]: 200 for item in items
    }
