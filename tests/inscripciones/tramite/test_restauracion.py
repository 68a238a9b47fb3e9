"""After a restore: decisions and corrections of people come back from Kafka."""

from collections.abc import Callable
from datetime import timedelta
from itertools import permutations
from typing import Any

import msgspec
import pytest
from django.apps import apps
from django.db import connection
from pytest_django import DjangoAssertNumQueries, Settings

from inscripciones.consumers import recordar_aprobadas, recordar_correos, recordar_rechazadas, registrar_inscripciones
from inscripciones.events import CorreoCorregido, InscripcionAprobada, InscripcionRechazada, InscripcionRecibida
from inscripciones.models import Decision, Envio, Inscripcion, Maestro, Usuario
from inscripciones.tramite import recepcion, revision
from kafka_bridge.consuming import restore
from kafka_bridge.models import OutboxMessage, Restore
from tests.support.people import NOW, make_event, make_form

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _people_decide(settings: Settings) -> None:
    settings.REVISION_AUTOMATICA = False


def decisions_on(forms: list[InscripcionRecibida]) -> tuple[list[InscripcionAprobada], list[InscripcionRechazada]]:
    """Return the events of a person who approves the first half and rejects the rest."""
    reviewer = Usuario.objects.create_user("revisora", is_staff=True)
    filas = recepcion.registrar(forms, ahora=NOW)
    half = len(filas) // 2
    revision.aprobar([fila.pk for fila in filas[:half]], por=reviewer, ahora=NOW)
    revision.rechazar([fila.pk for fila in filas[half:]], por=reviewer, motivo="No vende mote.", ahora=NOW)
    messages = [bytes(fila.value) for fila in OutboxMessage.objects.order_by("id")]
    return (
        [msgspec.json.decode(message, type=InscripcionAprobada) for message in messages[:half]],
        [msgspec.json.decode(message, type=InscripcionRechazada) for message in messages[half:]],
    )


def lose_everything() -> None:
    """Empty the tables, as a backup does that is older than everything in them."""
    tables = [
        model._meta.db_table for model in apps.get_app_config("inscripciones").get_models(include_auto_created=True)
    ]
    with connection.cursor() as cursor:
        # A table that has pending checks cannot be emptied.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"TRUNCATE {', '.join(tables)}, kafka_bridge_outboxmessage CASCADE")


def state_of_everything() -> tuple[Any, ...]:
    fields = ("id", "nombre", "rut", "estado", "motivo", "recibida_en", "resuelta_en")
    return (
        list(Inscripcion.objects.order_by("pk").values_list(*fields)),
        list(Maestro.objects.order_by("pk").values_list("pk", "rut", "aprobado_en")),
        sorted(Envio.objects.values_list("inscripcion", "tipo")),
        sorted(OutboxMessage.objects.values_list("event_id", flat=True)),
    )


@pytest.mark.parametrize("order", ["forms first", "decisions first"])
def test_decisions_come_back_in_any_order(order: str) -> None:
    forms = [make_event(make_form()) for _ in range(4)]
    aprobadas, rechazadas = decisions_on(forms)
    before = state_of_everything()
    lose_everything()
    steps: list[Callable[[], object]] = [
        lambda: registrar_inscripciones(forms),
        lambda: [recordar_aprobadas(aprobadas), recordar_rechazadas(rechazadas)],
    ]
    for step in steps if order == "forms first" else reversed(steps):
        step()
    assert state_of_everything() == before


def decide(form: InscripcionRecibida, verdict: str, reviewer: Usuario) -> Callable[[], None]:
    """Decide a form as a person does; return what replays the event of that decision."""
    if verdict == "approved":
        done = revision.aprobar([form.inscripcion_id], por=reviewer, ahora=NOW)
    else:
        done = revision.rechazar([form.inscripcion_id], por=reviewer, motivo="No vende mote.", ahora=NOW)
    assert done.resueltas
    event = OutboxMessage.objects.latest("id").value
    if verdict == "approved":
        return lambda: recordar_aprobadas([msgspec.json.decode(event, type=InscripcionAprobada)])
    return lambda: recordar_rechazadas([msgspec.json.decode(event, type=InscripcionRechazada)])


def registering(form: InscripcionRecibida) -> Callable[[], None]:
    return lambda: registrar_inscripciones([form])


def outcomes() -> tuple[Any, ...]:
    """Return decisions and maestros. Of pending forms, any may be the repeated one."""
    pending = {"repetida": "en_revision"}
    rows = Inscripcion.objects.order_by("pk").values_list("pk", "estado", "motivo", "resuelta_en")
    return (
        [(pk, pending.get(estado, estado), *rest) for pk, estado, *rest in rows],
        list(Maestro.objects.order_by("pk").values_list("pk", "rut", "aprobado_en")),
    )


TWO_FORMS = {
    "the second is rejected": (("second", "rejected"),),
    "the first is approved": (("first", "approved"),),
    "the first is approved, the second rejected": (("first", "approved"), ("second", "rejected")),
    "the first is rejected, the second approved": (("first", "rejected"), ("second", "approved")),
}


@pytest.mark.parametrize("decided", TWO_FORMS.values(), ids=TWO_FORMS)
def test_forms_with_one_rut_end_as_they_were(decided: tuple[tuple[str, str], ...]) -> None:
    """Forms and decisions are in several partitions, so they come back in any order."""
    first = make_form(nombre="Rosa Ñáñez")
    second = make_form(nombre="Pedro Soto", rut=first["rut"])
    forms = {"first": make_event(first), "second": make_event(second)}
    reviewer = Usuario.objects.create_user("revisora", is_staff=True)
    recepcion.registrar(forms.values(), ahora=NOW)
    decisions = [decide(forms[which], verdict, reviewer) for which, verdict in decided]
    assert_same_in_any_order([*map(registering, forms.values()), *decisions])


def test_a_person_who_applied_again_stays_a_maestro() -> None:
    """The second form is the first one over again, sent after its rejection."""
    form = make_form()
    forms = [make_event(form), make_event(form, time=NOW + timedelta(days=1))]
    reviewer = Usuario.objects.create_user("revisora", is_staff=True)
    recepcion.registrar(forms[:1], ahora=NOW)
    rejection = decide(forms[0], "rejected", reviewer)
    recepcion.registrar(forms[1:], ahora=NOW)
    approval = decide(forms[1], "approved", reviewer)
    assert_same_in_any_order([*map(registering, forms), rejection, approval])


def assert_same_in_any_order(steps: list[Callable[[], None]]) -> None:
    before = outcomes()
    for order in permutations(steps):
        lose_everything()
        for step in order:
            step()
        assert outcomes() == before, [steps.index(step) for step in order]


def test_a_known_decision_changes_nothing(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    aprobadas, rechazadas = decisions_on([make_event(make_form()) for _ in range(20)])
    before = state_of_everything()
    with django_assert_num_queries(2):
        recordar_aprobadas(aprobadas)
    recordar_rechazadas(rechazadas)
    assert state_of_everything() == before
    assert Decision.objects.count() == 0


def test_a_corrected_address_comes_back(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    aprobadas, _ = decisions_on([make_event(make_form()) for _ in range(2)])
    maestro = aprobadas[0].maestro_id
    corregido = CorreoCorregido.now(
        id=CorreoCorregido.derive_id(maestro, NOW), maestro_id=maestro, email="rosa.n@gmail.com"
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


@pytest.mark.parametrize("batches", [[0, 1], [1, 0], [(1, 0)]], ids=["in order", "reversed", "one batch"])
def test_newest_corrected_address_wins(batches: list[int | tuple[int, ...]]) -> None:
    """Two corrections of a maestro lie in two partitions if partitions were added in between."""
    aprobadas, _ = decisions_on([make_event(make_form()) for _ in range(2)])
    maestro = aprobadas[0].maestro_id
    later = NOW + timedelta(minutes=5)
    events = [
        CorreoCorregido(id=CorreoCorregido.derive_id(maestro, at), time=at, maestro_id=maestro, email=email)
        for at, email in ((NOW, "vieja@gmail.com"), (later, "nueva@gmail.com"))
    ]
    Restore.objects.create(restored_at=later + timedelta(minutes=5))
    for batch in batches:
        recordar_correos([events[n] for n in ([batch] if isinstance(batch, int) else batch)])
    fila = Inscripcion.objects.get(maestro=maestro)
    assert (Maestro.objects.get(pk=maestro).email, fila.email) == ("nueva@gmail.com", "nueva@gmail.com")


def test_each_correction_is_told_from_those_after_the_restore() -> None:
    """One batch may hold both: partitions are read side by side."""
    aprobadas, _ = decisions_on([make_event(make_form()) for _ in range(4)])
    maestros = [aprobada.maestro_id for aprobada in aprobadas]
    after, before = (
        CorreoCorregido(id=CorreoCorregido.derive_id(one, at), time=at, maestro_id=one, email=f"{n}@example.cl")
        for n, (one, at) in enumerate(zip(maestros, (NOW + timedelta(hours=1), NOW), strict=True))
    )
    Restore.objects.create(restored_at=NOW + timedelta(minutes=5))
    recordar_correos([after, before])
    assert Maestro.objects.get(pk=before.maestro_id).email == before.email
    assert Maestro.objects.get(pk=after.maestro_id).email != after.email


def test_what_a_replayed_form_publishes_is_of_its_time(settings: Settings) -> None:
    """Other consumers would take the approval for a new one, and decide once more what follows."""
    settings.REVISION_AUTOMATICA = True
    replayed, new = make_event(make_form()), make_event(make_form())
    new = msgspec.structs.replace(new, time=NOW + timedelta(hours=2))
    Restore.objects.create(restored_at=NOW + timedelta(hours=1))
    registrar_inscripciones([replayed, new])
    approvals = [msgspec.json.decode(fila.value, type=InscripcionAprobada) for fila in OutboxMessage.objects.all()]
    times = {approval.inscripcion_id: (approval.time, approval.aprobada_en) for approval in approvals}
    assert times[replayed.inscripcion_id] == (replayed.time, replayed.time)
    assert min(times[new.inscripcion_id]) > NOW + timedelta(hours=1)


def test_a_decision_that_comes_back_is_published_with_its_time() -> None:
    forms = [make_event(make_form()) for _ in range(4)]
    aprobadas, rechazadas = decisions_on(forms)
    lose_everything()
    registrar_inscripciones(forms)
    recordar_aprobadas(aprobadas)
    recordar_rechazadas(rechazadas)
    assert [msgspec.json.decode(fila.value)["time"] for fila in OutboxMessage.objects.all()] == [
        msgspec.json.decode(msgspec.json.encode(NOW))
    ] * 4
