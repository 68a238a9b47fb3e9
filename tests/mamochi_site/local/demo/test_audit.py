"""The demo's audit: it must notice every mismatch."""

from email.message import EmailMessage
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from confluent_kafka import Producer
from django.conf import settings
from django.utils import timezone

from deploy.embedded.mailbox import Mailbox
from inscripciones.events import INSCRIPCIONES, InscripcionRecibida
from kafka_bridge.brokers.topic_admin import create_topics
from kafka_bridge.events.codec import encode
from kafka_bridge.publishing.producer import publish
from mamochi_site.local.demo.audit import (
    check_mails,
    check_priority,
    check_sales,
    check_stock,
    ends,
    numbers_in,
    read_catalogue,
)
from mamochi_site.local.demo.scene import Puesto, Sold
from tests.mamochi_site.local.demo.test_people import five_people
from ventas.models import Venta


def keep_mail(folder: Path, to: str, subject: str, text: str) -> None:
    """Write a mail to the mailbox, as the SMTP sink does."""
    mail = EmailMessage()
    mail["To"], mail["Subject"] = to, subject
    mail.set_content(text)
    (folder / f"{len(list(folder.iterdir())):06}.eml").write_bytes(mail.as_bytes())


@pytest.fixture
def rosa() -> Puesto:
    """Return a cart that was loaded for ten mediano and has sold one chico and one mediano."""
    puesto = Puesto(five_people()[0], inscripcion_id=str(uuid4()))
    puesto.sold = [Sold(str(uuid4()), "chico", 1), Sold(str(uuid4()), "mediano", 1)]
    load = {"mote": 1_500, "huesillo": 20, "jugo": 3_000, "vaso": 10}
    left = {"mote": 1_250, "huesillo": 17, "jugo": 2_500, "vaso": 8}
    puesto.movimientos = [{"tipo": "carga", "insumo": code, "cantidad": each} for code, each in load.items()]
    puesto.stock = [{"insumo": code, "cantidad": each} for code, each in left.items()]
    return puesto


def write_sales(puesto: Puesto, maestro_id: UUID) -> None:
    """Write the rows of the sales, as `contabilidad` does."""
    now = timezone.now()
    for sale in puesto.sold:
        Venta.objects.create(
            id=uuid4(),
            venta_id=sale.id,
            maestro_id=maestro_id,
            producto=sale.producto,
            cantidad=1,
            precio_unitario=0,
            costo_unitario=0,
            vendida_en=now,
            dia=now.date(),
            registrada_en=now,
            semana_contable=now.date(),
        )


# Of a chico and a mediano, in CLP: price less ingredients, calculated by hand.
EARNED = (1_500 - 380) + (2_000 - 610)
WEEK_MAIL = "Ganancias: {}\nVentas:    {}\n"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("lost_rows", "mails", "wrong"),
    [
        (0, [WEEK_MAIL.format("$2.510", 2)], []),
        (1, [WEEK_MAIL.format("$2.510", 2)], ["aceptadas = filas", "en filas y en su correo"]),
        (0, [WEEK_MAIL.format("$2.510", 1)], ["en filas y en su correo", "todas juntas"]),
        (0, [WEEK_MAIL.format("$2.509", 2)], ["ganancias"]),
        (0, [WEEK_MAIL.format("$2.510", 2)] * 2, ["en filas y en su correo", "ganancias", "todas juntas"]),
        (0, [], ["en filas y en su correo", "ganancias", "todas juntas"]),
    ],
)
def test_sales_mismatch_fails(tmp_path: Path, rosa: Puesto, lost_rows: int, mails: list[str], wrong: list[str]) -> None:
    assert EARNED == 2_510
    maestro_id = uuid4()
    write_sales(rosa, maestro_id)
    for row in Venta.objects.all()[:lost_rows]:
        row.delete()
    for text in mails:
        keep_mail(tmp_path, rosa.persona.email, "Tu semana en MAMOCHI", text)
    checks = check_sales([rosa], {rosa.persona.email: maestro_id}, Mailbox(tmp_path), read_catalogue())
    red = [check.what for check in checks if not check.ok]
    assert len(red) == len(wrong)
    assert all(part in what for part, what in zip(wrong, red, strict=True))


@pytest.mark.django_db
@pytest.mark.parametrize(("off", "green"), [(0, True), (1, False), (-1, False)])
def test_stock_mismatch_fails(rosa: Puesto, off: int, green: bool) -> None:
    rosa.stock[0]["cantidad"] += off
    assert check_stock(rosa, read_catalogue()).ok is green


def enrolment(puesto: Puesto) -> InscripcionRecibida:
    """Return the event that the API publishes for the maestro's form."""
    person = puesto.persona
    return InscripcionRecibida.now(
        id=uuid4(),
        inscripcion_id=UUID(puesto.inscripcion_id),
        nombre=person.nombre,
        rut=person.rut,
        email=person.email,
        telefono=person.telefono,
        comuna=person.comuna,
        paid=person.paid,
    )


def send_to(partition: int, event: InscripcionRecibida) -> None:
    """Publish to this partition, whatever the event's own partition is."""
    message = encode(event)
    producer = Producer({**settings.KAFKA_CLIENT_CONFIG, "acks": "all"})
    producer.produce(message.topic, message.value, message.key, partition, headers=list(message.headers))
    assert producer.flush(30) == 0


@pytest.mark.usefixtures("kafka")
@pytest.mark.parametrize(("intruder", "green"), [(None, True), (0, False), (1, False)])
def test_enrolment_in_wrong_partition_fails(intruder: int | None, green: bool) -> None:
    create_topics([INSCRIPCIONES])
    since = ends()
    puestos = [Puesto(person, inscripcion_id=str(uuid4())) for person in five_people()]
    publish(*map(enrolment, puestos))
    if intruder is not None:
        wrong = next(puesto for puesto in puestos if puesto.persona.paid is bool(intruder))
        send_to(intruder, enrolment(wrong))
    assert all(check.ok for check in check_priority(puestos, since)) is green


def test_mail_that_came_twice_fails(tmp_path: Path) -> None:
    addresses = [person.email for person in five_people()]
    for subject in ("Tus credenciales de MAMOCHI", "Tu semana en MAMOCHI"):
        for email in addresses:
            keep_mail(tmp_path, email, subject, "")
    assert all(check.ok for check in check_mails(addresses, Mailbox(tmp_path)))
    keep_mail(tmp_path, addresses[0], "Tus credenciales de MAMOCHI", "")
    assert [check.ok for check in check_mails(addresses, Mailbox(tmp_path))] == [False, True]


@pytest.mark.parametrize(
    ("earned", "expected"), [("$31.970", 31_970), ("$0", 0), ("-$1.200", -1_200), ("$1.031.970", 1_031_970)]
)
def test_numbers_are_read_from_the_mail(earned: str, expected: int) -> None:
    text = f"Hola, Rosa:\n\nGanancias: {earned}\nVentas:    1.023\nUnidades:  2\n\nGanancias por día\n  Lunes $7"
    assert numbers_in(text) == (1_023, expected)


def test_mail_without_numbers_is_wrong() -> None:
    assert numbers_in("no registraste ventas.\n¿Vendiste sin conexión? hasta 60 días") == (-1, -1)
