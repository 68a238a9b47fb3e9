"""Decisions by a person: what each leaves in the database, once."""

from collections.abc import Callable

import pytest
from django.contrib.admin.models import LogEntry

from inscripciones.models import Comprobante, Envio, Inscripcion, Maestro, Usuario
from inscripciones.tramite import revision
from kafka_bridge.models import OutboxMessage
from tests.support.people import NOW, make_form, make_paid_form, register

pytestmark = pytest.mark.django_db
Estado = Inscripcion.Estado


def test_an_approval_names_its_reviewer(reviewer: Usuario) -> None:
    [fila] = register(make_form(nombre="Rosa"))
    resolucion = revision.aprobar([fila.pk], por=reviewer, motivo="La llamé.", ahora=NOW)
    fila.refresh_from_db()
    assert [r.pk for r in resolucion.resueltas] == [fila.pk]
    assert (fila.estado, fila.resuelta_por, fila.resuelta_en) == (Estado.APROBADA, reviewer, NOW)
    assert Maestro.objects.get().inscripcion_id == fila.pk
    entry = LogEntry.objects.get()
    assert (entry.user_id, entry.object_id, entry.change_message) == (
        reviewer.pk,
        str(fila.pk),
        "Aprobada. La llamé.",
    )


def test_a_rejection_needs_a_reason(reviewer: Usuario) -> None:
    [fila] = register(make_form(nombre="Rosa"))
    with pytest.raises(ValueError, match="motivo"):
        revision.rechazar([fila.pk], por=reviewer, motivo=" ", ahora=NOW)


@pytest.mark.parametrize("again", ["aprobar", "rechazar"])
def test_a_decision_is_final(reviewer: Usuario, again: str) -> None:
    [fila] = register(make_form(nombre="Rosa"))
    revision.rechazar([fila.pk], por=reviewer, motivo="No.", ahora=NOW)
    decide: Callable[..., revision.Resolucion] = getattr(revision, again)
    [(omitida, razon)] = decide([fila.pk], por=reviewer, motivo="Sí.", ahora=NOW).omitidas
    assert omitida.pk == fila.pk
    assert razon.startswith("ya está rechazada por ")
    assert (Maestro.objects.count(), OutboxMessage.objects.count(), LogEntry.objects.count()) == (0, 1, 1)


def test_a_joined_form_is_not_decided(reviewer: Usuario) -> None:
    form = make_form(nombre="Rosa")
    register(form)
    [unida] = register(form, days=1)
    [(_, razon)] = revision.aprobar([unida.pk], por=reviewer, ahora=NOW).omitidas
    assert razon == "ya está unida a otra"


def test_a_repeated_identity_waits_for_its_holder(reviewer: Usuario) -> None:
    [titular, repetida] = register(make_form(nombre="Rosa", rut="12345678-5"), make_form(rut="12345678-5"))
    assert len(revision.aprobar([repetida.pk], por=reviewer, ahora=NOW).omitidas) == 1
    revision.rechazar([titular.pk], por=reviewer, motivo="RUT ajeno.", ahora=NOW)
    assert len(revision.aprobar([repetida.pk], por=reviewer, ahora=NOW).resueltas) == 1


def test_of_two_repeated_forms_one_is_approved(reviewer: Usuario) -> None:
    filas = register(*(make_form(nombre="Rosa", rut="12345678-5") for _ in range(3)))
    revision.rechazar([filas[0].pk], por=reviewer, motivo="RUT ajeno.", ahora=NOW)
    resolucion = revision.aprobar([filas[1].pk, filas[2].pk], por=reviewer, ahora=NOW)
    assert (len(resolucion.resueltas), len(resolucion.omitidas), Maestro.objects.count()) == (1, 1, 1)


def test_an_approved_repeated_form_uses_its_receipt(reviewer: Usuario) -> None:
    [titular, repetida] = register(make_form(nombre="Rosa", rut="12345678-5"), make_paid_form(rut="12345678-5"))
    revision.rechazar([titular.pk], por=reviewer, motivo="RUT ajeno.", ahora=NOW)
    revision.aprobar([repetida.pk], por=reviewer, ahora=NOW)
    assert Comprobante.objects.get().inscripcion == repetida


def test_rejections_cannot_flood_any_alias(reviewer: Usuario) -> None:
    alias = ["v.ictima@gmail.com", "victima@gmail.com", "victima+7@gmail.com", "VICTIMA@googlemail.com"]
    filas = register(*(make_form(nombre="Rosa", email=email.lower()) for email in alias))
    titular = register(make_form())[0]
    filas += register(*(make_form(rut=titular.rut, email=f"otra+{n}@example.cl") for n in range(3)))
    Envio.objects.all().delete()
    revision.rechazar([fila.pk for fila in filas], por=reviewer, motivo="No.", ahora=NOW)
    assert sorted(envio.inscripcion.buzon for envio in Envio.objects.all()) == ["otra@example.cl", "victima@gmail.com"]
