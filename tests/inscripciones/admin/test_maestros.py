"""What staff can do to a maestro."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from knox.models import AuthToken

from inscripciones import credenciales
from inscripciones.models import Envio, Maestro, Usuario
from tests.support.people import NOW, make_form, register
from tests.support.staff import make_staff

pytestmark = pytest.mark.django_db
MAESTROS = "/admin/inscripciones/maestro/"


def test_staff_resend_revoke_and_let_go(client: Client, reviewer: Usuario) -> None:
    [fila] = register(make_form())
    maestro = Maestro.objects.get()
    credenciales.emitir(maestro.usuario)
    Envio.objects.update(estado=Envio.Estado.ENVIADO, enviado_en=NOW)

    def act(action: str, **data: str) -> Any:
        return client.post(MAESTROS, {"action": action, "_selected_action": [str(maestro.pk)], **data}, follow=True)

    assert "las credenciales van en camino." in act("reenviar").text
    assert Envio.objects.get(inscripcion=fila).estado == Envio.Estado.PENDIENTE
    assert "Token anulado." in act("anular").text
    assert AuthToken.objects.count() == 0
    assert maestro.rut in act("dar_de_baja").text
    assert "Este campo es requerido." in act("dar_de_baja", confirmado="1", motivo="").text
    assert Usuario.objects.get(maestro=maestro).is_active is True
    act("dar_de_baja", confirmado="1", motivo="Se jubiló.")
    assert Usuario.objects.get(maestro=maestro).is_active is False
    assert "Dado de baja. Se jubiló." in client.get(f"{MAESTROS}{maestro.pk}/history/").text
    assert "está de baja: no se le envía nada." in act("reenviar").text
    act("reactivar")
    assert Usuario.objects.get(maestro=maestro).is_active is True
    assert client.get(f"{MAESTROS}{maestro.pk}/history/").text.count("Reactivado.") == 1


def test_correcting_an_address_needs_a_reason(client: Client, reviewer: Usuario) -> None:
    register(make_form(email="rosa@gmial.com"), make_form(email="otra@example.cl"))
    maestro = Maestro.objects.get(email="rosa@gmial.com")
    url = f"{MAESTROS}{maestro.pk}/corregir-correo/"
    assert "rosa@gmial.com" in client.get(url).text
    assert "requerido" in client.post(url, {"email": "rosa@gmail.com", "motivo": ""}).text
    assert "es de otra inscripción" in client.post(url, {"email": "otra@example.cl", "motivo": "Llamó."}).text
    page = client.post(url, {"email": "rosa@gmail.com", "motivo": "Llamó."}, follow=True)
    assert "Correo corregido: las credenciales van en camino." in page.text
    maestro.refresh_from_db()
    assert maestro.email == maestro.inscripcion.email == "rosa@gmail.com"
    assert (
        "Correo corregido: era rosa@gmial.com, ahora es rosa@gmail.com. Llamó."
        in client.get(f"{MAESTROS}{maestro.pk}/history/").text
    )


def test_a_second_correction_is_told_of_the_first(client: Client, reviewer: Usuario) -> None:
    register(make_form(email="rosa@gmial.com"))
    maestro = Maestro.objects.get()
    url = f"{MAESTROS}{maestro.pk}/corregir-correo/"
    seen = client.get(url).context["form"]["visto"].value()
    first = {"email": "rosa@gmail.com", "motivo": "Llamó.", "visto": seen}
    assert client.post(url, first).status_code == 302
    second = client.post(url, {"email": "\u202aRosa@Ñandu.cl\u202c", "motivo": "Escribió.", "visto": seen})
    assert f"{reviewer.username} (" in second.text
    assert "era rosa@gmial.com, ahora es rosa@gmail.com. Llamó." in second.text
    assert "Escribió." in second.text
    assert Maestro.objects.get().email == "rosa@gmail.com"
    form = second.context["form"]
    again = {"email": form["email"].value(), "motivo": form["motivo"].value(), "visto": form["visto"].value()}
    assert client.post(url, again).status_code == 302
    assert Maestro.objects.get().email == "rosa@xn--andu-fqa.cl"


@pytest.mark.parametrize(
    ("permission", "action"),
    [
        ("reenviar_credenciales", "reenviar"),
        ("anular_credenciales", "anular"),
        ("dar_de_baja_maestro", "dar_de_baja"),
        ("reactivar_maestro", "reactivar"),
    ],
)
def test_each_action_needs_its_permission(client: Client, permission: str, action: str) -> None:
    user = make_staff("media")
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_maestro", permission]))
    client.force_login(user)
    register(make_form())
    actions = [name for name, _ in client.get(MAESTROS).context["action_form"].fields["action"].choices]
    assert [name for name in actions if name] == [action]
    assert client.get(f"{MAESTROS}{Maestro.objects.get().pk}/corregir-correo/").status_code == 403
