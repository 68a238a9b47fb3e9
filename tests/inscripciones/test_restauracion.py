"""After an old backup was brought back: what people decided since is in Kafka, and comes back from there."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from django.apps import apps
from django.db import connection
from pytest_django import DjangoAssertNumQueries, Settings

from inscripciones import recepcion, revision
from inscripciones.consumers import recordar_aprobadas, recordar_correos, recordar_rechazadas, registrar_inscripciones
from inscripciones.events import CorreoCorregido, InscripcionAprobada, InscripcionRechazada, InscripcionRecibida
from inscripciones.models import Decision, Envio, Inscripcion, Maestro, Usuario
from kafka_bridge.consuming import restore
from kafka_bridge.models import OutboxMessage
from tests.support.people import AHORA, evento, formulario

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _people_decide(settings: Settings) -> None:
    settings.REVISION_AUTOMATICA = False


def decididas(forms: list[InscripcionRecibida]) -> tuple[list[InscripcionAprobada], list[InscripcionRechazada]]:
    """The events of a person's decisions: approved the first half, rejected the rest."""
    revisora = Usuario.objects.create_user("revisora", is_staff=True)
    filas = recepcion.registrar(forms, ahora=AHORA)
    mitad = len(filas) // 2
    revision.aprobar([fila.pk for fila in filas[:mitad]], por=revisora, ahora=AHORA)
    revision.rechazar([fila.pk for fila in filas[mitad:]], por=revisora, motivo="No vende mote.", ahora=AHORA)
    mensajes = [bytes(fila.value) for fila in OutboxMessage.objects.order_by("id")]
    return (
        [msgspec.json.decode(mensaje, type=InscripcionAprobada) for mensaje in mensajes[:mitad]],
        [msgspec.json.decode(mensaje, type=InscripcionRechazada) for mensaje in mensajes[mitad:]],
    )


def restaurar() -> None:
    """The backup is from before all of it."""
    tablas = [
        model._meta.db_table for model in apps.get_app_config("inscripciones").get_models(include_auto_created=True)
    ]
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # nothing may be pending on a table that is emptied
        cursor.execute(f"TRUNCATE {', '.join(tablas)}, kafka_bridge_outboxmessage CASCADE")


def estado_de_todo() -> tuple[Any, ...]:
    campos = ("id", "nombre", "rut", "estado", "motivo", "recibida_en", "resuelta_en")
    return (
        list(Inscripcion.objects.order_by("pk").values_list(*campos)),
        list(Maestro.objects.order_by("pk").values_list("pk", "rut", "aprobado_en")),
        sorted(Envio.objects.values_list("inscripcion", "tipo")),
        sorted(OutboxMessage.objects.values_list("event_id", flat=True)),
    )


@pytest.mark.parametrize("orden", ["forms first", "decisions first"])
def test_decisions_of_people_come_back_whatever_is_replayed_first(orden: str) -> None:
    forms = [evento(formulario()) for _ in range(4)]
    aprobadas, rechazadas = decididas(forms)
    antes = estado_de_todo()
    restaurar()
    pasos: list[Callable[[], object]] = [
        lambda: registrar_inscripciones(forms),
        lambda: [recordar_aprobadas(aprobadas), recordar_rechazadas(rechazadas)],
    ]
    for paso in pasos if orden == "forms first" else reversed(pasos):
        paso()
    assert estado_de_todo() == antes


def test_in_normal_running_a_decision_is_known_and_changes_nothing(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    aprobadas, rechazadas = decididas([evento(formulario()) for _ in range(20)])
    antes = estado_de_todo()
    with django_assert_num_queries(2):
        recordar_aprobadas(aprobadas)
    recordar_rechazadas(rechazadas)
    assert estado_de_todo() == antes
    assert Decision.objects.count() == 0


def test_a_corrected_address_comes_back_and_in_normal_running_changes_nothing(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    aprobadas, _ = decididas([evento(formulario()) for _ in range(2)])
    maestro = aprobadas[0].maestro_id
    corregido = CorreoCorregido.now(
        id=CorreoCorregido.derive_id(maestro, AHORA), maestro_id=maestro, email="rosa.n@gmail.com"
    )
    with django_assert_num_queries(1):
        recordar_correos([corregido])
    assert not Maestro.objects.filter(email=corregido.email).exists()
    restore.begin()
    recordar_correos([corregido])
    fila = Inscripcion.objects.get(maestro=maestro)
    assert (Maestro.objects.get(pk=maestro).email, fila.email, fila.buzon) == (
        "rosa.n@gmail.com",
        "rosa.n@gmail.com",
        "rosan@gmail.com",
    )
