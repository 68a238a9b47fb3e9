"""The review queue and its decisions."""

from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
import time_machine
from django.contrib.auth.models import Permission
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from inscripciones.models import Envio, Inscripcion, Maestro, Usuario
from inscripciones.tramite import revision
from tests.support.people import NOW, make_form, make_paid_form, register
from tests.support.staff import make_staff

pytestmark = pytest.mark.django_db
QUEUE = "/admin/inscripciones/inscripcion/"


arrive = partial(register, apart=timedelta(minutes=1), decided_after=timedelta(hours=1))


def doubtful_form(**fields: Any) -> dict[str, Any]:
    return make_form(**{"nombre": "Rosa", **fields})


def listed(client: Client, **query: str) -> list[UUID]:
    answer = client.get(QUEUE, query)
    assert answer.status_code == 200
    return [fila.pk for fila in answer.context["cl"].result_list]


def decide(client: Client, action: str, *filas: Inscripcion, **data: str) -> Any:
    chosen = [str(fila.pk) for fila in filas]
    return client.post(QUEUE, {"action": action, "_selected_action": chosen, **data}, follow=True)


def test_the_queue_is_paid_first_then_by_age(client: Client, reviewer: Usuario) -> None:
    normal, pagada, otra_normal, otra_pagada, _aprobada = arrive(
        doubtful_form(), make_paid_form(nombre="Ana"), doubtful_form(), make_paid_form(nombre="Eva"), make_form()
    )
    assert listed(client) == [fila.pk for fila in (pagada, otra_pagada, normal, otra_normal)]
    page = client.get(QUEUE).text
    assert "Falta el nombre o el apellido." in page
    assert "Esperan <strong>2</strong> Paid y <strong>2</strong> normales" in page


@pytest.mark.parametrize(
    "texto",
    [
        *("12.345.678-5", "12345678-5", "12.345.6", "nanez", "ÑÁÑEZ rosa", "quien@example.cl", "Quien@exa", "quien"),
        *("temuco", "rosa temu", "o'nan", "ñañez-rosa"),
    ],
)
def test_search_finds_what_people_type(client: Client, reviewer: Usuario, texto: str) -> None:
    buscada, _otra = arrive(
        doubtful_form(nombre="Rosa Ñáñez O'Nan", rut="12345678-5", email="quien@example.cl", comuna="Temuco")
        | {"comprobante_pago": "X"},
        doubtful_form(),
    )
    assert listed(client, q=texto, estado="todos") == [buscada.pk]


def test_filters_by_state_and_by_rule(client: Client, reviewer: Usuario) -> None:
    doble, desechable, aprobada = arrive(doubtful_form(), make_form(email="a@yopmail.com"), make_form())
    assert listed(client, regla="correo_permanente") == [desechable.pk]
    assert listed(client, regla="nombre_completo") == [doble.pk]
    assert listed(client, estado="aprobada") == [aprobada.pk]


def test_the_queue_costs_no_query_per_row(
    client: Client, reviewer: Usuario, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    arrive(*(doubtful_form() for _ in range(40)))
    with django_assert_max_num_queries(16):
        assert len(listed(client)) == 40


def test_approving_many_asks_why_first(client: Client, reviewer: Usuario) -> None:
    filas = arrive(doubtful_form(), doubtful_form(), doubtful_form())
    page = decide(client, "aprobar_elegidas", *filas[:2])
    assert page.text.count("Falta el nombre o el apellido.") == 2
    assert Maestro.objects.count() == 0
    page = decide(client, "aprobar_elegidas", *filas[:2], confirmado="1", motivo="")
    assert "Inscripciones aprobadas: 2." in page.text
    assert set(Maestro.objects.values_list("inscripcion_id", flat=True)) == {fila.pk for fila in filas[:2]}
    assert Inscripcion.objects.get(pk=filas[0].pk).resuelta_por == reviewer


def test_rejecting_needs_a_reason(client: Client, reviewer: Usuario) -> None:
    [fila] = arrive(doubtful_form())
    page = decide(client, "rechazar_elegidas", fila, confirmado="1", motivo="")
    assert "Este campo es requerido." in page.text
    assert Inscripcion.objects.get(pk=fila.pk).estado == "en_revision"
    decide(client, "rechazar_elegidas", fila, confirmado="1", motivo="No vende mote con huesillo.")
    fila.refresh_from_db()
    assert (fila.estado, fila.motivo) == ("rechazada", "No vende mote con huesillo.")
    assert Envio.objects.get().tipo == Envio.Tipo.RECHAZO


def test_deciding_one_is_in_its_history(client: Client, reviewer: Usuario) -> None:
    [fila] = arrive(doubtful_form())
    assert "Aprobar" in client.get(f"{QUEUE}{fila.pk}/change/").text
    url = f"{QUEUE}{fila.pk}/aprobar/"
    assert "Se trata de esta inscripción" in client.get(url).text
    page = client.post(url, {"confirmado": "1", "motivo": "La llamé por teléfono."}, follow=True)
    assert "Inscripciones aprobadas: 1." in page.text
    history = client.get(f"{QUEUE}{fila.pk}/history/").text
    assert "Aprobada. La llamé por teléfono." in history
    assert "revisora" in history


def test_a_second_reviewer_sees_the_decision(client: Client, reviewer: Usuario) -> None:
    [fila] = arrive(doubtful_form(nombre="Rosita"))
    revision.rechazar([fila.pk], por=make_staff("otro"), motivo="No.", ahora=NOW)
    page = decide(client, "aprobar_elegidas", fila, confirmado="1", motivo="")
    assert Maestro.objects.count() == 0
    assert "Ninguna estaba por decidir: no se hizo nada. Rosita: ya está rechazada" in page.text
    assert [str(message.tags) for message in page.context["messages"]] == ["warning"]
    page = client.post(f"{QUEUE}{fila.pk}/aprobar/", {"confirmado": "1", "motivo": ""}, follow=True)
    assert "Rosita: ya está rechazada por otro el " in page.text


@pytest.mark.parametrize(
    ("permission", "allowed"), [("aprobar_inscripcion", "aprobar"), ("rechazar_inscripcion", "rechazar")]
)
def test_each_decision_needs_its_permission(client: Client, permission: str, allowed: str) -> None:
    user = make_staff("media")
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_inscripcion", permission]))
    client.force_login(user)
    [fila] = arrive(doubtful_form())
    codes = {verb: client.get(f"{QUEUE}{fila.pk}/{verb}/").status_code for verb in ("aprobar", "rechazar")}
    assert codes == {"aprobar": 403, "rechazar": 403} | {allowed: 200}
    actions = [name for name, _ in client.get(QUEUE).context["action_form"].fields["action"].choices]
    assert [name for name in actions if name] == [f"{allowed}_elegidas"]


def test_a_maestro_has_no_admin(client: Client) -> None:
    arrive(make_form())
    client.force_login(Usuario.objects.get())
    assert client.get(QUEUE).status_code == 302


def test_the_figures_have_two_charts(client: Client, reviewer: Usuario) -> None:
    with time_machine.travel(NOW + timedelta(days=1)):
        arrive(make_form(), make_paid_form())
        page = client.get(f"{QUEUE}numeros/").text
    assert page.count("<svg viewBox") == 2
