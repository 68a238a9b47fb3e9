"""The figures for staff."""

from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from inscripciones import reports
from inscripciones.models import Usuario
from inscripciones.tramite import revision
from tests.support.people import NOW, make_form, make_paid_form, register

pytestmark = pytest.mark.django_db


def test_enrolments_per_chilean_day_and_lane() -> None:
    normal, pago = make_form(), make_paid_form()
    register(normal, pago, make_paid_form())
    register({**pago, "nombre": pago["nombre"].upper()})  # joined to the first: no other enrolment
    dias = reports.por_dia(hasta=timezone.localdate(NOW), dias=3)
    assert [(dia.paid, dia.normal) for dia in dias] == [(0, 0), (0, 0), (2, 1)]


def test_waits_by_lane_and_by_who_decided(reviewer: Usuario) -> None:
    arrive = partial(register, apart=timedelta(minutes=1), decided_after=timedelta(hours=1))
    arrive(make_form(), make_paid_form())
    [fila] = arrive(make_form(nombre="Rosa"))
    revision.aprobar([fila.pk], por=reviewer, ahora=NOW + timedelta(days=2))
    esperas = [(e.via, e.quien, e.cuantas, e.mediana) for e in reports.esperas(desde=NOW)]
    assert esperas == [
        ("Normal", "una persona", 1, 172800.0),
        ("Paid", "las reglas", 1, 3540.0),
        ("Normal", "las reglas", 1, 3600.0),
    ]
