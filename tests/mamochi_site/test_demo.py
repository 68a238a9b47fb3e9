"""`./dev demo` as a person starts it, and the parts of it that could fool its own audit."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from confluent_kafka import Producer
from django.conf import settings
from django.utils import timezone
from rich.console import Console

from deploy.embedded.mailbox import Mailbox
from deploy.embedded.processes import leftovers
from deploy.embedded.waiting import wait_until
from inscripciones import normalizacion
from inscripciones.events import INSCRIPCIONES, InscripcionRecibida
from kafka_bridge.brokers.topic_admin import create_topics
from kafka_bridge.events.codec import encode
from kafka_bridge.publishing.producer import publish
from mamochi_site.local.demo import dashboard, people
from mamochi_site.local.demo.audit import (
    check_mails,
    check_priority,
    check_sales,
    check_stock,
    ends,
    numbers_in,
    read_catalogue,
)
from mamochi_site.local.demo.client import Api, Refused, Stopped
from mamochi_site.local.demo.maestro import SALES_PER_CART, TEN_SALES
from mamochi_site.local.demo.scene import Pace, Puesto, Scene, Sold
from ventas.models import Venta
from ventas.seed import PRODUCTOS, sembrar_catalogo

CHECKOUT = Path(__file__).parents[2]
OWN_STACK = ("DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS", "CELERY_BROKER_URL", "EMAIL_URL", "SECRET_KEY")


# The whole thing


@contextmanager
def demo(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """`manage.py demo --fast` on a stack of its own, not on the tests'."""
    environ = {name: value for name, value in os.environ.items() if name not in OWN_STACK} | {"DEBUG": "true"}
    argv = [sys.executable, "manage.py", "demo", "--fast", "--dir", str(folder), *options]
    process = subprocess.Popen(
        argv, cwd=CHECKOUT, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def record_once(folder: Path, process: subprocess.Popen[str], has: str) -> dict[str, Any]:
    """stack.json as it stands once the process named `has` is in it."""

    def record() -> dict[str, Any] | None:
        assert process.poll() is None, process.communicate()[0]
        path = folder / "stack.json"
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"processes": {}}
        return found if has in found["processes"] else None

    found = wait_until(record, 120)
    assert found is not None
    return found


def assert_nothing_left(folder: Path, record: dict[str, Any]) -> None:
    assert leftovers(record["run_id"], record["processes"]) == []
    assert not (folder / "stack.json").exists()


@pytest.mark.chaos
def test_it_plays_the_scenario_and_its_audit_is_green(tmp_path: Path) -> None:
    with demo(tmp_path, "--picture", str(tmp_path / "demo.svg")) as process:
        record = record_once(tmp_path, process, "web")
        output, _ = process.communicate(timeout=180)
    assert process.returncode == 0, output
    assert "✘" not in output
    assert output.count("✔") >= 20
    assert "Lo que acaba de pasar" in (tmp_path / "demo.svg").read_text().replace("&#160;", " ")
    assert_nothing_left(tmp_path, record)


@pytest.mark.chaos
@pytest.mark.parametrize("moment", ["postgres", "celery-beat"])
def test_ctrl_c_in_the_middle_leaves_nothing_behind(tmp_path: Path, moment: str) -> None:
    with demo(tmp_path) as process:
        record = record_once(tmp_path, process, moment)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert_nothing_left(tmp_path, record)


# The people


def cast() -> list[people.Persona]:
    return people.gather(5, 2, random.Random(7))


def test_the_people_would_pass_the_guilds_own_rules() -> None:
    assert [one.paid for one in cast()].count(True) == 2
    for one in cast():
        assert normalizacion.rut(one.rut)
        assert normalizacion.telefono(one.telefono)
        assert normalizacion.comuna(one.comuna) == one.comuna
        assert normalizacion.nombre(one.nombre) == one.nombre


def test_the_same_seed_is_the_same_cast() -> None:
    assert cast() == cast()


def test_ten_sales_take_as_much_as_ten_mediano_so_that_the_cart_is_empty_after_them() -> None:
    taken: Counter[str] = Counter()
    for product in TEN_SALES:
        taken.update(PRODUCTOS[product][2])
    assert len(TEN_SALES) == SALES_PER_CART
    assert taken == {insumo: 10 * each for insumo, each in PRODUCTOS["mediano"][2].items()}


# The client


@contextmanager
def server(*statuses: int) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An HTTP server that answers with these statuses in turn; gives its URL and the bodies that arrived."""
    answers, bodies = iter(statuses), list[dict[str, Any]]()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            status = next(answers)
            if status:  # 0: the connection is lost without an answer
                self.send_response(status)
                self.send_header("Retry-After", "0")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{http.server_port}", bodies
        finally:
            http.shutdown()


def test_a_client_repeats_the_same_sale_until_it_is_accepted() -> None:
    with server(503, 0, 202) as (url, bodies):
        Api(url, threading.Event()).post("/ventas/", {"id": "a"})
    assert bodies == [{"id": "a"}] * 3


def test_a_client_does_not_repeat_what_was_refused() -> None:
    with server(400) as (url, bodies), pytest.raises(Refused, match="400"):
        Api(url, threading.Event()).post("/ventas/", {"id": "a"})
    assert len(bodies) == 1


def test_a_client_that_was_told_to_stop_does() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        Api("http://127.0.0.1:9", stop).post("/ventas/", {})


# The audit and the dashboard


def keep_mail(folder: Path, to: str, subject: str, text: str) -> None:
    """Into the mailbox, as the SMTP sink does."""
    mail = EmailMessage()
    mail["To"], mail["Subject"] = to, subject
    mail.set_content(text)
    (folder / f"{len(list(folder.iterdir())):06}.eml").write_bytes(mail.as_bytes())


@pytest.fixture
def rosa() -> Puesto:
    """Has sold one chico and one mediano, from a cart that was loaded for ten mediano."""
    puesto = Puesto(cast()[0], inscripcion_id=str(uuid4()))
    puesto.sold = [Sold(str(uuid4()), "chico", 1), Sold(str(uuid4()), "mediano", 1)]
    load = {"mote": 1_500, "huesillo": 20, "jugo": 3_000, "vaso": 10}
    left = {"mote": 1_250, "huesillo": 17, "jugo": 2_500, "vaso": 8}
    puesto.movimientos = [{"tipo": "carga", "insumo": code, "cantidad": each} for code, each in load.items()]
    puesto.stock = [{"insumo": code, "cantidad": each} for code, each in left.items()]
    return puesto


def write_sales(puesto: Puesto, maestro_id: UUID) -> None:
    """Rows, as `contabilidad` writes them."""
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


EARNED = (1_500 - 380) + (2_000 - 610)  # chico and mediano: price less ingredients, by hand
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
def test_the_audit_of_sales_sees_what_is_lost_wrong_or_doubled(
    tmp_path: Path, rosa: Puesto, lost_rows: int, mails: list[str], wrong: list[str]
) -> None:
    assert EARNED == 2_510
    sembrar_catalogo()
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
def test_the_audit_of_stock_sees_what_is_missing_or_too_much(rosa: Puesto, off: int, green: bool) -> None:
    sembrar_catalogo()
    rosa.stock[0]["cantidad"] += off
    assert check_stock(rosa, read_catalogue()).ok is green


def enrolment(puesto: Puesto) -> InscripcionRecibida:
    """What the API publishes for the maestro's form."""
    one = puesto.persona
    return InscripcionRecibida.now(
        id=uuid4(),
        inscripcion_id=UUID(puesto.inscripcion_id),
        nombre=one.nombre,
        rut=one.rut,
        email=one.email,
        telefono=one.telefono,
        comuna=one.comuna,
        paid=one.paid,
    )


def send_to(partition: int, event: InscripcionRecibida) -> None:
    """Publishes where it says, whatever the event's own partition is."""
    message = encode(event)
    producer = Producer({**settings.KAFKA_CLIENT_CONFIG, "acks": "all"})
    producer.produce(message.topic, message.value, message.key, partition, headers=list(message.headers))
    assert producer.flush(30) == 0


@pytest.mark.usefixtures("kafka")
@pytest.mark.parametrize(("intruder", "green"), [(None, True), (0, False), (1, False)])
def test_the_audit_reads_the_topic_and_sees_who_is_in_the_wrong_partition(intruder: int | None, green: bool) -> None:
    create_topics([INSCRIPCIONES])
    since = ends()
    puestos = [Puesto(one, inscripcion_id=str(uuid4())) for one in cast()]
    publish(*map(enrolment, puestos))
    if intruder is not None:
        send_to(intruder, enrolment(next(one for one in puestos if one.persona.paid is bool(intruder))))
    assert all(check.ok for check in check_priority(puestos, since)) is green


def test_the_audit_of_mails_sees_one_that_came_twice(tmp_path: Path) -> None:
    people_mails = [one.email for one in cast()]
    for subject in ("Tus credenciales de MAMOCHI", "Tu semana en MAMOCHI"):
        for email in people_mails:
            keep_mail(tmp_path, email, subject, "")
    assert all(check.ok for check in check_mails(people_mails, Mailbox(tmp_path)))
    keep_mail(tmp_path, people_mails[0], "Tus credenciales de MAMOCHI", "")
    assert [check.ok for check in check_mails(people_mails, Mailbox(tmp_path))] == [False, True]


@pytest.mark.parametrize(
    ("earned", "expected"), [("$31.970", 31_970), ("$0", 0), ("-$1.200", -1_200), ("$1.031.970", 1_031_970)]
)
def test_it_reads_the_numbers_that_a_maestro_reads(earned: str, expected: int) -> None:
    text = f"Hola, Rosa:\n\nGanancias: {earned}\nVentas:    1.023\nUnidades:  2\n\nGanancias por día\n  Lunes $7"
    assert numbers_in(text) == (1_023, expected)


def test_a_mail_without_the_numbers_counts_as_wrong() -> None:
    assert numbers_in("no registraste ventas.\n¿Vendiste sin conexión? hasta 60 días") == (-1, -1)


def scene(sold: int) -> Scene:
    puestos = [Puesto(one) for one in cast()]
    for puesto in puestos:
        puesto.sold = [Sold(str(n), "mediano", 1) for n in range(sold)]
        puesto.stock = [{"insumo": "mote", "cantidad": 0, "capacidad": 1500, "agotado": True}]
    played = Scene(puestos, Pace.real())
    played.say("Rosa vendió un mediano")
    return played


@pytest.mark.parametrize(("width", "height"), [(132, 34), (80, 24), (40, 10)])
def test_the_dashboard_fits_the_terminal_and_shows_every_maestro(width: int, height: int) -> None:
    console = Console(width=width, height=height, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(dashboard.draw(scene(sold=3), width, height), height=height)
    lines = console.export_text().splitlines()
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    if height >= 24:
        assert all(any(puesto.persona.apodo in line for line in lines) for puesto in scene(0).puestos)
