"""The content of the weekly e-mail."""

import re
from datetime import timedelta
from uuid import UUID

import pytest
from django.conf import settings
from django.test import Client

from deploy.embedded.mailbox import Mailbox
from tests.support.sales import AFTER_W47, NOW, W46, W47, W48, account, close, enter, sale, void_of
from ventas.models import Cuenta, ReporteSemanal
from ventas.semanas import baja, emails, mailer

WEEK = timedelta(days=7)
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("smtp")]


def test_a_mail_has_the_weeks_figures(mailbox: Mailbox, maestro_id: UUID) -> None:
    own = account(maestro_id=maestro_id)
    mistake = sale(maestro_id, vendida_en=NOW - WEEK)
    enter(mistake, sale(maestro_id, vendida_en=NOW - WEEK))
    close(W46)
    enter(void_of(mistake))
    enter(sale(maestro_id, cantidad=5), sale(maestro_id, vendida_en=NOW + timedelta(days=3), cantidad=1))
    close(W47)
    assert mailer.enviar_pendientes().sent == 2
    first, second = mailbox.wait_for(to=own.email, subject="Tu semana en MAMOCHI", count=2)
    for body in (second.text, second.html):
        assert "16 de Noviembre al 22 de Noviembre de 2026" in body.replace("noviembre", "Noviembre")
        assert "$6.950" in body  # 5 × (2.000 - 610), the best day
        assert "miércoles 18" in body
        assert "Mote con huesillo mediano" in body
        assert "$4.170" in body  # more than the week before: 6 × 1.390 - 1.390 - 2 × 1.390
        assert "(+150 %)" in body
        assert "1 venta que anulaste después del cierre" in body
        assert "-1 venta" in body
    assert set(re.findall(r"https?://[^/]+/api/v1/[a-z-]+/", second.html)) == {
        f"{settings.SITE_URL}/api/v1/ventas/",
        f"{settings.SITE_URL}/api/v1/correo-semanal/",
    }
    assert second.html.count("http") == 2
    assert "<img" not in second.html
    assert str(first.message["Message-ID"]) == f"<semana.2026-W46.{maestro_id}@mamochi.cl>"


def test_a_mail_without_sales_is_short(mailbox: Mailbox) -> None:
    own = account()
    close(W47)
    mailer.enviar_pendientes()
    [mail] = mailbox.wait_for(to=own.email)
    assert "no registraste ventas" in mail.text
    assert "no registraste ventas" in mail.html
    assert "Ganancias por día" not in mail.html


def test_adjustments_that_cancel_out_are_shown(mailbox: Mailbox, maestro_id: UUID) -> None:
    own = account(maestro_id=maestro_id)
    mistake = sale(maestro_id, vendida_en=NOW - WEEK)
    enter(mistake)
    close(W46)
    enter(void_of(mistake))
    enter(sale(maestro_id, vendida_en=NOW - timedelta(days=8)))
    close(W47)
    mailer.enviar_pendientes()
    mail = mailbox.wait_for(to=own.email, count=2)[1]
    for body in (mail.text, mail.html):
        assert "1 venta que llegó tarde y 1 que anulaste después del cierre" in body
        assert "En total, 0 ventas, $0 de ingresos" in body
        assert "mediano" not in body


def test_the_best_day_is_a_day_with_sales(mailbox: Mailbox, maestro_id: UUID) -> None:
    """Also when every sale was made at a loss, and days without sales earned more."""
    own = account(maestro_id=maestro_id)
    enter(sale(maestro_id, precio_unitario=100))
    close(W47)
    mailer.enviar_pendientes()
    [mail] = mailbox.wait_for(to=own.email)
    assert "miércoles 18" in mail.text
    assert "miércoles 18" in mail.html


def test_a_mail_keeps_its_id() -> None:
    reporte = ReporteSemanal(semana_id=W47, maestro_id=UUID(int=1))
    assert emails.message_id(reporte) == emails.message_id(reporte)


def test_a_maestro_ends_the_mail_and_begins_it_again(mailbox: Mailbox, client: Client) -> None:
    """By the link in the mail, by the mail program's own button, and without a login."""
    own = account(abierta_en=NOW - 2 * WEEK)
    close(W46)
    mailer.enviar_pendientes()
    [mail] = mailbox.wait_for(to=own.email)
    assert str(mail.message["List-Unsubscribe-Post"]) == "List-Unsubscribe=One-Click"
    [address] = re.findall(r"<(.+)>", str(mail.message["List-Unsubscribe"]).replace("\n", "").replace(" ", ""))
    assert address in mail.text
    assert address in mail.html
    path = address.removeprefix(settings.SITE_URL)
    # Mail scanners open every link: that alone changes nothing.
    assert client.get(path).json() == {"recibir": True}
    answer = client.post(path, {"List-Unsubscribe": "One-Click"}, headers={"Accept": "*/*"})
    assert (answer.status_code, answer.json()) == (200, {"recibir": False})
    close(W47)
    assert mailer.enviar_pendientes().sent == 0
    assert [reporte.envio for reporte in ReporteSemanal.objects.order_by("semana_id")] == ["enviado", "no_quiere"]
    page = client.post(path, {"recibir": "true"}, headers={"Accept": "text/html"}, follow=True)
    assert "te llega de nuevo" in page.text
    assert "No quiero más este correo" in page.text
    close(W48, ahora=AFTER_W47 + WEEK)
    assert mailer.enviar_pendientes().sent == 1


def test_a_mail_that_waits_is_not_sent_once_it_is_unwanted(maestro_id: UUID) -> None:
    own = account(maestro_id=maestro_id)
    close(W47)
    baja.fijar(own, quiere=False)
    assert mailer.enviar_pendientes().sent == 0


def test_only_our_own_addresses_end_the_mail(client: Client, maestro_id: UUID) -> None:
    account(maestro_id=maestro_id)
    for forged in (maestro_id.hex, f"{maestro_id.hex}:x", "x", "%00"):
        assert client.post(f"/api/v1/correo-semanal/{forged}/").status_code in (400, 404)
    assert Cuenta.objects.get().correo_semanal
