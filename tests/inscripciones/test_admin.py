"""The review in the admin, as the people of the group Revisores use it."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone
from knox.models import AuthToken
from pytest_django import DjangoAssertNumQueries, Settings

from inscripciones import credenciales, recepcion, reports, revision
from inscripciones.models import Envio, Inscripcion, Maestro, Usuario
from inscripciones.seed import GRUPO, sembrar
from tests.support.people import AHORA, evento, formulario, pagado

pytestmark = pytest.mark.django_db
LISTA = "/admin/inscripciones/inscripcion/"
MAESTROS = "/admin/inscripciones/maestro/"


@pytest.fixture(autouse=True)
def _sembrado(settings: Settings) -> None:
    sembrar(apps)
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }


def persona(nombre: str, *grupos: str, **campos: Any) -> Usuario:
    usuario = Usuario.objects.create_user(nombre, password="clave", is_staff=True, **campos)
    usuario.groups.set(Group.objects.filter(name__in=grupos))
    return usuario


@pytest.fixture
def revisora(client: Client) -> Usuario:
    usuario = persona("revisora", GRUPO)
    client.force_login(usuario)
    return usuario


def registrar(*forms: dict[str, Any]) -> list[Inscripcion]:
    return recepcion.registrar(
        [evento(form, time=AHORA + timedelta(minutes=n)) for n, form in enumerate(forms)],
        ahora=AHORA + timedelta(hours=1),
    )


def dudosa(**campos: Any) -> dict[str, Any]:
    return formulario(nombre=campos.pop("nombre", "Rosa"), **campos)


def resultados(client: Client, **consulta: str) -> list[UUID]:
    answer = client.get(LISTA, consulta)
    assert answer.status_code == 200
    return [fila.pk for fila in answer.context["cl"].result_list]


def decidir(client: Client, accion: str, *filas: Inscripcion, **datos: str) -> Any:
    elegidas = [str(fila.pk) for fila in filas]
    return client.post(LISTA, {"action": accion, "_selected_action": elegidas, **datos}, follow=True)


# The queue


def test_the_queue_shows_what_waits_paid_first_then_by_age(client: Client, revisora: Usuario) -> None:
    normal, pagada, otra_normal, otra_pagada, _aprobada = registrar(
        dudosa(), pagado(nombre="Ana"), dudosa(), pagado(nombre="Eva"), formulario()
    )
    assert resultados(client) == [fila.pk for fila in (pagada, otra_pagada, normal, otra_normal)]
    page = client.get(LISTA).text
    assert "Falta el nombre o el apellido." in page
    assert "Esperan <strong>2</strong> Paid y <strong>2</strong> normales" in page


@pytest.mark.parametrize("texto", ["12.345.678-5", "12345678-5", "nanez", "ÑÁÑEZ rosa", "quien@example.cl"])
def test_search_by_rut_name_or_mail_as_people_type_them(client: Client, revisora: Usuario, texto: str) -> None:
    buscada, _otra = registrar(
        dudosa(nombre="Rosa Ñáñez", rut="12345678-5", email="quien@example.cl") | {"comprobante_pago": "X"}, dudosa()
    )
    assert resultados(client, q=texto, estado="todos") == [buscada.pk]


def test_filters_by_state_and_by_the_rule_that_did_not_pass(client: Client, revisora: Usuario) -> None:
    doble, desechable, aprobada = registrar(dudosa(), formulario(email="a@yopmail.com"), formulario())
    assert resultados(client, regla="correo_permanente") == [desechable.pk]
    assert resultados(client, regla="nombre_completo") == [doble.pk]
    assert resultados(client, estado="aprobada") == [aprobada.pk]


def test_the_queue_costs_no_query_a_row(
    client: Client, revisora: Usuario, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    registrar(*(dudosa() for _ in range(40)))
    with django_assert_max_num_queries(16):
        assert len(resultados(client)) == 40


# Deciding


def test_approving_many_asks_why_and_then_does_it(client: Client, revisora: Usuario) -> None:
    filas = registrar(dudosa(), dudosa(), dudosa())
    page = decidir(client, "aprobar_elegidas", *filas[:2])
    assert page.text.count("Falta el nombre o el apellido.") == 2
    assert Maestro.objects.count() == 0
    page = decidir(client, "aprobar_elegidas", *filas[:2], confirmado="1", motivo="")
    assert "Inscripciones aprobadas: 2." in page.text
    assert set(Maestro.objects.values_list("inscripcion_id", flat=True)) == {fila.pk for fila in filas[:2]}
    assert Inscripcion.objects.get(pk=filas[0].pk).resuelta_por == revisora


def test_rejecting_takes_a_reason(client: Client, revisora: Usuario) -> None:
    [fila] = registrar(dudosa())
    page = decidir(client, "rechazar_elegidas", fila, confirmado="1", motivo="")
    assert "Este campo es requerido." in page.text
    assert Inscripcion.objects.get(pk=fila.pk).estado == "en_revision"
    decidir(client, "rechazar_elegidas", fila, confirmado="1", motivo="No vende mote con huesillo.")
    fila.refresh_from_db()
    assert (fila.estado, fila.motivo) == ("rechazada", "No vende mote con huesillo.")
    assert Envio.objects.get().tipo == Envio.Tipo.RECHAZO


def test_deciding_one_from_its_page_and_its_history(client: Client, revisora: Usuario) -> None:
    [fila] = registrar(dudosa())
    assert "Aprobar" in client.get(f"{LISTA}{fila.pk}/change/").text
    url = f"{LISTA}{fila.pk}/aprobar/"
    assert "Se trata de esta inscripción" in client.get(url).text
    page = client.post(url, {"confirmado": "1", "motivo": "La llamé por teléfono."}, follow=True)
    assert "Inscripciones aprobadas: 1." in page.text
    historia = client.get(f"{LISTA}{fila.pk}/history/").text
    assert "Aprobada. La llamé por teléfono." in historia
    assert "revisora" in historia


def test_the_second_reviewer_is_told(client: Client, revisora: Usuario) -> None:
    [fila] = registrar(dudosa(nombre="Rosita"))
    revision.rechazar([fila.pk], por=persona("otro"), motivo="No.", ahora=AHORA)
    page = decidir(client, "aprobar_elegidas", fila, confirmado="1", motivo="")
    assert Maestro.objects.count() == 0
    assert "Ninguna estaba por decidir: no se hizo nada. Rosita: ya está rechazada" in page.text
    assert [str(message.tags) for message in page.context["messages"]] == ["warning"]
    page = client.post(f"{LISTA}{fila.pk}/aprobar/", {"confirmado": "1", "motivo": ""}, follow=True)
    assert "Rosita: ya está rechazada, no se hizo nada." in page.text


# Who may


@pytest.mark.parametrize(
    ("permiso", "puede"), [("aprobar_inscripcion", "aprobar"), ("rechazar_inscripcion", "rechazar")]
)
def test_each_action_takes_its_permission(client: Client, permiso: str, puede: str) -> None:
    usuario = persona("media")
    usuario.user_permissions.set(
        apps.get_model("auth", "Permission").objects.filter(codename__in=["view_inscripcion", permiso])
    )
    client.force_login(usuario)
    [fila] = registrar(dudosa())
    codigos = {verbo: client.get(f"{LISTA}{fila.pk}/{verbo}/").status_code for verbo in ("aprobar", "rechazar")}
    assert codigos == {"aprobar": 403, "rechazar": 403} | {puede: 200}
    acciones = [nombre for nombre, _ in client.get(LISTA).context["action_form"].fields["action"].choices]
    assert [nombre for nombre in acciones if nombre] == [f"{puede}_elegidas"]


def test_a_maestro_has_no_admin(client: Client) -> None:
    registrar(formulario())
    client.force_login(Usuario.objects.get())
    assert client.get(LISTA).status_code == 302


def test_seeding_again_keeps_what_staff_changed() -> None:
    grupo = Group.objects.get(name=GRUPO)
    assert grupo.permissions.filter(codename="aprobar_inscripcion").exists()
    grupo.permissions.clear()
    sembrar(apps)
    assert (Group.objects.filter(name=GRUPO).count(), grupo.permissions.count()) == (1, 0)


# Maestros, mails, pages


def test_staff_resend_revoke_and_let_go(client: Client, revisora: Usuario) -> None:
    [fila] = registrar(formulario())
    maestro = Maestro.objects.get()
    credenciales.emitir(maestro.usuario)
    Envio.objects.update(estado=Envio.Estado.ENVIADO, enviado_en=AHORA)

    def hacer(accion: str, **datos: str) -> Any:
        return client.post(MAESTROS, {"action": accion, "_selected_action": [str(maestro.pk)], **datos}, follow=True)

    assert "las credenciales van en camino." in hacer("reenviar").text
    assert Envio.objects.get(inscripcion=fila).estado == Envio.Estado.PENDIENTE
    assert "Token anulado." in hacer("anular").text
    assert AuthToken.objects.count() == 0
    assert maestro.rut in hacer("dar_de_baja").text
    assert "Este campo es requerido." in hacer("dar_de_baja", confirmado="1", motivo="").text
    assert Usuario.objects.get(maestro=maestro).is_active is True
    hacer("dar_de_baja", confirmado="1", motivo="Se jubiló.")
    assert Usuario.objects.get(maestro=maestro).is_active is False
    assert "Dado de baja. Se jubiló." in client.get(f"{MAESTROS}{maestro.pk}/history/").text
    assert "está de baja: no se le envía nada." in hacer("reenviar").text
    hacer("reactivar")
    assert Usuario.objects.get(maestro=maestro).is_active is True
    assert client.get(f"{MAESTROS}{maestro.pk}/history/").text.count("Reactivado.") == 1


def test_staff_correct_an_address_with_a_reason(client: Client, revisora: Usuario) -> None:
    registrar(formulario(email="rosa@gmial.com"), formulario(email="otra@example.cl"))
    maestro = Maestro.objects.get(email="rosa@gmial.com")
    url = f"{MAESTROS}{maestro.pk}/corregir-correo/"
    assert "rosa@gmial.com" in client.get(url).text
    assert "requerido" in client.post(url, {"email": "rosa@gmail.com", "motivo": ""}).text
    assert "es de otra inscripción" in client.post(url, {"email": "otra@example.cl", "motivo": "Llamó."}).text
    page = client.post(url, {"email": "rosa@gmail.com", "motivo": "Llamó."}, follow=True)
    assert "Correo corregido: las credenciales van en camino." in page.text
    maestro.refresh_from_db()
    assert maestro.email == maestro.inscripcion.email == "rosa@gmail.com"
    assert "Correo corregido: era rosa@gmial.com. Llamó." in client.get(f"{MAESTROS}{maestro.pk}/history/").text


@pytest.mark.parametrize(
    ("permiso", "accion"),
    [
        ("reenviar_credenciales", "reenviar"),
        ("anular_credenciales", "anular"),
        ("dar_de_baja_maestro", "dar_de_baja"),
        ("reactivar_maestro", "reactivar"),
    ],
)
def test_each_thing_done_to_a_maestro_takes_its_permission(client: Client, permiso: str, accion: str) -> None:
    usuario = persona("media")
    permisos = apps.get_model("auth", "Permission").objects.filter(codename__in=["view_maestro", permiso])
    usuario.user_permissions.set(permisos)
    client.force_login(usuario)
    registrar(formulario())
    acciones = [nombre for nombre, _ in client.get(MAESTROS).context["action_form"].fields["action"].choices]
    assert [nombre for nombre in acciones if nombre] == [accion]
    assert client.get(f"{MAESTROS}{Maestro.objects.get().pk}/corregir-correo/").status_code == 403


def test_every_page_opens(admin_client: Client) -> None:
    registrar(formulario(), pagado(), dudosa())
    for modelo in ("inscripcion", "comprobante", "maestro", "envio", "usuario"):
        lista = f"/admin/inscripciones/{modelo}/"
        assert admin_client.get(lista, {"q": "rosa"}).status_code == 200
        objeto = apps.get_model("inscripciones", modelo).objects.first()
        assert admin_client.get(f"{lista}{objeto.pk}/change/").status_code == 200
    assert admin_client.get("/admin/auth/group/").status_code == 200


# Numbers


def test_the_numbers_count_by_chilean_day_and_lane() -> None:
    normal, pago = formulario(), pagado()
    registrar(normal, pago, pagado())
    registrar({**pago, "nombre": pago["nombre"].upper()})  # joined to the first: no other enrolment
    dias = reports.por_dia(hasta=timezone.localdate(AHORA), dias=3)
    assert [(dia.paid, dia.normal) for dia in dias] == [(0, 0), (0, 0), (2, 1)]


def test_the_numbers_tell_the_wait_by_lane_and_by_whom(client: Client, revisora: Usuario) -> None:
    registrar(formulario(), pagado())
    [fila] = registrar(dudosa())
    revision.aprobar([fila.pk], por=revisora, ahora=AHORA + timedelta(days=2))
    esperas = [(e.via, e.quien, e.cuantas, e.mediana) for e in reports.esperas(desde=AHORA)]
    assert esperas == [
        ("Normal", "una persona", 1, 172800.0),
        ("Paid", "las reglas", 1, 3540.0),
        ("Normal", "las reglas", 1, 3600.0),
    ]
    page = client.get(f"{LISTA}numeros/").text
    assert page.count("<svg viewBox") == 2
