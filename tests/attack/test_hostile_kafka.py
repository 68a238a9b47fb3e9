"""Hostile messages written into the topics among good ones.

All consumers survive, good messages apply, and each bad one becomes a dead letter with its reason.
"""

import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from confluent_kafka import Producer
from django.conf import settings
from django.db.models.functions import Length
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from inscripciones.events import InscripcionAprobada
from inscripciones.models import Inscripcion, Maestro, Usuario
from kafka_bridge.brokers import topic_admin, watermarks
from kafka_bridge.consuming.handlers import consumers
from kafka_bridge.docs.examples import example_of
from kafka_bridge.events.codec import encode
from kafka_bridge.events.event import Event, registered
from kafka_bridge.models import ConsumerOffset, DeadLetter
from stock import avisos as stock_avisos
from stock.models import Aviso, Carro
from tests.stack import wait_until
from tests.support.consumers import consumer, running
from tests.support.people import make_event, make_form, make_paid_form
from ventas import calendario
from ventas.events import VentaRegistrada
from ventas.models import Cuenta, Semana, Venta
from ventas.semanas import reports

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
SECONDS = 200.0
MAESTROS = 300  # so many that good messages reach each partition: a partition of only bad ones stops its consumer
Headers = list[tuple[str, str | bytes | None]]
Raw = tuple[str, int, bytes | None, Headers, bytes | None]  # topic, partition, value, headers, key

NO_EVENTS: dict[str, bytes | None] = {
    "nothing": None,
    "empty": b"",
    "no_json": b"hola",
    "random": random.Random(9).randbytes(2_000),
    "nul": b"\x00" * 50,
    "truncated": b'{"id": "0f8f',
    "utf16": '{"id": 1}'.encode("utf-16"),
    "latin1": b'{"producto": "\xf1"}',
    "half_character": b'{"producto": "\\ud800"}',
    "list": b"[]",
    "text": b'"hola"',
    "nan": b'{"cantidad": NaN}',
    "deep": b'{"a": ' + b"[" * 100_000,
    "deep_and_closed": b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep_objects": b'{"a":' * 50_000,
    "digits": b'{"cantidad": ' + b"9" * 100_000 + b"}",
    "big": b'{"producto": "' + b"a" * 900_000 + b'"}',
}
HEADERS: dict[str, Headers] = {
    "none": [],
    "type_is_null": [("ce_type", None)],
    "type_is_empty": [("ce_type", b"")],
    "type_is_unknown": [("ce_type", b"mamochi.nada.nunca.v1")],
    "type_is_nul": [("ce_type", b"\x00\x00")],
    "type_is_no_text": [("ce_type", b"\xff\xfe\xfd")],
    "type_is_long": [("ce_type", b"a" * 100_000)],
    "type_is_markup": [("ce_type", b"<script>alert(1)</script>")],
    "names_are_odd": [("", b"x"), (" ", b"\x00"), ("\N{PILE OF POO}", None), ("ce_id", b"\xff")],
    "a_thousand": [(f"h{n}", b"v") for n in range(1_000)],
    "trace_is_odd": [("traceparent", b"00-" + b"\xff" * 200), ("traceparent", None)],
}
# For any field of an event, as JSON; the field decides whether the value is wrong.
VALUES: list[Any] = [None, True, -1, 0, 2**31, 2**63, 2**64, 10**30, 1.5, "", "\x00", "a\x00b", "a" * 1_000]
VALUES += ["=1+1", "a@b\r\nBcc: c"]
VALUES += [
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999-23:59",
    "2026-11-23T00:00:00",
    "hola",
    [],
    {},
    [None],
    {"": 0},
]
VALUES += [{"mote": -(10**12)}, {"mote": 10**18}, {"\x00": 1}, ["\x00"], ["a" * 100], {"-1": -1}, ["mote"] * 1_000]
WRONG_IN_ANY_FIELD = [2**64 + 0.5, [[1]], {"a": {"b": 1}}]


def type_header(event: type[Event]) -> Headers:
    return [("ce_type", event.type.encode())]


def hostile(chance: random.Random) -> tuple[Raw, bool]:
    """Return a message, and True if it must become a dead letter.

    The others are absurd and may be valid.
    """
    event = chance.choice(list(declared()))
    partition = chance.randrange(event.topic.partitions)
    key = chance.choice([None, b"", b"\x00\xff", b"k" * 5_000, str(uuid4()).encode()])
    kind = chance.randrange(4)
    if kind == 0:
        return (event.topic.name, partition, chance.choice(list(NO_EVENTS.values())), type_header(event), key), True
    if kind == 1:
        headers = chance.choice(list(HEADERS.values()))
        return (event.topic.name, partition, encode(example_of(event)).value, headers, key), True
    value = chance.choice(WRONG_IN_ANY_FIELD if kind == 2 else VALUES)
    fields = mutated(event, chance.choice(event.__struct_fields__), value)
    return (event.topic.name, partition, json.dumps(fields).encode(), type_header(event), key), kind == 2


def declared() -> Iterator[type[Event]]:
    """Yield the events that a consumer handles: the values of the others are never read."""
    return (
        event for event in registered.values() if any(event in consumer.handlers for consumer in consumers.values())
    )


def mutated(event: type[Event], field: str, value: Any) -> dict[str, Any]:
    """Return a valid event with new ids and one field replaced."""
    fields = json.loads(encode(example_of(event)).value)
    ids = {name: str(uuid4()) for name in event.__struct_fields__ if name == "id" or name.endswith("_id")}
    return {**fields, **ids, field: value}


class Good:
    """Return events as the applications send them; each leaves a row."""

    def __init__(self) -> None:
        self.maestros = [uuid4() for _ in range(MAESTROS)]
        self.forms: list[UUID] = []
        self.sales: list[UUID] = []
        self.notices: list[UUID] = []

    def opening(self) -> list[Event]:
        return [approval(id_) for id_ in self.maestros]

    def one(self, chance: random.Random, topic: str) -> Event:
        made: dict[str, Callable[[random.Random], Event]] = {
            "mamochi.inscripciones": self._form,
            "mamochi.stock": self._notice,
            "mamochi.ventas": self._sale,
            "mamochi.maestros": lambda chance: approval(chance.choice(self.maestros)),
        }
        return made[topic](chance)

    def _form(self, chance: random.Random) -> Event:
        form = make_event(chance.choice([make_form, make_paid_form])(), time=datetime.now(UTC))
        self.forms.append(form.inscripcion_id)
        return form

    def _notice(self, chance: random.Random) -> Event:
        notice = stock_avisos.aviso_de_maestro(uuid4(), chance.choice(self.maestros), ["mote"])
        self.notices.append(notice.aviso_id)
        return notice

    def _sale(self, chance: random.Random) -> Event:
        maestro_id, venta_id, now = chance.choice(self.maestros), uuid4(), datetime.now(UTC)
        sale = VentaRegistrada(
            id=VentaRegistrada.derive_id(maestro_id, venta_id),
            time=now,
            venta_id=venta_id,
            maestro_id=maestro_id,
            producto="mediano",
            cantidad=1,
            precio_unitario=2_000,
            costo_unitario=610,
            insumos={"mote": 150},
            vendida_en=now,
        )
        self.sales.append(sale.id)
        return sale


def approval(maestro_id: UUID) -> InscripcionAprobada:
    return InscripcionAprobada.now(
        id=uuid4(),
        inscripcion_id=uuid4(),
        maestro_id=maestro_id,
        nombre="Rosa",
        email=f"{maestro_id}@example.cl",
        aprobada_en=datetime.now(UTC),
    )


def produce(messages: list[Raw]) -> None:
    """Publish all of them, or fail."""
    delivered = Counter[bool]()
    producer = Producer({**settings.KAFKA_CLIENT_CONFIG, "acks": "all", "linger.ms": 20})
    for topic, partition, value, headers, key in messages:
        producer.produce(
            topic, value, key, partition, lambda error, _: delivered.update([error is None]), headers=headers
        )
        producer.poll(0)
    assert producer.flush(60) == 0
    assert delivered == {True: len(messages)}


def raw(event: Event) -> Raw:
    message = encode(event)
    return message.topic, message.partition, message.value, list(message.headers), message.key


@contextmanager
def all_consumers() -> Iterator[threading.Event]:
    """Each lane of the four in a thread. What ends one ends all, and is raised at the end."""
    lanes = [consumer(name, lane=lane) for name, one in consumers.items() for lane in ["", *one.lanes]]
    with running(*lanes) as stop:
        yield stop


def wait_until_all_is_read(stop: threading.Event) -> None:
    ends = watermarks.end_offsets(
        [at for topic in topic_admin.declared_topics() for at in topic_admin.partitions_of(topic.name)]
    )

    def read() -> bool:
        rows = ConsumerOffset.objects.all()
        return stop.is_set() or all(row.next_offset >= ends[row.topic, row.partition] for row in rows)

    wait_until(read, SECONDS, interval=0.5)


def letters_due(messages: list[Raw]) -> Counter[str]:
    """Count the messages that each consumer reads."""
    topics = Counter(message[0] for message in messages)
    return Counter({name: sum(topics[t.name] for t in consumer.topics) for name, consumer in consumers.items()})


def attack(count: int, seed: int) -> tuple[Good, list[Raw]]:
    """Send `count` hostile messages among twice as many good ones.

    Returns those that must become dead letters.
    """
    chance, good = random.Random(seed), Good()
    produce([raw(event) for event in good.opening()])
    made = [hostile(chance) for _ in range(count)]
    friendly = [raw(good.one(chance, message[0])) for message, _ in made for _ in range(2)]
    everything = [*(message for message, _ in made), *friendly]
    chance.shuffle(everything)
    produce(everything)
    return good, [message for message, bad in made if bad]


@pytest.mark.usefixtures("from_the_topics_ends")
@pytest.mark.parametrize("count", [150, pytest.param(5_000, marks=[pytest.mark.chaos, pytest.mark.minutes(2)])])
def test_consumers_survive_hostile_messages(settings: Settings, client: Client, count: int) -> None:
    settings.REVISION_AUTOMATICA = True
    good, bad = attack(count, seed=20261123)
    with all_consumers() as stop:
        wait_until_all_is_read(stop)
    check_good(good)
    check_dead_letters(letters_due(bad))
    check_what_comes_after(good)
    check_pages(client)


def check_good(good: Good) -> None:
    assert Inscripcion.objects.filter(pk__in=good.forms).count() == len(good.forms)
    assert Maestro.objects.filter(inscripcion__in=good.forms).count() == len(good.forms)
    assert Venta.objects.filter(pk__in=good.sales).count() == len(good.sales)
    assert Cuenta.objects.filter(pk__in=good.maestros).count() == len(good.maestros)
    assert Carro.objects.filter(pk__in=good.maestros, abierto_en__isnull=False).count() == len(good.maestros)
    assert set(Aviso.objects.values_list("aviso_id", flat=True)) >= set(good.notices)


def check_dead_letters(due: Counter[str]) -> None:
    letters = list(DeadLetter.objects.all())
    print(f"{len(letters)} dead letters: {dict(Counter(letter.reason for letter in letters))}")
    assert all(letter.reason and letter.error for letter in letters)
    undecodable = Counter(letter.consumer for letter in letters if letter.reason != DeadLetter.Reason.HANDLER)
    assert {name: undecodable[name] >= number for name, number in due.items()} == dict.fromkeys(due, True), (
        due,
        undecodable,
    )
    told = Counter(
        (letter.event_type, letter.error) for letter in letters if letter.reason == DeadLetter.Reason.HANDLER
    )
    assert not told, told  # the event's class refuses what PostgreSQL cannot hold, before any handler


def check_what_comes_after(good: Good) -> None:
    """Demand that absurd but valid events break neither the sweep nor the accounts of the week."""
    now = timezone.now()
    stock_avisos.revisar(ahora=now)
    assert Semana.objects.count() < 10
    week = calendario.semana_de(now)
    assert reports.resumen(week).cantidad_ventas >= len(good.sales)
    assert sum(own.cantidad_ventas for own in reports.resumenes(week, good.maestros).values()) == len(good.sales)


def check_pages(client: Client) -> None:
    """Open each kind of dead letter in the admin, also in the form that corrects it."""
    client.force_login(Usuario.objects.create_superuser(username=str(uuid4())))
    kinds = {(letter.error, letter.event_type): letter.pk for letter in DeadLetter.objects.all()}
    biggest = DeadLetter.objects.order_by(Length("value").desc()).values_list("pk", flat=True)[:10]
    for pk in {*kinds.values(), *biggest}:
        for action in ("change", "correct_and_replay"):
            page = client.get(reverse(f"admin:kafka_bridge_deadletter_{action}", args=[pk]))
            assert page.status_code == 200, (action, DeadLetter.objects.get(pk=pk).error)
    assert client.get(reverse("admin:kafka_bridge_deadletter_changelist")).status_code == 200
