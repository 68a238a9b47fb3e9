"""The pages of users and groups."""

import re

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from inscripciones.models import Usuario
from inscripciones.seed import GRUPO
from tests.support.staff import make_staff

pytestmark = pytest.mark.django_db


@pytest.fixture
def chief(client: Client) -> Usuario:
    """Return a superuser, who is logged in with `client`."""
    user = make_staff("jefa", is_superuser=True)
    client.force_login(user)
    return user


@pytest.mark.parametrize("page", ["group", "usuario"])
def test_permissions_are_offered_in_spanish(client: Client, chief: Usuario, page: str) -> None:
    if page == "group":
        url = reverse("admin:auth_group_change", args=[Group.objects.get(name=GRUPO).pk])
    else:
        url = reverse("admin:inscripciones_usuario_change", args=[chief.pk])
    options = re.findall(r"<option[^>]*>([^<]*)</option>", client.get(url).content.decode())
    assert "Kafka | mensaje no procesado | Puede corregir y reenviar mensajes no procesados" in options
    assert "Kafka | panorama | Puede ver" in options
    assert "Inscripciones | maestro | Puede dar de baja a un maestro" in options
    assert not [option for option in options if "Can " in option]


def test_a_changed_permission_is_told_in_spanish(client: Client, chief: Usuario) -> None:
    """Another person took a permission away while the page of the group was open."""
    group = Group.objects.get(name=GRUPO)
    url = reverse("admin:auth_group_change", args=[group.pk])
    page = client.get(url)
    form = {"name": GRUPO, "permissions": [], "version_mostrada": page.context["version_mostrada"]}
    group.permissions.remove(group.permissions.get(codename="view_maestro"))
    assert "Inscripciones | maestro | Puede ver" in client.post(url, form).content.decode()
