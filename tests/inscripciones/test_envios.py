"""Credentials: the token is made when its mail is sent, exists once, and arrives whatever SMTP does."""

import logging
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from smtplib import SMTPRecipientsRefused, SMTPSenderRefused, SMTPServerDisconnected
from typing import Any
from uuid import UUID

import pytest
import redis
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from celery.contrib.testing.worker import start_worker
from django.conf import settings as django_settings
from django.db import connection, transaction
from django.utils import timezone
from knox.auth import TokenAuthentication
from knox.models import AuthToken
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.test import APIClient

from deploy.embedded.mailbox import Mail, Mailbox
from deploy.embedded.ports import free_port
from inscripciones import credenciales, emails, envios, recepcion, revision, tasks
from inscripciones.models import Envio, Inscripcion, Usuario
from mamochi_site.celery import app as celery_app
from tests.stack import wait_until
from tests.support.people import AHORA, evento, formulario, un_rut

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("smtp")]


def aprobada(**campos: Any) -> Inscripcion:
    with transaction.atomic():
        [fila] = recepcion.registrar([evento(formulario(**campos))], ahora=AHORA)
    return fila


def su_envio(fila: Inscripcion) -> Envio:
    return Envio.objects.get(inscripcion=fila)


def enviar(fila: Inscripcion, minutos: float = 0) -> bool:
    return envios.enviar(su_envio(fila).pk, ahora=timezone.now() + timedelta(minutes=minutos))


def token_en(mail: Mail) -> str:
    [token] = set(re.findall(r"mmc_[0-9a-f]{64}", mail.text))
    assert token in mail.html
    return str(token)


def sirve(token: str) -> bool:
    try:
        TokenAuthentication().authenticate_credentials(token.encode())
    except AuthenticationFailed:
        return False
    return True


@pytest.fixture
def smtp_caido(settings: Settings) -> Iterator[Settings]:
    """SMTP's port, closed: setting `EMAIL_PORT` back to `puerto` mends it."""
    with socket.socket() as cerrado:  # bound and never listening: connections are refused
        cerrado.bind(("127.0.0.1", 0))
        settings.EMAIL_PORT = cerrado.getsockname()[1]
        yield settings


PUERTO = django_settings.EMAIL_PORT


# The mail


def test_the_mail_brings_a_token_that_works_and_says_what_to_do_with_it(mailbox: Mailbox, client: Any) -> None:
    fila = aprobada(nombre="Rosa Ñáñez Peña")
    assert AuthToken.objects.count() == 0
    assert enviar(fila)
    [mail] = mailbox.wait_for(to=fila.email, subject="Tus credenciales de MAMOCHI")
    token = token_en(mail)
    assert sirve(token)
    assert mail.message["Message-ID"] == su_envio(fila).message_id
    for cuerpo in (mail.text, mail.html):
        assert "Hola, Rosa" in cuerpo
        assert "/api/v1/entrar/" in cuerpo
        assert f'curl -X POST http://127.0.0.1:8000/api/v1/ventas/ -H "Authorization: Bearer {token}"' in cuerpo
    assert not re.search(r'href="[^"]*mmc_', mail.html), "a link would leave the token in histories and logs"


def test_only_the_hash_and_the_public_beginning_are_stored() -> None:
    fila = aprobada()
    usuario = Usuario.objects.get()
    with transaction.atomic():
        token = credenciales.emitir(usuario)
    fila_token = AuthToken.objects.get()
    assert fila_token.token_key == token[:15]
    assert token[15:] not in toda_la_base()
    assert fila.rut not in str(vars(fila_token))


def test_a_mail_is_sent_once() -> None:
    fila = aprobada()
    assert [enviar(fila), enviar(fila, minutos=60)] == [True, False]
    assert (su_envio(fila).estado, AuthToken.objects.count()) == (Envio.Estado.ENVIADO, 1)


@pytest.mark.django_db(transaction=True)
def test_many_workers_at_once_send_it_once(mailbox: Mailbox) -> None:
    fila = aprobada()
    envio_id = su_envio(fila).pk

    def trabajar(_: int) -> bool:
        try:
            return envios.enviar(envio_id, ahora=timezone.now())
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(trabajar, range(8))) == 1
    assert len(mailbox.mails(to=fila.email)) == AuthToken.objects.count() == 1


def test_a_rejection_says_its_reason_and_a_repeated_identity_tells_its_holder(mailbox: Mailbox) -> None:
    rechazada, titular = aprobada(rut=un_rut(76_000_123)), aprobada()
    aprobada(rut=titular.rut, email="otra@example.cl")
    for envio in Envio.objects.exclude(tipo=Envio.Tipo.CREDENCIALES):
        assert envios.enviar(envio.pk, ahora=timezone.now())
    [rechazo] = mailbox.wait_for(to=rechazada.email, subject="Tu inscripción en MAMOCHI")
    [aviso] = mailbox.wait_for(to=titular.email, subject="Alguien usó tus datos en MAMOCHI")
    assert rechazada.motivo in rechazo.text
    assert rechazada.motivo in rechazo.html
    assert "otra inscripción con tu RUT" in aviso.text
    assert not mailbox.mails(to="otra@example.cl")


# SMTP fails


def test_a_failed_mail_voids_its_token_and_is_due_again_later(smtp_caido: Settings) -> None:
    fila, ahora = aprobada(), timezone.now()
    assert not envios.enviar(su_envio(fila).pk, ahora=ahora)
    envio = su_envio(fila)
    assert (envio.estado, envio.intentos, envio.ultimo_error) == (Envio.Estado.PENDIENTE, 1, "ConnectionRefusedError")
    assert envio.proximo_intento == ahora + envios.FIRST_RETRY
    assert AuthToken.objects.count() == 0


def test_each_retry_waits_longer_up_to_a_bound(smtp_caido: Settings) -> None:
    fila, ahora, esperas = aprobada(), timezone.now(), []
    for _ in range(9):
        envios.enviar(su_envio(fila).pk, ahora=ahora)
        esperas.append(su_envio(fila).proximo_intento - ahora)
        ahora = su_envio(fila).proximo_intento
    assert esperas[:3] == [envios.FIRST_RETRY * n for n in (1, 2, 4)]
    assert esperas == sorted(esperas)
    assert esperas[-1] == envios.LONGEST_RETRY


def test_when_smtp_is_back_a_fresh_token_arrives(smtp_caido: Settings, mailbox: Mailbox) -> None:
    fila = aprobada()
    assert not enviar(fila)
    smtp_caido.EMAIL_PORT = PUERTO
    assert not enviar(fila), "it is not due yet"
    assert enviar(fila, minutos=1)
    [mail] = mailbox.wait_for(to=fila.email)
    assert sirve(token_en(mail))


def test_a_worker_that_died_while_sending_leaves_a_claim_that_lapses(mailbox: Mailbox) -> None:
    fila, ahora = aprobada(), timezone.now()
    with transaction.atomic():
        assert envios._tomar(su_envio(fila).pk, ahora)
        perdido = credenciales.emitir(Usuario.objects.get())
    assert envios.vencidos(ahora=ahora + envios.CLAIM / 2) == []
    assert not enviar(fila)
    [envio_id] = envios.vencidos(ahora=ahora + envios.CLAIM * 2)
    assert envios.enviar(envio_id, ahora=ahora + envios.CLAIM * 2)
    [mail] = mailbox.wait_for(to=fila.email)
    assert (sirve(perdido), sirve(token_en(mail))) == (False, True)


def test_a_slow_attempt_whose_claim_lapsed_touches_nothing(smtp_caido: Settings) -> None:
    fila, ahora = aprobada(), timezone.now()
    with transaction.atomic():
        lento = envios._tomar(su_envio(fila).pk, ahora)
        assert lento
        assert envios._tomar(lento.pk, ahora + envios.CLAIM * 2)
        nuevo = credenciales.emitir(Usuario.objects.get())
    envios._fallo(lento, Usuario.objects.get(), SMTPServerDisconnected("late"), ahora)
    assert (su_envio(fila).estado, sirve(nuevo)) == (Envio.Estado.ENVIANDO, True)


class Refuses:
    """aiosmtpd's handler: no such mailbox, said with the address in the text."""

    async def handle_RCPT(self, _server: SMTP, _session: Session, _envelope: Envelope, to: str, _options: Any) -> str:  # noqa: N802
        return f"550 5.1.1 <{to}>: no such user"


def test_a_mailbox_that_refuses_for_good_stops_it_for_a_person_and_its_address_is_not_kept(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    fila = aprobada()
    controller = Controller(Refuses(), hostname="127.0.0.1", port=free_port())
    controller.start()
    settings.EMAIL_PORT = controller.port
    try:
        assert not enviar(fila)
    finally:
        controller.stop()
    envio = su_envio(fila)
    assert (envio.estado, envio.ultimo_error) == (Envio.Estado.DETENIDO, "SMTPRecipientsRefused 550 5.1.1")
    nuestros = [registro.getMessage() for registro in caplog.records if registro.name.startswith("inscripciones")]
    assert nuestros
    assert fila.email not in "".join(nuestros)
    settings.EMAIL_PORT = PUERTO
    assert envios.reintentar([envio.pk], ahora=timezone.now()) == 1
    assert enviar(fila)


@pytest.mark.parametrize(
    "otro", ["\r\nBcc: otro@example.cl", "\nBcc: otro@example.cl", ", otro@example.cl", "\r\n\r\nHola"]
)
def test_an_address_that_brings_a_header_along_is_stopped_and_reaches_nobody(mailbox: Mailbox, otro: str) -> None:
    """The API refuses it; a message that a stranger writes into the topic may have it, and staff may approve that."""
    campos = formulario()
    fila = aprobada(**{**campos, "email": campos["email"] + otro})
    revisora = Usuario.objects.create_user(f"revisora{fila.pk}", is_staff=True)
    revision.aprobar([fila.pk], por=revisora, motivo="", ahora=AHORA)
    assert not enviar(fila)
    envio = su_envio(fila)
    assert (envio.estado, envio.intentos) == (Envio.Estado.DETENIDO, 1)
    assert envio.ultimo_error in ("BadHeaderError", "ValueError")
    assert not AuthToken.objects.filter(user__maestro__inscripcion=fila).exists()
    assert not mailbox.mails(to=campos["email"])
    assert not mailbox.mails(to="otro@example.cl")


@pytest.mark.parametrize(
    ("error", "texto"),
    [
        (SMTPRecipientsRefused({"a@b.cl": (450, b"4.2.0 <a@b.cl> greylisted")}), "SMTPRecipientsRefused 450 4.2.0"),
        (SMTPSenderRefused(553, b"who is a@b.cl?", "a@b.cl"), "SMTPSenderRefused 553"),
        (TimeoutError("timed out"), "TimeoutError"),
    ],
)
def test_an_error_is_remembered_without_its_text(error: OSError, texto: str) -> None:
    assert envios.resumen(error) == texto
    assert not envios._es_definitivo(error)


def test_a_fault_of_ours_voids_the_token_backs_off_and_logs_no_token(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fila, ahora, tokens = aprobada(), timezone.now(), list[str]()

    def falla(_envio: Envio, *, token: str) -> None:
        tokens.append(token)
        raise KeyError(token)

    monkeypatch.setattr(emails, "componer", falla)
    assert not envios.enviar(su_envio(fila).pk, ahora=ahora)
    envio = su_envio(fila)
    assert (envio.estado, envio.ultimo_error) == (Envio.Estado.PENDIENTE, "KeyError")
    assert envio.proximo_intento == ahora + envios.FIRST_RETRY
    assert AuthToken.objects.count() == 0
    assert "in falla" in caplog.text
    assert tokens[0][15:] not in caplog.text


# Who left, resend, hints


def test_who_left_the_guild_gets_no_credentials_that_were_owed(smtp_caido: Settings) -> None:
    fila, usuario = aprobada(), Usuario.objects.get()
    credenciales.dar_de_baja(usuario)
    envio = su_envio(fila)
    assert (envio.estado, envio.ultimo_error) == (Envio.Estado.DETENIDO, Envio.DE_BAJA)
    assert not envios.reenviar_credenciales(fila.pk, ahora=timezone.now())
    envios.reintentar([envio.pk], ahora=timezone.now())
    assert not enviar(fila)
    assert (su_envio(fila).estado, AuthToken.objects.count()) == (Envio.Estado.DETENIDO, 0)


@pytest.mark.django_db(transaction=True)
def test_of_two_who_ask_for_a_token_at_once_one_has_it() -> None:
    """While the first one holds its new token uncommitted, the second waits for it."""
    aprobada()
    usuario, hilo = Usuario.objects.get(), ThreadPoolExecutor(1)

    def otro() -> str:
        try:
            with transaction.atomic():
                return credenciales.emitir(Usuario.objects.get())
        finally:
            connection.close()

    with transaction.atomic():
        primero = credenciales.emitir(usuario)
        segundo = hilo.submit(otro)
        wait_until(lambda: segundo.done() or _espera_un_candado(), timeout=15)
    validos = [token for token in (primero, segundo.result(15)) if sirve(token)]
    assert validos == [segundo.result()]


def _espera_un_candado() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


def test_staff_resend_and_the_token_before_is_void(mailbox: Mailbox) -> None:
    fila = aprobada()
    enviar(fila)
    envios.reenviar_credenciales(fila.pk, ahora=timezone.now())
    assert enviar(fila)
    viejo, nuevo = map(token_en, mailbox.wait_for(to=fila.email, count=2))
    assert (sirve(viejo), sirve(nuevo)) == (False, True)


def test_celerys_broker_down_neither_fails_nor_delays_an_approval(
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    """The hint is lost, the row is there, and the sweep finds it."""
    with socket.socket() as cerrado, django_capture_on_commit_callbacks(execute=True):
        cerrado.bind(("127.0.0.1", 0))
        monkeypatch.setenv("CELERY_BROKER_WRITE_URL", f"redis://127.0.0.1:{cerrado.getsockname()[1]}/0")
        monkeypatch.setattr(celery_app.amqp, "_producer_pool", None)
        monkeypatch.setattr(tasks, "_hints_from", 0.0)
        fila, antes = aprobada(), time.monotonic()
    assert time.monotonic() - antes < 2
    assert tasks._hints_from > 0, "the breaker is open: nothing waits for that broker again for a while"
    assert su_envio(fila).pk in envios.vencidos(ahora=timezone.now())


# All of it, with a real worker


def toda_la_base() -> str:
    """Every row of every table, as text."""
    with connection.cursor() as cursor:
        tablas = connection.introspection.table_names(cursor)
        filas = []
        for tabla in tablas:
            cursor.execute(f'SELECT t::text FROM "{tabla}" AS t')  # noqa: S608 - names come from the catalogue
            filas += [fila for (fila,) in cursor.fetchall()]
    return "\n".join(filas)


def todo_valkey() -> str:
    """Every key of Celery's broker with its value."""
    cliente: Any = redis.Redis.from_url(django_settings.CELERY_BROKER_URL)
    leer = {
        b"string": cliente.get,
        b"list": lambda clave: cliente.lrange(clave, 0, -1),
        b"hash": cliente.hgetall,
        b"set": cliente.smembers,
        b"zset": lambda clave: cliente.zrange(clave, 0, -1, withscores=True),
    }
    tipos = [(clave, cliente.type(clave)) for clave in cliente.scan_iter()]
    return repr([(clave, leer[tipo](clave)) for clave, tipo in tipos if tipo in leer])


@pytest.mark.django_db(transaction=True)
def test_smtp_down_while_fifty_are_approved(
    smtp_caido: Settings, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Afterwards: fifty maestros, each with one mail whose token is valid; no token anywhere else."""
    caplog.set_level(logging.DEBUG)
    hechos, emitir = list[str](), credenciales.emitir

    def anotar(usuario: Usuario) -> str:
        hechos.append(emitir(usuario))
        return hechos[-1]

    monkeypatch.setattr(credenciales, "emitir", anotar)
    monkeypatch.setattr(envios, "FIRST_RETRY", timedelta(seconds=1))
    monkeypatch.setattr(tasks, "_hints_from", 0.0)
    eventos = [evento() for _ in range(50)]
    with transaction.atomic():
        recepcion.registrar(eventos, ahora=timezone.now())
    with start_worker(celery_app, perform_ping_check=False, shutdown_timeout=20.0):
        wait_until(lambda: Envio.objects.filter(intentos__gte=1, estado="pendiente").count() == 50, timeout=30)
        en_cola = todo_valkey()
        smtp_caido.EMAIL_PORT = PUERTO

        def barrido() -> bool:
            tasks.barrer_envios.delay()
            return Envio.objects.filter(estado=Envio.Estado.ENVIADO).count() == 50

        wait_until(barrido, timeout=60, interval=1.0)
        en_cola += todo_valkey()
    tokens = [token_en(mail) for evento_ in eventos for mail in mailbox.wait_for(to=evento_.email)]
    assert len(set(tokens)) == len(tokens) == AuthToken.objects.count() == 50
    assert all(map(sirve, tokens))
    for token in tokens:
        assert APIClient().get("/api/v1/tokens/", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    base = toda_la_base()
    assert len(hechos) >= 100, "those of the attempts that failed, too"
    for token in hechos:
        assert token[15:] not in base
        assert token[15:] not in caplog.text
        assert token[15:] not in en_cola


def test_a_task_carries_ids_only(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    fila = aprobada()
    assert tasks.enviar_correos([str(su_envio(fila).pk)]) == 1
    assert isinstance(su_envio(fila).pk, UUID)
