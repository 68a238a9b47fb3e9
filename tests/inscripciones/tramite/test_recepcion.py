"""Forms as they arrive: what the rules' decisions leave in the database, once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import msgspec
import pytest
from pytest_django import DjangoAssertNumQueries, Settings

from gremio.transactions import TransactionRequired
from inscripciones.consumers import registrar_inscripciones
from inscripciones.models import Comprobante, Envio, Inscripcion, Maestro, Usuario
from inscripciones.tramite import admision, recepcion, revision
from kafka_bridge.models import OutboxMessage
from tests.support.people import NOW, make_event, make_form, make_paid_form, make_rut, published, register

pytestmark = pytest.mark.django_db
Estado = Inscripcion.Estado


def test_an_approval_makes_a_maestro() -> None:
    [fila] = register(make_form(nombre="Rosa Ñáñez Peña"))
    maestro = Maestro.objects.select_related("usuario").get(inscripcion=fila)
    assert (fila.estado, fila.recibida_en, fila.resuelta_en) == (Estado.APROBADA, NOW, NOW + timedelta(seconds=1))
    assert maestro.pk == maestro.usuario.maestro_id == admision.maestro_id(fila.pk)
    assert not maestro.usuario.has_usable_password()
    assert [(e["maestro_id"], e["nombre"]) for e in published()] == [(str(maestro.pk), "Rosa Ñáñez Peña")]
    assert Envio.objects.get().tipo == Envio.Tipo.CREDENCIALES


def test_a_user_has_no_rut_and_no_email() -> None:
    [fila] = register(make_form())
    usuario = msgspec.json.encode({k: str(v) for k, v in vars(Usuario.objects.get()).items()}).decode()
    assert fila.rut not in usuario
    assert fila.email not in usuario


def test_the_same_form_again_changes_nothing() -> None:
    form = make_form()
    assert len(register(form, form)) == 1
    assert register(form) == []
    assert [Model.objects.count() for Model in (Inscripcion, Maestro, Envio, OutboxMessage)] == [1, 1, 1, 1]


def test_a_good_form_may_wait_for_a_person(settings: Settings) -> None:
    settings.REVISION_AUTOMATICA = False
    [fila] = register(make_form())
    assert (fila.estado, fila.resuelta_en, Maestro.objects.count()) == (Estado.EN_REVISION, None, 0)


def test_a_violation_is_rejected_with_a_reason() -> None:
    [fila] = register(make_form(rut=make_rut(76_086_428)))
    assert (fila.estado, "empresa" in fila.motivo) == (Estado.RECHAZADA, True)
    assert [event["motivo"] for event in published()] == [fila.motivo]
    assert Envio.objects.get().tipo == Envio.Tipo.RECHAZO


def test_a_doubt_goes_to_review() -> None:
    [fila] = register(make_form(nombre="Rosa"))
    dudas = [v["regla"] for v in fila.veredictos if v["resultado"] != "pasa"]
    assert (fila.estado, dudas) == (Estado.EN_REVISION, ["nombre_completo"])


@pytest.mark.parametrize("campo", ["rut", "email"])
def test_a_taken_identity_waits_apart(campo: str) -> None:
    [titular] = register(make_form())
    ajenos = [make_form(**{campo: getattr(titular, campo)}) for _ in range(3)]
    assert [fila.estado for fila in [*register(*ajenos[:2]), *register(ajenos[2])]] == [Estado.REPETIDA] * 3
    avisos = Envio.objects.filter(tipo=Envio.Tipo.AVISO)
    assert [aviso.inscripcion_id for aviso in avisos] == [titular.pk]
    register(make_form(**{campo: getattr(titular, campo)}), days=1)
    assert avisos.all().count() == 2


def test_the_first_in_a_batch_has_the_identity() -> None:
    rut = make_rut()
    assert [fila.estado for fila in register(make_form(rut=rut), make_form(rut=rut))] == ["aprobada", "repetida"]


def test_the_same_form_next_day_is_joined() -> None:
    form = make_form()
    [titular] = register(form)
    [otra] = register({**form, "nombre": "rosa ñáñez peña"}, days=1)
    assert (otra.estado, otra.unida_a) == (Estado.UNIDA, titular)
    assert not Envio.objects.filter(tipo=Envio.Tipo.AVISO).exists()
    [ajena] = register({**form, "telefono": "+56911111111"}, days=1)
    assert ajena.estado == Estado.REPETIDA
    assert Envio.objects.filter(tipo=Envio.Tipo.AVISO).count() == 1


@pytest.mark.parametrize("same_batch", [True, False])
def test_a_later_payment_makes_it_paid(same_batch: bool) -> None:
    form = make_form(nombre="Rosa")
    pago = {**form, "paid": True, "comprobante_pago": "TRX-1", "telefono": "+56911111111"}
    primera, segunda = register(form, pago) if same_batch else [*register(form), *register(pago)]
    primera.refresh_from_db()
    assert (primera.estado, primera.paid, primera.comprobante_pago) == (Estado.EN_REVISION, True, "TRX-1")
    assert (segunda.estado, segunda.unida_a) == (Estado.UNIDA, primera)
    assert Comprobante.objects.get().inscripcion == primera
    assert Envio.objects.count() == 0


def test_a_payment_may_overtake_its_form() -> None:
    form = make_form()
    [pagada] = register({**form, "paid": True, "comprobante_pago": "TRX-1"})
    [normal] = register(form)
    assert (normal.estado, normal.unida_a) == (Estado.UNIDA, pagada)
    assert not Envio.objects.filter(tipo=Envio.Tipo.AVISO).exists()


def test_a_used_receipt_paid_later_is_doubtful() -> None:
    register(make_paid_form(comprobante_pago="TRX-1"))
    form = make_form(nombre="Rosa")
    register(form, {**form, "paid": True, "comprobante_pago": "TRX-1"})
    pendiente = Inscripcion.objects.get(estado=Estado.EN_REVISION)
    dudas = [v["regla"] for v in pendiente.veredictos if v["resultado"] == "duda"]
    assert dudas == ["comprobante_sin_uso", "nombre_completo"]


@pytest.mark.parametrize("cambio", [{"nombre": "Ana Soto"}, {"rut": make_rut()}, {"email": "otra@example.cl"}])
def test_another_persons_payment_counts_apart(cambio: dict[str, str]) -> None:
    form = make_form(nombre="Rosa")
    [titular] = register(form)
    [otra] = register({**form, "paid": True, "comprobante_pago": "TRX-1", **cambio})
    titular.refresh_from_db()
    assert (otra.estado, titular.paid) == (Estado.REPETIDA, False)
    assert Comprobante.objects.count() == 0


def test_a_receipt_is_used_once() -> None:
    uno, dos, tres = (make_paid_form(comprobante_pago="TRX-1") for _ in range(3))
    estados = [fila.estado for fila in [*register(uno, dos), *register(tres)]]
    assert estados == [Estado.APROBADA, Estado.EN_REVISION, Estado.EN_REVISION]
    assert Comprobante.objects.get().inscripcion.rut == uno["rut"]


@pytest.mark.parametrize("otro", ["trx 000123", "TRX000123", "TRX_000123", "trx/000-123"])
def test_a_receipt_is_known_however_it_is_copied(otro: str) -> None:
    register(make_paid_form(comprobante_pago="TRX-000123"))
    [segunda] = register(make_paid_form(comprobante_pago=otro))
    assert segunda.estado == Estado.EN_REVISION


def test_a_refused_form_keeps_its_receipt() -> None:
    [titular] = register(make_form())
    register(
        make_paid_form(rut=make_rut(76_086_428), comprobante_pago="TRX-1"),
        make_paid_form(rut=titular.rut, comprobante_pago="TRX-2"),
    )
    buenas = register(make_paid_form(comprobante_pago="TRX-1"), make_paid_form(comprobante_pago="TRX-2"))
    assert [fila.estado for fila in buenas] == [Estado.APROBADA] * 2


def test_rejections_cannot_flood_a_mailbox() -> None:
    register(*(make_form(rut=make_rut(60_000_000 + n), email="victima@example.cl") for n in range(10)))
    assert Inscripcion.objects.filter(estado=Estado.RECHAZADA).count() == 10
    assert Envio.objects.count() == 1


def test_an_alias_of_a_mailbox_goes_to_review() -> None:
    register(make_form(email="rosa@example.cl"))
    alias = register(*(make_form(email=f"rosa+{n}@example.cl") for n in range(3)))
    assert [fila.estado for fila in alias] == [Estado.EN_REVISION] * 3
    assert Envio.objects.count() == 1


def test_a_rejected_rut_goes_to_review(reviewer: Usuario) -> None:
    [fila] = register(make_form(nombre="Rosa"))
    revision.rechazar([fila.pk], por=reviewer, motivo="No vende mote.", ahora=NOW)
    [otra] = register(make_form(rut=fila.rut), days=1)
    assert otra.estado == Estado.EN_REVISION


def test_a_batch_costs_the_queries_of_one_form(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    def batch(size: int) -> list[Any]:
        makers: list[Callable[[], dict[str, Any]]] = [make_form, make_paid_form, partial(make_form, nombre="Rosa")]
        return [make_event(make()) for make in makers * size]

    one, twenty = batch(1), batch(20)
    with django_assert_num_queries(14):
        registrar_inscripciones(one)
    with django_assert_num_queries(14):
        registrar_inscripciones(twenty)


def test_registering_needs_a_transaction() -> None:
    event, registrar = make_event(), recepcion.registrar
    with ThreadPoolExecutor(1) as another_connection, pytest.raises(TransactionRequired, match="registrar must run"):
        another_connection.submit(registrar, [event], ahora=NOW).result()
