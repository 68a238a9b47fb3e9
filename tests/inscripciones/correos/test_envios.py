"""Sending: each mail goes out once, with a fresh token, also after SMTP or Celery failed."""

import asyncio
import re
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from smtplib import SMTPServerDisconnected
from typing import Any

import pytest
import time_machine
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone
from knox.models import AuthToken
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from deploy.embedded.mailbox import Mailbox
from deploy.embedded.ports import free_port
from gremio.clock import database_now
from gremio.hints import breaker
from inscripciones import credenciales, tasks
from inscripciones.correos import emails, envios
from inscripciones.models import Envio, Inscripcion, Usuario
from inscripciones.tramite import revision
from mamochi_site.celery import app as celery_app
from tests.support.people import NOW, make_form, make_rut, register
from tests.support.secrets import is_valid, token_in
from ventas.semanas.mailer import CLAIM as CLAIM_OF_A_REPORT
from ventas.tasks import enviar_reportes

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("smtp")]


def approved(**fields: Any) -> Inscripcion:
    [fila] = register(make_form(**fields))
    return fila


def mail_of(fila: Inscripcion) -> Envio:
    return Envio.objects.get(inscripcion=fila)


def send(fila: Inscripcion, *, minutes: float = 0) -> bool:
    """Try to send the mail about the enrolment, `minutes` from now."""
    return envios.enviar(mail_of(fila).pk, ahora=timezone.now() + timedelta(minutes=minutes))


class Refuses:
    """A handler of aiosmtpd that knows no mailbox; its answer quotes the address."""

    async def handle_RCPT(self, _server: SMTP, _session: Session, _envelope: Envelope, to: str, _options: Any) -> str:
        return f"550 5.1.1 <{to}>: no such user"


class RefusesForNow:
    """A handler of aiosmtpd that wants to be asked again later."""

    async def handle_RCPT(self, *_: Any) -> str:
        return "450 4.7.1 Greylisted"


class Slow:
    """A handler of aiosmtpd that takes its time."""

    async def handle_DATA(self, _server: SMTP, _session: Session, _envelope: Envelope) -> str:
        await asyncio.sleep(0.8)
        return "250 OK"


def test_the_mail_brings_a_valid_token(mailbox: Mailbox, client: Any) -> None:
    fila = approved(nombre="Rosa Ñáñez Peña")
    assert AuthToken.objects.count() == 0
    assert send(fila)
    [mail] = mailbox.wait_for(to=fila.email, subject="Tus credenciales de MAMOCHI")
    token = token_in(mail)
    assert is_valid(token)
    assert mail.message["Message-ID"] == mail_of(fila).message_id
    for body in (mail.text, mail.html):
        assert "Hola, Rosa" in body
        assert "/api/v1/entrar/" in body
        assert f'curl -X POST http://127.0.0.1:8000/api/v1/ventas/ -H "Authorization: Bearer {token}"' in body
    assert not re.search(r'href="[^"]*mmc_', mail.html), "a link would leave the token in histories and logs"


def test_a_mail_is_sent_once() -> None:
    fila = approved()
    assert [send(fila), send(fila, minutes=60)] == [True, False]
    assert (mail_of(fila).estado, AuthToken.objects.count()) == (Envio.Estado.ENVIADO, 1)


@pytest.mark.django_db(transaction=True)
def test_many_workers_send_a_mail_once(mailbox: Mailbox) -> None:
    fila = approved()
    envio_id = mail_of(fila).pk

    def work(_: int) -> bool:
        try:
            return envios.enviar(envio_id, ahora=timezone.now())
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(8))) == 1
    assert len(mailbox.mails(to=fila.email)) == AuthToken.objects.count() == 1


@pytest.mark.parametrize("minutes", [-10, 10])
def test_workers_clocks_may_differ(minutes: float) -> None:
    """By the clock of the second worker the claim of the first has lapsed, or is of the future."""
    fila = approved()
    with transaction.atomic():
        assert envios.claim(mail_of(fila).pk, database_now())
    with time_machine.travel(timezone.now() + timedelta(minutes=minutes)):
        assert tasks.enviar_correos([str(mail_of(fila).pk)]) == 0
        Envio.objects.update(proximo_intento=Now())  # it lapses
        assert tasks.enviar_correos([str(mail_of(fila).pk)]) == 1


def test_rejections_and_notices_are_sent(mailbox: Mailbox) -> None:
    rechazada, titular = approved(rut=make_rut(76_000_123)), approved()
    approved(rut=titular.rut, email="otra@example.cl")
    for envio in Envio.objects.exclude(tipo=Envio.Tipo.CREDENCIALES):
        assert envios.enviar(envio.pk, ahora=timezone.now())
    [rechazo] = mailbox.wait_for(to=rechazada.email, subject="Tu inscripción en MAMOCHI")
    [aviso] = mailbox.wait_for(to=titular.email, subject="Alguien usó tus datos en MAMOCHI")
    assert rechazada.motivo in rechazo.text
    assert rechazada.motivo in rechazo.html
    assert "otra inscripción con tu RUT" in aviso.text
    assert not mailbox.mails(to="otra@example.cl")


def test_a_failed_mail_voids_its_token(smtp_down: Callable[[], None]) -> None:
    fila, ahora = approved(), timezone.now()
    assert not envios.enviar(mail_of(fila).pk, ahora=ahora)
    envio = mail_of(fila)
    assert (envio.estado, envio.intentos, envio.ultimo_error) == (Envio.Estado.PENDIENTE, 1, "ConnectionRefusedError")
    assert envio.proximo_intento == ahora + envios.FIRST_RETRY
    assert AuthToken.objects.count() == 0


def waits_of_nine_attempts() -> list[timedelta]:
    fila, ahora, waits = approved(), timezone.now(), []
    for _ in range(9):
        envios.enviar(mail_of(fila).pk, ahora=ahora)
        waits.append(mail_of(fila).proximo_intento - ahora)
        ahora = mail_of(fila).proximo_intento
    return waits


@pytest.mark.slow
def test_server_that_is_back_is_used_soon(settings: Settings, smtp_down: Callable[[], None]) -> None:
    """However long it was down, refused connections, or accepted them and said nothing."""
    assert set(waits_of_nine_attempts()) == {envios.RETRY_WITHOUT_SERVER}
    settings.EMAIL_TIMEOUT = 0.2
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.EMAIL_PORT = silent.getsockname()[1]
        assert set(waits_of_nine_attempts()) == {envios.RETRY_WITHOUT_SERVER}


def test_claim_outlasts_its_sending() -> None:
    """A server may send a byte now and then, without end: each wait for it is short."""
    for task, claim in ((tasks.enviar_correos, envios.CLAIM), (enviar_reportes, CLAIM_OF_A_REPORT)):
        soft, hard = task.soft_time_limit, task.time_limit
        assert soft is not None
        assert hard is not None
        assert soft < hard < claim.total_seconds()


def test_each_retry_of_a_refused_mail_waits_longer(settings: Settings) -> None:
    controller = Controller(RefusesForNow(), hostname="127.0.0.1", port=free_port())
    controller.start()
    settings.EMAIL_PORT = controller.port
    try:
        waits = waits_of_nine_attempts()
    finally:
        controller.stop()
    assert waits[:3] == [envios.FIRST_RETRY * n for n in (1, 2, 4)]
    assert waits == sorted(waits)
    assert waits[-1] == envios.LONGEST_RETRY


def test_when_smtp_is_back_a_fresh_token_arrives(smtp_down: Callable[[], None], mailbox: Mailbox) -> None:
    fila = approved()
    assert not send(fila)
    smtp_down()
    assert not send(fila), "it is not due yet"
    assert send(fila, minutes=1)
    [mail] = mailbox.wait_for(to=fila.email)
    assert is_valid(token_in(mail))


def test_a_dead_workers_claim_lapses(mailbox: Mailbox) -> None:
    fila, ahora = approved(), timezone.now()
    with transaction.atomic():
        assert envios.claim(mail_of(fila).pk, ahora)
        lost = credenciales.emitir(Usuario.objects.get())
    assert envios.vencidos(ahora=ahora + envios.CLAIM / 2) == []
    assert not send(fila)
    [envio_id] = envios.vencidos(ahora=ahora + envios.CLAIM * 2)
    assert envios.enviar(envio_id, ahora=ahora + envios.CLAIM * 2)
    [mail] = mailbox.wait_for(to=fila.email)
    assert (is_valid(lost), is_valid(token_in(mail))) == (False, True)


def test_a_lapsed_attempt_changes_nothing(smtp_down: Callable[[], None]) -> None:
    fila, ahora = approved(), timezone.now()
    with transaction.atomic():
        slow = envios.claim(mail_of(fila).pk, ahora)
        assert slow
        assert envios.claim(slow.pk, ahora + envios.CLAIM * 2)
        newer = credenciales.emitir(Usuario.objects.get())
    envios.record_failure(slow, Usuario.objects.get(), SMTPServerDisconnected("late"), ahora)
    assert (mail_of(fila).estado, is_valid(newer)) == (Envio.Estado.ENVIANDO, True)


def test_a_refusing_mailbox_stops_the_mail(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    fila, port = approved(), settings.EMAIL_PORT
    controller = Controller(Refuses(), hostname="127.0.0.1", port=free_port())
    controller.start()
    settings.EMAIL_PORT = controller.port
    try:
        assert not send(fila)
    finally:
        controller.stop()
    envio = mail_of(fila)
    assert (envio.estado, envio.ultimo_error) == (Envio.Estado.DETENIDO, "SMTPRecipientsRefused 550 5.1.1")
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("inscripciones")]
    assert ours
    assert fila.email not in "".join(ours)
    settings.EMAIL_PORT = port
    assert envios.reintentar([envio.pk], ahora=timezone.now()) == 1
    assert send(fila)


@pytest.mark.parametrize(
    "addition", ["\r\nBcc: otro@example.cl", "\nBcc: otro@example.cl", ", otro@example.cl", "\r\n\r\nHola"]
)
def test_an_address_cannot_add_a_header(mailbox: Mailbox, reviewer: Usuario, addition: str) -> None:
    """The API refuses such an address; a forged message in the topic may bring it."""
    form = make_form()
    fila = approved(**{**form, "email": form["email"] + addition})
    revision.aprobar([fila.pk], por=reviewer, motivo="", ahora=NOW)
    assert not send(fila)
    envio = mail_of(fila)
    assert (envio.estado, envio.intentos) == (Envio.Estado.DETENIDO, 1)
    assert envio.ultimo_error in ("BadHeaderError", "ValueError")
    assert not AuthToken.objects.filter(user__maestro__inscripcion=fila).exists()
    assert not mailbox.mails(to=form["email"])
    assert not mailbox.mails(to="otro@example.cl")


def test_a_bug_voids_the_token_and_logs_none(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    fila, ahora, tokens = approved(), timezone.now(), list[str]()

    def fail(_envio: Envio, *, token: str) -> None:
        tokens.append(token)
        raise KeyError(token)

    monkeypatch.setattr(emails, "componer", fail)
    assert not envios.enviar(mail_of(fila).pk, ahora=ahora)
    envio = mail_of(fila)
    assert (envio.estado, envio.ultimo_error) == (Envio.Estado.PENDIENTE, "KeyError")
    assert envio.proximo_intento == ahora + envios.FIRST_RETRY
    assert AuthToken.objects.count() == 0
    assert "in fail" in caplog.text
    assert tokens[0][15:] not in caplog.text


def test_resending_voids_the_previous_token(mailbox: Mailbox) -> None:
    fila = approved()
    send(fila)
    envios.reenviar_credenciales(fila.pk, ahora=timezone.now())
    assert send(fila)
    old, new = map(token_in, mailbox.wait_for(to=fila.email, count=2))
    assert (is_valid(old), is_valid(new)) == (False, True)


def test_a_rejection_asked_for_is_a_new_message(smtp_down: Callable[[], None], mailbox: Mailbox) -> None:
    """A mailbox drops a message whose Message-ID it has; our own retry is such a message."""
    fila, ids = register(make_form(rut=make_rut(76_000_321)))[0], list[str]()

    def note() -> None:
        assert not send(fila, minutes=60 * len(ids))
        ids.append(mail_of(fila).message_id)

    note()
    note()
    assert envios.reintentar([mail_of(fila).pk], ahora=timezone.now()) == 1
    note()
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_while_a_mail_is_sent(settings: Settings) -> None:
    """The mail server takes longer than PostgreSQL lets a transaction be idle."""
    fila = approved()
    controller = Controller(Slow(), hostname="127.0.0.1", port=free_port())
    controller.start()
    settings.EMAIL_PORT = controller.port
    with connection.cursor() as cursor:
        cursor.execute("SET idle_in_transaction_session_timeout = 400")
    try:
        assert send(fila)
    finally:
        controller.stop()
        connection.close()
    assert mail_of(fila).estado == Envio.Estado.ENVIADO


def test_an_approval_works_without_celery(
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    """The hint is lost, the row is there, and the sweep finds it."""
    with socket.socket() as closed, django_capture_on_commit_callbacks(execute=True):
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("CELERY_BROKER_WRITE_URL", f"redis://127.0.0.1:{closed.getsockname()[1]}/0")
        monkeypatch.setattr(celery_app.amqp, "_producer_pool", None)
        fila, began = approved(), time.monotonic()
    assert time.monotonic() - began < 2
    assert breaker.is_open
    assert mail_of(fila).pk in envios.vencidos(ahora=timezone.now())


def test_mail_dated_by_a_clock_that_was_ahead_is_sent() -> None:
    """A worker claimed it, its clock a day ahead, and died; then the clock was set right."""
    mail = mail_of(approved())
    tomorrow = timezone.now() + timedelta(days=1)
    Envio.objects.filter(pk=mail.pk).update(estado=Envio.Estado.ENVIANDO, proximo_intento=tomorrow)
    assert mail.pk in envios.vencidos(ahora=timezone.now())
    assert envios.enviar(mail.pk, ahora=timezone.now())
