"""The demo's audit: compare what the maestros did with the API, the database, e-mails and Kafka."""

import re
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from django.conf import settings

from deploy.embedded.mailbox import Mail, Mailbox
from gremio.formats import pesos
from inscripciones.events import INSCRIPCIONES, InscripcionRecibida
from inscripciones.models import Maestro as MaestroRow
from kafka_bridge.brokers import client, topic_admin, watermarks
from kafka_bridge.consuming.record import read
from kafka_bridge.events.topics import PRIORITY_PARTITION, Partition
from kafka_bridge.models import DeadLetter, OutboxMessage
from mamochi_site.local.demo.maestro import CREDENTIALS_SUBJECT
from mamochi_site.local.demo.scene import Puesto, Scene
from ventas.models import Producto, Venta, costo_de

WEEK_SUBJECT: Final = "Tu semana en MAMOCHI"
# By ingredient code, in the ingredient's unit.
Amounts = Counter[str]


@dataclass(frozen=True)
class Check:
    """One line of the audit."""

    what: str
    expected: object
    found: object

    @property
    def ok(self) -> bool:
        """Return True if the system reports what is expected."""
        return self.expected == self.found

    def row(self) -> tuple[str, str, str, bool]:
        """Return the row of the dashboard's table: name, expected, found, passed."""
        return self.what, _show(self.expected), "igual" if self.ok else _show(self.found), self.ok


@dataclass(frozen=True)
class Product:
    """A product of the catalogue: earnings in whole CLP and ingredients, per unit sold."""

    ganancia: int
    receta: dict[str, int]


def audit(scene: Scene, mailbox: Mailbox, since: dict[Partition, int]) -> list[Check]:
    """Run every check; `since` has the end offsets of the enrolments' topic when the demo began."""
    catalogue = read_catalogue()
    people = [puesto.persona.email for puesto in scene.puestos]
    ids = dict(MaestroRow.objects.filter(email__in=people).values_list("email", "id"))
    return [
        *check_sales(scene.puestos, ids, mailbox, catalogue),
        *(check_stock(puesto, catalogue) for puesto in scene.puestos),
        *check_mails(people, mailbox),
        *check_priority(scene.puestos, since),
        Check(
            "Mensajes que un consumidor no pudo aplicar",
            0,
            DeadLetter.objects.filter(state=DeadLetter.State.OPEN).count(),
        ),
        Check("Mensajes aceptados y sin publicar", 0, OutboxMessage.objects.count()),
    ]


def check_sales(
    puestos: list[Puesto], ids: dict[str, uuid.UUID], mailbox: Mailbox, catalogue: dict[str, Product]
) -> Iterator[Check]:
    """Check that the sales accepted by the API are in the database and in the weekly e-mails."""
    rows = Counter(Venta.objects.filter(maestro_id__in=ids.values()).values_list("maestro_id", flat=True))
    accepted = {str(sale.id) for puesto in puestos for sale in puesto.sold}
    stored = {str(row) for row in Venta.objects.filter(maestro_id__in=ids.values()).values_list("venta_id", flat=True)}
    yield Check(
        "Ventas aceptadas = filas, con sus mismos ids", len(accepted), len(accepted & stored) + len(stored - accepted)
    )
    counted = 0
    for puesto in puestos:
        email = puesto.persona.email
        count, earned = numbers_in_week_mail(mailbox, email)
        counted += count
        name, sold = puesto.persona.apodo, len(puesto.sold)
        yield Check(f"{name}: ventas, en filas y en su correo", (sold, sold), (rows[ids[email]], count))
        expected = sum(catalogue[sale.producto].ganancia * sale.cantidad for sale in puesto.sold)
        yield Check(f"{name}: ganancias en su correo", pesos(expected), pesos(earned))
    yield Check("Ventas en los correos, todas juntas", len(accepted), counted)


def read_catalogue() -> dict[str, Product]:
    """Return the products by code, read from the catalogue and not from sales."""
    return {
        product.codigo: Product(
            product.precio - costo_de(product.receta.all()),
            {line.insumo_id: line.cantidad for line in product.receta.all()},
        )
        for product in Producto.objects.prefetch_related("receta__insumo")
    }


def week_mails(mailbox: Mailbox, email: str) -> list[Mail]:
    """Return the weekly e-mails that a maestro received."""
    return mailbox.mails(to=email, subject=WEEK_SUBJECT)


def numbers_in_week_mail(mailbox: Mailbox, email: str) -> tuple[int, int]:
    """Return the number of sales and the earnings (CLP) in the text of the maestro's weekly e-mail.

    (-1, -1) unless exactly one such e-mail arrived.
    """
    mails = week_mails(mailbox, email)
    if len(mails) != 1:
        return -1, -1
    return numbers_in(mails[0].text)


def numbers_in(text: str) -> tuple[int, int]:
    """Return number of sales and earnings (CLP) in a weekly e-mail's text; -1 if missing."""
    return _number("ventas", text), _number("ganancias?", text)


def _number(label: str, text: str) -> int:
    found = re.search(rf"^\W*{label}\b[^\d\n]*?(-?)\$?([\d.]+)", text, re.IGNORECASE | re.MULTILINE)
    return int(found[1] + found[2].replace(".", "")) if found else -1


def check_stock(puesto: Puesto, catalogue: dict[str, Product]) -> Check:
    """Check that GET stock/ equals what was loaded and restocked less what was sold.

    Loads and restocks come from the API's ledger; what a sale takes comes from the recipes.
    """
    expected = _loaded_and_restocked(puesto.movimientos)
    for sale in puesto.sold:
        for code, each in catalogue[sale.producto].receta.items():
            expected[code] -= each * sale.cantidad
    found = {row["insumo"]: row["cantidad"] for row in puesto.stock}
    return Check(f"{puesto.persona.apodo}: stock = carga + repuesto - vendido", dict(expected), found)


def _loaded_and_restocked(ledger: Iterable[dict[str, Any]]) -> Amounts:
    amounts: Amounts = Counter()
    for line in ledger:
        if line["tipo"] in ("carga", "reposicion"):
            amounts[line["insumo"]] += line["cantidad"]
    return amounts


def check_mails(people: list[str], mailbox: Mailbox) -> Iterator[Check]:
    """Check that each address received one credentials e-mail and one weekly e-mail."""
    for what, subject in (("credenciales", CREDENTIALS_SUBJECT), ("la semana", WEEK_SUBJECT)):
        arrived = [len(mailbox.mails(to=email, subject=subject)) for email in people]
        yield Check(f"Correos de {what}, uno por maestro", [1] * len(people), arrived)


def check_priority(puestos: list[Puesto], since: dict[Partition, int]) -> Iterator[Check]:
    """Check that partition 0 contains all Paid enrolments and nothing else.

    A form that a client sent again after a lost answer is in the topic twice with the same id, and
    counts as one enrolment.
    """
    found: dict[bool, set[str]] = {True: set(), False: set()}
    for message in read_topic(since):
        found[message.partition() == PRIORITY_PARTITION].add(_enrolment(message))
    for first, where in ((True, "Partición 0: las inscripciones Paid"), (False, "Otras particiones: las demás")):
        expected = {f"{_lane(first)} {puesto.inscripcion_id}" for puesto in puestos if puesto.persona.paid is first}
        yield Check(f"{where}, y nada más", sorted(expected), sorted(found[first]))


def _enrolment(message: Message) -> str:
    """Return lane and id of an enrolment; for any other event, its type."""
    event = read(message).event
    if isinstance(event, InscripcionRecibida):
        return f"{_lane(event.paid)} {event.inscripcion_id}"
    return type(event).__name__


def _lane(paid: bool) -> str:
    return "paid" if paid else "normal"


def ends() -> dict[Partition, int]:
    """Return the current end offset of each partition of the enrolments' topic."""
    return watermarks.end_offsets(topic_admin.partitions_of(INSCRIPCIONES.name))


def read_topic(since: dict[Partition, int]) -> Iterator[Message]:
    """Read every message of the partitions from `since` to their current end."""
    left = {at: end - since[at] for at, end in ends().items() if end > since[at]}
    config = {**settings.KAFKA_CLIENT_CONFIG, "group.id": f"demo-{uuid.uuid4()}", "enable.auto.commit": False}
    consumer = Consumer(config)
    try:
        consumer.assign([TopicPartition(*at, since[at]) for at in left])
        for _ in range(sum(left.values())):
            yield _next(consumer)
    finally:
        consumer.close()


def _next(consumer: Consumer) -> Message:
    message = consumer.poll(client.TIMEOUT_SECONDS)
    if message is None:
        raise KafkaException(f"no message within {client.TIMEOUT_SECONDS:g} s")
    if message.error() is not None:
        raise KafkaException(message.error())
    return message


def _show(value: object) -> str:
    """Return the value as people read it."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {amount}" for key, amount in sorted(value.items()))
    if isinstance(value, tuple):
        return " y ".join(map(str, value))
    if isinstance(value, list):
        return ", ".join(str(item)[:15] for item in value)
    return str(value)
