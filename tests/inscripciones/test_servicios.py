"""Decisions on PostgreSQL: what each leaves behind, once, also with two at the same time."""

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import msgspec
import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection, transaction
from knox.models import AuthToken
from pytest_django import DjangoAssertNumQueries, Settings

from inscripciones import admision, credenciales, recepcion, revision
from inscripciones.consumers import registrar_inscripciones
from inscripciones.models import Comprobante, Envio, Inscripcion, Maestro, Usuario
from kafka_bridge.models import OutboxMessage
from tests.support.people import AHORA, evento, formulario, pagado, un_rut

pytestmark = pytest.mark.django_db
Estado = Inscripcion.Estado


@pytest.fixture
def revisora() -> Usuario:
    return Usuario.objects.create_user("revisora", is_staff=True)


def registrar(*forms: dict[str, Any], dias: int = 0) -> list[Inscripcion]:
    momento = AHORA + timedelta(days=dias)
    with transaction.atomic():
        return recepcion.registrar([evento(form, time=momento) for form in forms], ahora=momento + timedelta(seconds=1))


def publicados() -> list[dict[str, Any]]:
    return [msgspec.json.decode(fila.value) for fila in OutboxMessage.objects.order_by("id")]


def test_an_approval_makes_a_maestro_a_user_an_event_and_a_mail() -> None:
    [fila] = registrar(formulario(nombre="Rosa Ñáñez Peña"))
    maestro = Maestro.objects.select_related("usuario").get(inscripcion=fila)
    assert (fila.estado, fila.recibida_en, fila.resuelta_en) == (Estado.APROBADA, AHORA, AHORA + timedelta(seconds=1))
    assert maestro.pk == maestro.usuario.maestro_id == admision.maestro_id(fila.pk)
    assert not maestro.usuario.has_usable_password()
    assert [(e["maestro_id"], e["nombre"]) for e in publicados()] == [(str(maestro.pk), "Rosa Ñáñez Peña")]
    assert Envio.objects.get().tipo == Envio.Tipo.CREDENCIALES


def test_the_user_of_a_maestro_carries_neither_rut_nor_email() -> None:
    [fila] = registrar(formulario())
    usuario = msgspec.json.encode({k: str(v) for k, v in vars(Usuario.objects.get()).items()}).decode()
    assert fila.rut not in usuario
    assert fila.email not in usuario


def test_the_same_form_again_changes_nothing() -> None:
    form = formulario()
    assert len(registrar(form, form)) == 1
    assert registrar(form) == []
    assert [Model.objects.count() for Model in (Inscripcion, Maestro, Envio, OutboxMessage)] == [1, 1, 1, 1]


def test_without_automatic_review_a_good_form_waits_for_a_person(settings: Settings) -> None:
    settings.REVISION_AUTOMATICA = False
    [fila] = registrar(formulario())
    assert (fila.estado, fila.resuelta_en, Maestro.objects.count()) == (Estado.EN_REVISION, None, 0)


def test_a_violation_is_rejected_with_its_reason_by_event_and_mail() -> None:
    [fila] = registrar(formulario(rut=un_rut(76_086_428)))
    assert (fila.estado, "empresa" in fila.motivo) == (Estado.RECHAZADA, True)
    assert [evento["motivo"] for evento in publicados()] == [fila.motivo]
    assert Envio.objects.get().tipo == Envio.Tipo.RECHAZO


def test_a_doubt_goes_to_review_with_what_each_rule_said() -> None:
    [fila] = registrar(formulario(nombre="Rosa"))
    dudas = [v["regla"] for v in fila.veredictos if v["resultado"] != "pasa"]
    assert (fila.estado, dudas) == (Estado.EN_REVISION, ["nombre_completo"])


def test_a_receipt_is_used_once_within_a_batch_and_across_batches() -> None:
    uno, dos, tres = (pagado(comprobante_pago="TRX-1") for _ in range(3))
    estados = [fila.estado for fila in [*registrar(uno, dos), *registrar(tres)]]
    assert estados == [Estado.APROBADA, Estado.EN_REVISION, Estado.EN_REVISION]
    assert Comprobante.objects.get().inscripcion.rut == uno["rut"]


@pytest.mark.parametrize("campo", ["rut", "email"])
def test_an_identity_that_is_taken_waits_apart_and_its_holder_is_told_once_a_day(campo: str) -> None:
    [titular] = registrar(formulario())
    ajenos = [formulario(**{campo: getattr(titular, campo)}) for _ in range(3)]
    assert [fila.estado for fila in [*registrar(*ajenos[:2]), *registrar(ajenos[2])]] == [Estado.REPETIDA] * 3
    avisos = Envio.objects.filter(tipo=Envio.Tipo.AVISO)
    assert [aviso.inscripcion_id for aviso in avisos] == [titular.pk]
    registrar(formulario(**{campo: getattr(titular, campo)}), dias=1)
    assert avisos.all().count() == 2


def test_a_person_says_the_same_again_after_midnight_and_nobody_is_alarmed() -> None:
    form = formulario()
    [titular] = registrar(form)
    [otra] = registrar({**form, "nombre": "rosa ñáñez peña"}, dias=1)
    assert (otra.estado, otra.unida_a) == (Estado.UNIDA, titular)
    assert not Envio.objects.filter(tipo=Envio.Tipo.AVISO).exists()
    [ajena] = registrar({**form, "telefono": "+56911111111"}, dias=1)
    assert ajena.estado == Estado.REPETIDA
    assert Envio.objects.filter(tipo=Envio.Tipo.AVISO).count() == 1


@pytest.mark.parametrize("mismo_lote", [True, False])
def test_who_pays_later_goes_on_as_paid(mismo_lote: bool) -> None:
    form = formulario(nombre="Rosa")
    pago = {**form, "paid": True, "comprobante_pago": "TRX-1", "telefono": "+56911111111"}
    primera, segunda = registrar(form, pago) if mismo_lote else [*registrar(form), *registrar(pago)]
    primera.refresh_from_db()
    assert (primera.estado, primera.paid, primera.comprobante_pago) == (Estado.EN_REVISION, True, "TRX-1")
    assert (segunda.estado, segunda.unida_a) == (Estado.UNIDA, primera)
    assert Comprobante.objects.get().inscripcion == primera
    assert Envio.objects.count() == 0


def test_a_payment_that_overtakes_the_first_form_leaves_that_with_nothing_to_say() -> None:
    form = formulario()
    [pagada] = registrar({**form, "paid": True, "comprobante_pago": "TRX-1"})
    [normal] = registrar(form)
    assert (normal.estado, normal.unida_a) == (Estado.UNIDA, pagada)
    assert not Envio.objects.filter(tipo=Envio.Tipo.AVISO).exists()


def test_who_pays_later_with_a_used_receipt_is_in_doubt() -> None:
    registrar(pagado(comprobante_pago="TRX-1"))
    form = formulario(nombre="Rosa")
    registrar(form, {**form, "paid": True, "comprobante_pago": "TRX-1"})
    pendiente = Inscripcion.objects.get(estado=Estado.EN_REVISION)
    dudas = [v["regla"] for v in pendiente.veredictos if v["resultado"] == "duda"]
    assert dudas == ["comprobante_sin_uso", "nombre_completo"]


@pytest.mark.parametrize("cambio", [{"nombre": "Ana Soto"}, {"rut": un_rut()}, {"email": "otra@example.cl"}])
def test_another_persons_payment_promotes_nobody(cambio: dict[str, str]) -> None:
    form = formulario(nombre="Rosa")
    [titular] = registrar(form)
    [otra] = registrar({**form, "paid": True, "comprobante_pago": "TRX-1", **cambio})
    titular.refresh_from_db()
    assert (otra.estado, titular.paid) == (Estado.REPETIDA, False)
    assert Comprobante.objects.count() == 0


def test_what_is_joined_to_another_is_not_decided_by_itself(revisora: Usuario) -> None:
    form = formulario(nombre="Rosa")
    registrar(form)
    [unida] = registrar(form, dias=1)
    [(_, razon)] = revision.aprobar([unida.pk], por=revisora, ahora=AHORA).omitidas
    assert razon == "ya está unida a otra"


@pytest.mark.parametrize("otro", ["trx 000123", "TRX000123", "TRX_000123", "trx/000-123"])
def test_a_receipt_is_the_same_however_it_is_copied(otro: str) -> None:
    registrar(pagado(comprobante_pago="TRX-000123"))
    [segunda] = registrar(pagado(comprobante_pago=otro))
    assert segunda.estado == Estado.EN_REVISION


def test_a_form_that_the_rules_refuse_does_not_use_its_receipt_up() -> None:
    [titular] = registrar(formulario())
    registrar(
        pagado(rut=un_rut(76_086_428), comprobante_pago="TRX-1"), pagado(rut=titular.rut, comprobante_pago="TRX-2")
    )
    buenas = registrar(pagado(comprobante_pago="TRX-1"), pagado(comprobante_pago="TRX-2"))
    assert [fila.estado for fila in buenas] == [Estado.APROBADA] * 2


def test_a_repeated_identity_that_a_person_approves_claims_its_receipt(revisora: Usuario) -> None:
    [titular, repetida] = registrar(formulario(nombre="Rosa", rut="12345678-5"), pagado(rut="12345678-5"))
    revision.rechazar([titular.pk], por=revisora, motivo="RUT ajeno.", ahora=AHORA)
    revision.aprobar([repetida.pk], por=revisora, ahora=AHORA)
    assert Comprobante.objects.get().inscripcion == repetida


def test_within_a_batch_the_first_to_claim_an_identity_has_it() -> None:
    rut = un_rut()
    assert [fila.estado for fila in registrar(formulario(rut=rut), formulario(rut=rut))] == ["aprobada", "repetida"]


def test_rejections_by_the_rules_cannot_flood_a_mailbox() -> None:
    registrar(*(formulario(rut=un_rut(60_000_000 + n), email="victima@example.cl") for n in range(10)))
    assert Inscripcion.objects.filter(estado=Estado.RECHAZADA).count() == 10
    assert Envio.objects.count() == 1


def test_rejections_by_a_person_cannot_flood_a_mailbox_whatever_the_alias(revisora: Usuario) -> None:
    alias = ["v.ictima@gmail.com", "victima@gmail.com", "victima+7@gmail.com", "VICTIMA@googlemail.com"]
    filas = registrar(*(formulario(nombre="Rosa", email=email.lower()) for email in alias))
    titular = registrar(formulario())[0]
    filas += registrar(*(formulario(rut=titular.rut, email=f"otra+{n}@example.cl") for n in range(3)))
    Envio.objects.all().delete()
    revision.rechazar([fila.pk for fila in filas], por=revisora, motivo="No.", ahora=AHORA)
    assert sorted(envio.inscripcion.buzon for envio in Envio.objects.all()) == ["otra@example.cl", "victima@gmail.com"]


def test_an_alias_of_an_enrolled_mailbox_goes_to_a_person() -> None:
    registrar(formulario(email="rosa@example.cl"))
    alias = registrar(*(formulario(email=f"rosa+{n}@example.cl") for n in range(3)))
    assert [fila.estado for fila in alias] == [Estado.EN_REVISION] * 3
    assert Envio.objects.count() == 1


def test_who_was_rejected_by_a_person_is_reviewed_by_a_person(revisora: Usuario) -> None:
    [fila] = registrar(formulario(nombre="Rosa"))
    revision.rechazar([fila.pk], por=revisora, motivo="No vende mote.", ahora=AHORA)
    [otra] = registrar(formulario(rut=fila.rut), dias=1)
    assert otra.estado == Estado.EN_REVISION


def test_a_batch_costs_the_same_queries_as_one_form(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    def lote(cuantos: int) -> list[Any]:
        formas: list[Callable[[], dict[str, Any]]] = [formulario, pagado, partial(formulario, nombre="Rosa")]
        return [evento(forma()) for forma in formas * cuantos]

    uno, veinte = lote(1), lote(20)
    with django_assert_num_queries(13):
        registrar_inscripciones(uno)
    with django_assert_num_queries(13):
        registrar_inscripciones(veinte)


# By a person


def test_a_reviewer_approves_and_the_history_says_who(revisora: Usuario) -> None:
    [fila] = registrar(formulario(nombre="Rosa"))
    resolucion = revision.aprobar([fila.pk], por=revisora, motivo="La llamé.", ahora=AHORA)
    fila.refresh_from_db()
    assert [r.pk for r in resolucion.resueltas] == [fila.pk]
    assert (fila.estado, fila.resuelta_por, fila.resuelta_en) == (Estado.APROBADA, revisora, AHORA)
    assert Maestro.objects.get().inscripcion_id == fila.pk
    entrada = LogEntry.objects.get()
    assert (entrada.user_id, entrada.object_id, entrada.change_message) == (
        revisora.pk,
        str(fila.pk),
        "Aprobada. La llamé.",
    )


def test_a_rejection_needs_a_reason(revisora: Usuario) -> None:
    [fila] = registrar(formulario(nombre="Rosa"))
    with pytest.raises(ValueError, match="motivo"):
        revision.rechazar([fila.pk], por=revisora, motivo=" ", ahora=AHORA)


@pytest.mark.parametrize("otra_vez", ["aprobar", "rechazar"])
def test_what_is_resolved_stays_resolved(revisora: Usuario, otra_vez: str) -> None:
    [fila] = registrar(formulario(nombre="Rosa"))
    revision.rechazar([fila.pk], por=revisora, motivo="No.", ahora=AHORA)
    resolver: Callable[..., revision.Resolucion] = getattr(revision, otra_vez)
    [(omitida, razon)] = resolver([fila.pk], por=revisora, motivo="Sí.", ahora=AHORA).omitidas
    assert (omitida.pk, razon) == (fila.pk, "ya está rechazada")
    assert (Maestro.objects.count(), OutboxMessage.objects.count(), LogEntry.objects.count()) == (0, 1, 1)


def test_a_repeated_identity_is_approved_only_once_its_holder_is_rejected(revisora: Usuario) -> None:
    [titular, repetida] = registrar(formulario(nombre="Rosa", rut="12345678-5"), formulario(rut="12345678-5"))
    assert len(revision.aprobar([repetida.pk], por=revisora, ahora=AHORA).omitidas) == 1
    revision.rechazar([titular.pk], por=revisora, motivo="RUT ajeno.", ahora=AHORA)
    assert len(revision.aprobar([repetida.pk], por=revisora, ahora=AHORA).resueltas) == 1


def test_of_two_repeated_ones_only_one_is_approved(revisora: Usuario) -> None:
    filas = registrar(*(formulario(nombre="Rosa", rut="12345678-5") for _ in range(3)))
    revision.rechazar([filas[0].pk], por=revisora, motivo="RUT ajeno.", ahora=AHORA)
    resolucion = revision.aprobar([filas[1].pk, filas[2].pk], por=revisora, ahora=AHORA)
    assert (len(resolucion.resueltas), len(resolucion.omitidas), Maestro.objects.count()) == (1, 1, 1)


# A mistyped address


def test_a_corrected_address_gets_new_credentials_and_the_old_token_is_void() -> None:
    [fila] = registrar(formulario(email="rosa@gmial.com"))
    maestro = Maestro.objects.get()
    credenciales.emitir(maestro.usuario)
    Envio.objects.update(estado=Envio.Estado.ENVIADO)
    revision.corregir_correo(maestro.pk, "Rosa.N@gmail.com", ahora=AHORA)
    fila.refresh_from_db()
    maestro.refresh_from_db()
    assert (fila.email, fila.buzon, maestro.email) == ("rosa.n@gmail.com", "rosan@gmail.com", "rosa.n@gmail.com")
    assert (AuthToken.objects.count(), Envio.objects.get().estado) == (0, Envio.Estado.PENDIENTE)
    assert publicados()[-1]["email"] == "rosa.n@gmail.com"


def test_an_address_is_not_corrected_to_anothers() -> None:
    _, otra = registrar(formulario(), formulario(nombre="Rosa"))
    maestro = Maestro.objects.get()
    with pytest.raises(ValueError, match="otra inscripción"):
        revision.corregir_correo(maestro.pk, otra.email.upper(), ahora=AHORA)


# Two at the same time


def al_mismo_tiempo(*tareas: Callable[[], Any]) -> list[Any]:
    """Runs each in a thread with a connection of its own; raises what they raise."""
    juntos, resultados, errores = threading.Barrier(len(tareas)), [], []

    def correr(tarea: Callable[[], Any]) -> None:
        try:
            juntos.wait(10)
            resultados.append(tarea())
        except Exception as error:  # noqa: BLE001 - raised again below, in the test's own thread
            errores.append(error)
        finally:
            connection.close()

    hilos = [threading.Thread(target=correr, args=[tarea]) for tarea in tareas]
    for hilo in hilos:
        hilo.start()
    for hilo in hilos:
        hilo.join(30)
    if errores:
        raise errores[0]
    return resultados


@pytest.mark.django_db(transaction=True)
def test_two_reviewers_at_once_decide_each_enrolment_once(revisora: Usuario) -> None:
    filas = registrar(*(formulario(nombre="Rosa") for _ in range(20)))
    ids = [fila.pk for fila in filas]
    otro = Usuario.objects.create_user("revisor", is_staff=True)
    resoluciones = al_mismo_tiempo(
        lambda: revision.aprobar(ids, por=revisora, ahora=AHORA),
        lambda: revision.rechazar(list(reversed(ids)), por=otro, motivo="No.", ahora=AHORA),
        lambda: revision.aprobar(ids, por=otro, ahora=AHORA),
    )
    resueltas = Counter(fila.pk for resolucion in resoluciones for fila in resolucion.resueltas)
    assert resueltas == Counter(ids)
    assert LogEntry.objects.count() == OutboxMessage.objects.count() == 20
    assert Maestro.objects.count() == Inscripcion.objects.filter(estado=Estado.APROBADA).count()


@pytest.mark.django_db(transaction=True)
def test_a_reviewer_and_a_payment_at_once_leave_one_of_both_outcomes(revisora: Usuario) -> None:
    forms = [formulario(nombre="Rosa") for _ in range(20)]
    filas = registrar(*forms)
    pagos = [{**form, "paid": True, "comprobante_pago": f"TRX-{form['rut']}"} for form in forms]
    al_mismo_tiempo(
        lambda: revision.aprobar([fila.pk for fila in reversed(filas)], por=revisora, ahora=AHORA),
        lambda: registrar(*pagos),
    )
    assert Maestro.objects.count() == 20
    for fila in Inscripcion.objects.filter(paid=True).exclude(estado=Estado.APROBADA):
        assert fila.estado == (Estado.UNIDA if fila.unida_a and fila.unida_a.paid else Estado.REPETIDA)


@pytest.mark.django_db(transaction=True)
def test_two_consumers_at_once_give_an_identity_and_a_receipt_to_one() -> None:
    ruts = [un_rut() for _ in range(10)]
    lotes = [
        [evento(pagado(rut=rut, comprobante_pago=f"TRX-{rut}")) for rut in orden] for orden in (ruts, ruts[::-1], ruts)
    ]

    def lote(eventos: list[Any]) -> Callable[[], None]:
        def correr() -> None:
            with transaction.atomic():
                registrar_inscripciones(eventos)

        return correr

    al_mismo_tiempo(*map(lote, lotes))
    assert Counter(Inscripcion.objects.values_list("estado", flat=True)) == {"aprobada": 10, "repetida": 20}
    assert (Maestro.objects.count(), Comprobante.objects.count()) == (10, 10)
