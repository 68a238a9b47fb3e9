"""Two at the same time: reviewers, payments and consumers decide each enrolment once."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection, transaction

from inscripciones.consumers import registrar_inscripciones
from inscripciones.events import InscripcionRecibida
from inscripciones.models import Comprobante, Inscripcion, Maestro, Usuario
from inscripciones.tramite import revision
from kafka_bridge.models import OutboxMessage
from tests.support.people import NOW, make_event, make_form, make_paid_form, make_rut, register

pytestmark = pytest.mark.django_db(transaction=True)
Estado = Inscripcion.Estado


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Run each call in a thread with a connection of its own; raise what a call raises."""
    together = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        try:
            together.wait(10)
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls, timeout=30))


def test_two_reviewers_at_once_decide_once(reviewer: Usuario) -> None:
    filas = register(*(make_form(nombre="Rosa") for _ in range(20)))
    ids = [fila.pk for fila in filas]
    otro = Usuario.objects.create_user("revisor", is_staff=True)
    resoluciones = at_once(
        lambda: revision.aprobar(ids, por=reviewer, ahora=NOW),
        lambda: revision.rechazar(list(reversed(ids)), por=otro, motivo="No.", ahora=NOW),
        lambda: revision.aprobar(ids, por=otro, ahora=NOW),
    )
    resueltas = Counter(fila.pk for resolucion in resoluciones for fila in resolucion.resueltas)
    assert resueltas == Counter(ids)
    assert LogEntry.objects.count() == OutboxMessage.objects.count() == 20
    assert Maestro.objects.count() == Inscripcion.objects.filter(estado=Estado.APROBADA).count()


def test_a_reviewer_and_a_payment_at_once(reviewer: Usuario) -> None:
    forms = [make_form(nombre="Rosa") for _ in range(20)]
    filas = register(*forms)
    pagos = [{**form, "paid": True, "comprobante_pago": f"TRX-{form['rut']}"} for form in forms]
    at_once(
        lambda: revision.aprobar([fila.pk for fila in reversed(filas)], por=reviewer, ahora=NOW),
        lambda: register(*pagos),
    )
    assert Maestro.objects.count() == 20
    for fila in Inscripcion.objects.filter(paid=True).exclude(estado=Estado.APROBADA):
        assert fila.estado == (Estado.UNIDA if fila.unida_a and fila.unida_a.paid else Estado.REPETIDA)


def test_two_consumers_at_once_admit_one() -> None:
    ruts = [make_rut() for _ in range(10)]
    orders = (ruts, ruts[::-1], ruts)
    batches = [
        [make_event(make_paid_form(rut=rut, comprobante_pago=f"TRX-{rut}")) for rut in order] for order in orders
    ]

    def consume(batch: list[InscripcionRecibida]) -> None:
        with transaction.atomic():
            registrar_inscripciones(batch)

    at_once(*[partial(consume, batch) for batch in batches])
    assert Counter(Inscripcion.objects.values_list("estado", flat=True)) == {"aprobada": 10, "repetida": 20}
    assert (Maestro.objects.count(), Comprobante.objects.count()) == (10, 10)
