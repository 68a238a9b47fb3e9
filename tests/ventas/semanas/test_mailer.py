"""Sending the weekly e-mails: each one once, and what happens when SMTP refuses."""

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from email import message_from_bytes
from typing import Any
from uuid import UUID

import pytest
import time_machine
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.test import override_settings
from django.utils import timezone

from deploy.embedded import Stack
from deploy.embedded.mailbox import Mail, Mailbox
from deploy.embedded.ports import free_port
from tests.support.sales import W47, account, close, enter, sale
from ventas.models import ReporteSemanal
from ventas.semanas import mailer
from ventas.semanas.mailer import Sweep

SECONDS = 30.0
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("smtp")]


class Server:
    """An SMTP server that answers as told.

    Its answer waits until `gate` is set; `per_connection` limits the e-mails over one connection.
    """

    def __init__(self) -> None:
        self.answer = self.after_data = "250 OK"
        self.received: list[str] = []
        self.message_ids: list[str] = []
        self.delay = 0.0  # seconds
        self.per_connection = 1_000
        self.served: Counter[Session] = Counter()
        self.asked, self.gate = threading.Event(), threading.Event()
        self.gate.set()

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.asked.set()
        await asyncio.sleep(self.delay)
        await asyncio.to_thread(self.gate.wait, 5)
        self.served[session] += 1
        if self.served[session] > self.per_connection:
            return "421 4.7.0 Too many messages on this connection"
        if self.answer.startswith("2"):
            self.received.append(address)
            envelope.rcpt_tos.append(address)
        return self.answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        self.message_ids.append(str(message_from_bytes(envelope.content)["Message-ID"]))
        return self.after_data


@pytest.fixture
def server(settings: Any) -> Iterator[Server]:
    handler = Server()
    controller = Controller(handler, hostname="127.0.0.1", port=free_port())
    controller.start()
    settings.EMAIL_HOST, settings.EMAIL_PORT = controller.hostname, controller.port
    yield handler
    controller.stop()


def send() -> int:
    return mailer.enviar_pendientes().sent


def close_with_accounts(count: int = 1) -> None:
    """Close a week of so many maestros, who sold nothing: one e-mail each is due."""
    for _ in range(count):
        account()
    close(W47)


def test_a_mail_is_sent_once(mailbox: Mailbox) -> None:
    own = account()
    close(W47)
    assert send() == 1
    assert send() == 0
    assert len(mailbox.wait_for(to=own.email)) == 1
    assert ReporteSemanal.objects.get().envio == ReporteSemanal.EstadoCorreo.ENVIADO


def test_a_report_waits_for_its_account(mailbox: Mailbox, maestro_id: UUID) -> None:
    enter(sale(maestro_id))
    close(W47)
    assert send() == 0
    own = account(maestro_id=maestro_id)
    assert send() == 1
    assert mailbox.wait_for(to=own.email)


def test_many_mails_need_few_queries(server: Server, django_assert_num_queries: Any) -> None:
    close_with_accounts(5)
    batch, per_mail, nothing_left = 8, 3, 4  # per mail: the database's time, a claim and a mark
    with django_assert_num_queries(batch + 5 * per_mail + nothing_left):
        assert send() == 5


def test_an_unknown_mailbox_is_given_up(server: Server) -> None:
    close_with_accounts()
    server.answer = "550 5.1.1 No such user"
    assert send() == 0
    reporte = ReporteSemanal.objects.get()
    assert (reporte.envio, reporte.respuesta) == ("fallido", "550 5.1.1 No such user")
    server.answer = "250 OK"
    assert send() == 0
    assert mailer.reenviar(ReporteSemanal.objects.all()) == 1
    assert send() == 1


def test_a_mail_refused_for_now_is_tried_later(server: Server) -> None:
    close_with_accounts()
    server.answer = "451 4.7.1 Greylisted"
    assert send() == 0
    reporte = ReporteSemanal.objects.get()
    assert (reporte.envio, reporte.intentos, reporte.respuesta) == ("pendiente", 1, "451 4.7.1 Greylisted")
    assert reporte.proximo_intento is not None
    assert reporte.proximo_intento > timezone.now()
    server.answer = "250 OK"
    assert not mailer.pendientes(ahora=timezone.now()).exists()
    assert mailer.pendientes(ahora=timezone.now() + timedelta(minutes=1)).exists()


def test_without_a_server_the_mails_wait(stack: Stack) -> None:
    close_with_accounts(3)
    with override_settings(EMAIL_HOST="127.0.0.1", EMAIL_PORT=free_port()):
        assert send() == 0
    assert ReporteSemanal.objects.filter(respuesta__contains="ConnectionRefusedError").count() == 1
    assert ReporteSemanal.objects.filter(intentos=0).count() == 3


@pytest.mark.slow
def test_server_that_is_back_is_used_soon(settings: Any, server: Server) -> None:
    """After one that accepts connections and says nothing; no e-mail waits longer for it."""
    close_with_accounts(2)
    settings.EMAIL_TIMEOUT = 0.2
    port = settings.EMAIL_PORT
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.EMAIL_PORT = silent.getsockname()[1]
        for _ in range(2):  # once per e-mail
            assert mailer.enviar_pendientes() == Sweep(0, no_server=True)
    settings.EMAIL_PORT = port
    ReporteSemanal.objects.update(proximo_intento=F("proximo_intento") - timedelta(seconds=30))  # they have passed
    assert send() == 2


@pytest.mark.parametrize("minutes", [-10, 10])
def test_workers_clocks_may_differ(server: Server, minutes: float) -> None:
    """By the clock of the second worker the claim of the first has lapsed, or is of the future."""
    close_with_accounts()
    assert mailer._claim(ReporteSemanal.objects.get())
    with time_machine.travel(timezone.now() + timedelta(minutes=minutes)):
        assert send() == 0
    ReporteSemanal.objects.update(proximo_intento=timezone.now())  # it lapses
    with time_machine.travel(timezone.now() + timedelta(minutes=minutes)):
        assert send() == 1


def test_mail_at_which_the_server_fails_holds_up_no_other(server: Server) -> None:
    """It goes behind the others: such a filter never lets it pass."""
    close_with_accounts(3)
    server.after_data = "421 4.3.2 This one ends the connection"
    assert send() == 0
    [failed] = ReporteSemanal.objects.exclude(proximo_intento=None)
    ReporteSemanal.objects.filter(pk=failed.pk).update(proximo_intento=timezone.now())
    assert [reporte.pk for reporte in mailer._next_batch()][-1] == failed.pk


@pytest.mark.slow
@pytest.mark.parametrize("answer", [None, "421 4.3.2 Shutting down"])
def test_days_without_a_server_drop_no_mail(server: Server, answer: str | None) -> None:
    close_with_accounts(3)
    server.answer = answer or "250 OK"
    with override_settings(EMAIL_PORT=settings.EMAIL_PORT if answer else free_port()):
        for _ in range(5 * mailer.MAX_REFUSALS):
            assert send() == 0
            at_most = timezone.now() + timedelta(minutes=10)
            assert not ReporteSemanal.objects.filter(proximo_intento__gt=at_most).exists()
            ReporteSemanal.objects.update(proximo_intento=None)  # that wait is over
    assert set(ReporteSemanal.objects.values_list("envio", flat=True)) == {"pendiente"}
    server.answer = "451 4.7.1 Greylisted"  # the first answer of many servers that are back
    assert send() == 0
    ReporteSemanal.objects.update(proximo_intento=None)
    server.answer = "250 OK"
    assert send() == 3


def test_a_full_connection_is_replaced(server: Server) -> None:
    close_with_accounts(7)
    server.per_connection = 3
    assert send() == 7
    assert len(server.received) == 7
    assert len(server.served) == 3


def test_a_server_that_closes_at_once_is_left_alone(server: Server) -> None:
    close_with_accounts(3)
    server.per_connection = 0
    assert send() == 0
    assert len(server.served) == 1
    assert ReporteSemanal.objects.filter(envio="pendiente", intentos=0).count() == 3


def test_a_turn_ends_with_mails_left(server: Server) -> None:
    """The worker is free for other tasks then."""
    close_with_accounts(3)
    assert mailer.enviar_pendientes(turn_seconds=0) == Sweep(1, unfinished=True)
    assert mailer.enviar_pendientes() == Sweep(2)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_while_a_mail_is_sent(server: Server) -> None:
    """The mail server takes longer than PostgreSQL lets a transaction be idle."""
    close_with_accounts(3)
    server.delay = 0.8
    with connection.cursor() as cursor:
        cursor.execute("SET idle_in_transaction_session_timeout = 400")
    assert send() == 3
    assert len(server.received) == 3
    assert send() == 0
    connection.close()


@pytest.mark.django_db(transaction=True)
def test_a_killed_workers_claim_lapses(server: Server) -> None:
    """It keeps other e-mails waiting for seconds only, and its own for as long as a claim lasts."""
    close_with_accounts(2)
    mailer._claim(ReporteSemanal.objects.order_by("id")[0])
    assert send() == 0
    claim = mailer.CLAIM - mailer.TURN
    ReporteSemanal.objects.filter(envio="enviando").update(proximo_intento=timezone.now() + claim)
    assert send() == 1
    ReporteSemanal.objects.filter(envio="enviando").update(proximo_intento=timezone.now())
    assert send() == 1
    assert len(set(server.message_ids)) == 2


def test_what_a_person_asks_for_is_a_new_message(server: Server) -> None:
    """A mailbox drops a message whose Message-ID it has; our own retry is such a message."""
    close_with_accounts()
    server.after_data = "451 4.3.0 Try again later"
    assert send() == 0
    ReporteSemanal.objects.update(proximo_intento=None)
    server.after_data = "250 OK"
    assert send() == 1
    for _ in range(2):
        assert mailer.reenviar(ReporteSemanal.objects.all()) == 1
        assert send() == 1
    first, retry, asked, asked_again = server.message_ids
    assert first == retry
    assert len({first, asked, asked_again}) == 3


@pytest.mark.django_db(transaction=True)
def test_workers_take_turns(server: Server) -> None:
    """One after the other, each on its connection; behind a pool, on whichever session is free."""
    close_with_accounts(2)
    workers, sent = 5, list[int]()
    connected, turns = threading.Barrier(workers), [threading.Event() for _ in range(workers + 1)]

    def work(turn: int) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            connected.wait(SECONDS)  # a pool needs a session for each of them now
        turns[turn].wait(SECONDS)
        ReporteSemanal.objects.update(envio="pendiente")
        sent.append(send())
        connection.close()
        turns[turn + 1].set()

    threads = [threading.Thread(target=work, args=[turn]) for turn in range(workers)]
    for thread in threads:
        thread.start()
    turns[0].set()
    for thread in threads:
        thread.join(SECONDS)
    assert sent == [2] * workers


@pytest.mark.django_db(transaction=True)
def test_a_request_during_the_sending_is_obeyed(server: Server) -> None:
    close_with_accounts()
    [seen] = ReporteSemanal.objects.all()
    claimed = mailer._claim(seen)
    assert claimed is not None
    mailer.reenviar(ReporteSemanal.objects.all())
    assert claimed.update(envio="enviado") == 0
    assert send() == 1


@pytest.mark.django_db(transaction=True)
def test_a_second_sender_returns_at_once(server: Server) -> None:
    close_with_accounts(3)
    server.gate.clear()  # a slow server
    sent: list[int] = []

    def work() -> None:
        sent.append(send())
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    assert server.asked.wait(SECONDS)
    assert send() == 0
    assert thread.is_alive()
    server.gate.set()
    thread.join(SECONDS)
    assert sent == [3]
    assert send() == 0


def test_an_impossible_address_stops_no_other(server: Server) -> None:
    account(email="rosa\n@example.cl")
    valid = account()
    close(W47)
    assert send() == 1
    assert server.received == [valid.email]
    assert ReporteSemanal.objects.filter(envio="fallido").count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_workers_send_each_mail_once(mailbox: Mailbox) -> None:
    accounts = [account() for _ in range(30)]
    close(W47)
    sent: list[int] = []

    def work() -> None:
        sent.append(send())
        connection.close()

    workers = [threading.Thread(target=work) for _ in range(2)]
    for thread in workers:
        thread.start()
    for thread in workers:
        thread.join(SECONDS)
    assert sum(sent) == 30
    arrived: list[Mail] = [mail for one in accounts for mail in mailbox.wait_for(to=one.email)]
    assert len(arrived) == 30


def test_claim_of_a_clock_that_was_ahead_holds_up_no_mail(server: Server) -> None:
    """A worker claimed one, its clock a day ahead, and died; then the clock was set right."""
    close_with_accounts(2)
    [first, _other] = ReporteSemanal.objects.order_by("id")
    tomorrow = timezone.now() + timedelta(days=1)
    ReporteSemanal.objects.filter(pk=first.pk).update(
        envio=ReporteSemanal.EstadoCorreo.ENVIANDO, proximo_intento=tomorrow
    )
    assert send() == 2
