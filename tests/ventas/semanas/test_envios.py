"""The weekly e-mail: what it says, once, and what happens when SMTP says no."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from django.conf import settings
from django.db import connection, transaction
from django.test import override_settings
from django.utils import timezone

from deploy.embedded.mailbox import Mail, Mailbox
from deploy.embedded.ports import free_port
from tests.ventas.conftest import AHORA, anulacion, venta
from ventas import libro, seed
from ventas.models import Cuenta, ReporteSemanal, Semana
from ventas.semanas import cierre, emails, envios

W46, W47 = date(2026, 11, 9), date(2026, 11, 16)
DESPUES = AHORA + timedelta(days=7)


@pytest.fixture(autouse=True)
def smtp(settings: Any) -> None:
    """The real backend; the test runner puts another in its place."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.CORREOS_POR_SEGUNDO = 0


class Server:
    """An SMTP server that answers as told, once its gate is open, and takes so many mails over one connection."""

    def __init__(self) -> None:
        self.answer = "250 OK"
        self.received: list[str] = []
        self.a_connection = 1_000
        self.served: Counter[Session] = Counter()
        self.asked, self.gate = threading.Event(), threading.Event()
        self.gate.set()

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.asked.set()
        await asyncio.to_thread(self.gate.wait, 5)
        self.served[session] += 1
        if self.served[session] > self.a_connection:
            return "421 4.7.0 Too many messages on this connection"
        if self.answer.startswith("2"):
            self.received.append(address)
            envelope.rcpt_tos.append(address)
        return self.answer


@pytest.fixture
def server(settings: Any) -> Iterator[Server]:
    handler = Server()
    controller = Controller(handler, hostname="127.0.0.1", port=free_port())
    controller.start()
    settings.EMAIL_HOST, settings.EMAIL_PORT = controller.hostname, controller.port
    yield handler
    controller.stop()


def enviar() -> int:
    return envios.enviar_pendientes().enviados


def cerrar(lunes: date, *ventas: Any) -> None:
    with transaction.atomic():
        libro.registrar(ventas)
    Semana.objects.bulk_create([Semana.nueva(lunes)], ignore_conflicts=True)
    cierre.contabilizar(lunes, ahora=DESPUES)


@pytest.mark.django_db
def test_the_mail_tells_the_week(mailbox: Mailbox, cuenta: Callable[..., Cuenta], maestro_id: UUID) -> None:
    seed.sembrar_catalogo()
    una = cuenta(maestro_id=maestro_id)
    erronea = venta(maestro_id, vendida_en=AHORA - timedelta(days=7))
    cerrar(W46, erronea, venta(maestro_id, vendida_en=AHORA - timedelta(days=7)))
    libro.anular([anulacion(erronea)])
    cerrar(W47, venta(maestro_id, cantidad=5), venta(maestro_id, vendida_en=AHORA + timedelta(days=3), cantidad=1))
    assert enviar() == 2
    primera, segunda = mailbox.wait_for(to=una.email, subject="Tu semana en MAMOCHI", count=2)
    for cuerpo in (segunda.text, segunda.html):
        assert "16 de Noviembre al 22 de Noviembre de 2026" in cuerpo.replace("noviembre", "Noviembre")
        assert "$6.950" in cuerpo  # 5 × (2.000 - 610), the best day
        assert "miércoles 18" in cuerpo
        assert "Mote con huesillo mediano" in cuerpo
        assert "$4.170" in cuerpo  # more than the week before: 6 × 1.390 - 1.390 - 2 × 1.390
        assert "(+150 %)" in cuerpo
        assert "1 venta que anulaste después del cierre" in cuerpo
        assert "-1 venta" in cuerpo
    assert "http" not in segunda.html.replace(f"{settings.SITE_URL}/api/v1/ventas/resumen/", "")
    assert "<img" not in segunda.html
    assert str(primera.message["Message-ID"]) == f"<semana.2026-W46.{maestro_id}@mamochi.cl>"


@pytest.mark.django_db
def test_a_maestro_without_sales_gets_a_short_mail(mailbox: Mailbox, cuenta: Callable[..., Cuenta]) -> None:
    una = cuenta()
    cerrar(W47)
    enviar()
    [mail] = mailbox.wait_for(to=una.email)
    assert "no registraste ventas" in mail.text
    assert "no registraste ventas" in mail.html
    assert "Ganancias por día" not in mail.html


@pytest.mark.django_db
def test_adjustments_that_cancel_out_are_told(
    mailbox: Mailbox, cuenta: Callable[..., Cuenta], maestro_id: UUID
) -> None:
    una = cuenta(maestro_id=maestro_id)
    erronea = venta(maestro_id, vendida_en=AHORA - timedelta(days=7))
    cerrar(W46, erronea)
    libro.anular([anulacion(erronea)])
    cerrar(W47, venta(maestro_id, vendida_en=AHORA - timedelta(days=8)))
    enviar()
    mail = mailbox.wait_for(to=una.email, count=2)[1]
    for cuerpo in (mail.text, mail.html):
        assert "1 venta que llegó tarde y 1 que anulaste después del cierre" in cuerpo
        assert "En total, 0 ventas, $0 de ingresos" in cuerpo
        assert "mediano" not in cuerpo


@pytest.mark.django_db
def test_the_best_day_is_one_with_sales_though_all_were_at_a_loss(
    mailbox: Mailbox, cuenta: Callable[..., Cuenta], maestro_id: UUID
) -> None:
    una = cuenta(maestro_id=maestro_id)
    cerrar(W47, venta(maestro_id, precio_unitario=100))
    enviar()
    [mail] = mailbox.wait_for(to=una.email)
    assert "miércoles 18" in mail.text
    assert "miércoles 18" in mail.html


@pytest.mark.django_db
def test_a_mail_is_sent_once(mailbox: Mailbox, cuenta: Callable[..., Cuenta]) -> None:
    una = cuenta()
    cerrar(W47)
    assert enviar() == 1
    assert enviar() == 0
    assert len(mailbox.wait_for(to=una.email)) == 1
    assert ReporteSemanal.objects.get().envio == ReporteSemanal.EstadoCorreo.ENVIADO


@pytest.mark.django_db
def test_a_report_whose_account_is_unknown_waits_for_it(
    mailbox: Mailbox, cuenta: Callable[..., Cuenta], maestro_id: UUID
) -> None:
    cerrar(W47, venta(maestro_id))
    assert enviar() == 0
    una = cuenta(maestro_id=maestro_id)
    assert enviar() == 1
    assert mailbox.wait_for(to=una.email)


@pytest.mark.django_db
def test_many_mails_share_a_connection_and_few_queries(
    server: Server, cuenta: Callable[..., Cuenta], django_assert_num_queries: Any
) -> None:
    for _ in range(5):
        cuenta()
    cerrar(W47)
    with django_assert_num_queries(
        2 + 5 + 5 * 4 + 1
    ):  # who sends; the batch; each a savepoint, a lock, an update; none left
        assert enviar() == 5


@pytest.mark.django_db
def test_a_mailbox_that_does_not_exist_is_given_up_with_the_servers_answer(
    server: Server, cuenta: Callable[..., Cuenta]
) -> None:
    cuenta()
    cerrar(W47)
    server.answer = "550 5.1.1 No such user"
    assert enviar() == 0
    reporte = ReporteSemanal.objects.get()
    assert (reporte.envio, reporte.respuesta) == ("fallido", "550 5.1.1 No such user")
    server.answer = "250 OK"
    assert enviar() == 0
    assert envios.reenviar(ReporteSemanal.objects.all()) == 1
    assert enviar() == 1


@pytest.mark.django_db
def test_a_mail_that_is_refused_for_now_is_tried_later_and_the_others_go_out(
    server: Server, cuenta: Callable[..., Cuenta]
) -> None:
    cuenta()
    cerrar(W47)
    server.answer = "451 4.7.1 Greylisted"
    assert enviar() == 0
    reporte = ReporteSemanal.objects.get()
    assert (reporte.envio, reporte.intentos, reporte.respuesta) == ("pendiente", 1, "451 4.7.1 Greylisted")
    assert reporte.proximo_intento is not None
    assert reporte.proximo_intento > timezone.now()
    server.answer = "250 OK"
    assert not envios.pendientes(ahora=timezone.now()).exists()
    assert envios.pendientes(ahora=timezone.now() + timedelta(minutes=1)).exists()


@pytest.mark.django_db
def test_without_an_smtp_server_the_mails_wait(stack: Any, settings: Any, cuenta: Callable[..., Cuenta]) -> None:
    for _ in range(3):
        cuenta()
    cerrar(W47)
    with override_settings(EMAIL_HOST="127.0.0.1", EMAIL_PORT=free_port()):
        assert enviar() == 0
    assert ReporteSemanal.objects.filter(respuesta__contains="ConnectionRefusedError").count() == 1
    assert ReporteSemanal.objects.filter(intentos=0).count() == 3


@pytest.mark.django_db
@pytest.mark.parametrize("answer", [None, "421 4.3.2 Shutting down"])
def test_an_smtp_server_that_is_down_for_days_delays_mails_and_drops_none(
    server: Server, cuenta: Callable[..., Cuenta], answer: str | None
) -> None:
    for _ in range(3):
        cuenta()
    cerrar(W47)
    server.answer = answer or "250 OK"
    with override_settings(EMAIL_PORT=settings.EMAIL_PORT if answer else free_port()):
        for _ in range(5 * envios.MAX_INTENTOS):
            assert enviar() == 0
            a_lo_mas = timezone.now() + timedelta(minutes=10)
            assert not ReporteSemanal.objects.filter(proximo_intento__gt=a_lo_mas).exists()
            ReporteSemanal.objects.update(proximo_intento=None)  # that wait is over
    assert set(ReporteSemanal.objects.values_list("envio", flat=True)) == {"pendiente"}
    server.answer = "451 4.7.1 Greylisted"  # what many a server says first when it is back
    assert enviar() == 0
    ReporteSemanal.objects.update(proximo_intento=None)
    server.answer = "250 OK"
    assert enviar() == 3


@pytest.mark.django_db
def test_a_server_that_takes_few_mails_over_a_connection_gets_a_new_one(
    server: Server, cuenta: Callable[..., Cuenta]
) -> None:
    for _ in range(7):
        cuenta()
    cerrar(W47)
    server.a_connection = 3
    assert enviar() == 7
    assert len(server.received) == 7
    assert len(server.served) == 3


@pytest.mark.django_db
def test_a_server_that_says_goodbye_on_every_connection_is_left_alone_for_now(
    server: Server, cuenta: Callable[..., Cuenta]
) -> None:
    for _ in range(3):
        cuenta()
    cerrar(W47)
    server.a_connection = 0
    assert enviar() == 0
    assert len(server.served) == 1
    assert ReporteSemanal.objects.filter(envio="pendiente", intentos=0).count() == 3


@pytest.mark.django_db
def test_after_its_turn_the_sender_leaves_the_worker_to_other_tasks(
    server: Server, cuenta: Callable[..., Cuenta]
) -> None:
    for _ in range(3):
        cuenta()
    cerrar(W47)
    assert envios.enviar_pendientes(turno=0) == envios.Barrido(1, siguen=True)
    assert envios.enviar_pendientes() == envios.Barrido(2)


@pytest.mark.django_db(transaction=True)
def test_one_sends_at_a_time_and_another_worker_is_free_at_once(server: Server, cuenta: Callable[..., Cuenta]) -> None:
    for _ in range(3):
        cuenta()
    cerrar(W47)
    server.gate.clear()  # a server that takes its time
    enviados: list[int] = []

    def worker() -> None:
        enviados.append(enviar())
        connection.close()

    thread = threading.Thread(target=worker)
    thread.start()
    assert server.asked.wait(30)
    assert enviar() == 0
    assert thread.is_alive()
    server.gate.set()
    thread.join(30)
    assert enviados == [3]
    assert enviar() == 0


@pytest.mark.django_db
def test_an_address_that_no_mail_can_have_does_not_stop_the_others(
    server: Server, cuenta: Callable[..., Cuenta]
) -> None:
    cuenta(email="rosa\n@example.cl")
    buena = cuenta()
    cerrar(W47)
    assert enviar() == 1
    assert server.received == [buena.email]
    assert ReporteSemanal.objects.filter(envio="fallido").count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_send_each_mail_once(mailbox: Mailbox, cuenta: Callable[..., Cuenta]) -> None:
    cuentas = [cuenta() for _ in range(30)]
    cerrar(W47)
    enviados: list[int] = []

    def worker() -> None:
        enviados.append(enviar())
        connection.close()

    workers = [threading.Thread(target=worker) for _ in range(2)]
    for thread in workers:
        thread.start()
    for thread in workers:
        thread.join(30)
    assert sum(enviados) == 30
    todos: list[Mail] = [mail for una in cuentas for mail in mailbox.wait_for(to=una.email)]
    assert len(todos) == 30


def test_a_message_has_one_id_for_ever() -> None:
    reporte = ReporteSemanal(semana_id=W47, maestro_id=UUID(int=1))
    assert emails.message_id(reporte) == emails.message_id(reporte)
