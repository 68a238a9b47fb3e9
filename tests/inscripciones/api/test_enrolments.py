"""Posting and following an enrolment, over the real broker."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, Message, TopicPartition
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework.test import APIClient

from inscripciones.api.serializers import FormularioSerializer
from inscripciones.events import INSCRIPCIONES, InscripcionRecibida
from inscripciones.models import Inscripcion, Usuario
from inscripciones.tramite import revision
from kafka_bridge.brokers import topic_admin
from kafka_bridge.events import codec
from tests.stack import wait_until
from tests.support.people import NOW, make_form, make_paid_form, make_rut, register

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("topic_exists")]
URL = "/api/v1/inscripciones/"
ROSA = {
    "nombre": "Rosa Ñáñez Peña",
    "rut": "12.345.678-5",
    "email": "rosa@example.cl",
    "telefono": "+56 9 8765 4321",
    "comuna": "Ñuñoa",
    "paid": True,
    "comprobante_pago": "TRX-000123",
}


@pytest.fixture(scope="module")
def topic_exists(kafka: str) -> None:
    topic_admin.create_topics([INSCRIPCIONES])


class TopicReader:
    """Reads `mamochi.inscripciones` from where it ended when the test began."""

    def __init__(self, kafka: str) -> None:
        self.consumer = Consumer({"bootstrap.servers": kafka, "group.id": str(uuid4()), "enable.auto.commit": False})
        partitions = [TopicPartition(INSCRIPCIONES.name, n) for n in range(INSCRIPCIONES.partitions)]
        self.consumer.assign([TopicPartition(p.topic, p.partition, self._end(p)) for p in partitions])

    def _end(self, partition: TopicPartition) -> int:
        return self.consumer.get_watermark_offsets(partition, timeout=10)[1]

    def read(self, count: int) -> list[tuple[int | None, InscripcionRecibida]]:
        """Return partition and event of the next messages; TimeoutError if there are fewer."""
        messages: list[Message] = []

        def enough() -> bool:
            messages.extend(self.consumer.consume(count - len(messages), 0.2))
            return len(messages) >= count

        wait_until(enough, timeout=20, what=f"{count} messages")
        return [(m.partition(), _event(m)) for m in messages]


def _event(message: Message) -> InscripcionRecibida:
    event = codec.decode(dict(message.headers() or ()), message.value())
    assert isinstance(event, InscripcionRecibida)
    return event


@pytest.fixture
def topic(kafka: str) -> Iterator[TopicReader]:
    reader = TopicReader(kafka)
    yield reader
    reader.consumer.close()


def test_an_accepted_form_is_in_kafka(api: APIClient, topic: TopicReader) -> None:
    answer = api.post(URL, ROSA, format="json")
    assert answer.status_code == 202
    datos = answer.json()
    assert datos == {
        "id": datos["id"],
        "estado": "recibida",
        "via": "paid",
        "url": f"http://testserver{URL}{datos['id']}/",
    }
    [(partition, event)] = topic.read(1)
    assert partition == 0
    assert (str(event.inscripcion_id), event.rut, event.telefono) == (datos["id"], "12345678-5", "+56987654321")
    assert event.key == datos["id"]


def test_only_paid_forms_use_the_priority_lane(api: APIClient, topic: TopicReader) -> None:
    for form in [make_form() if n % 3 else make_paid_form() for n in range(30)]:
        assert api.post(URL, form, format="json").status_code == 202
    assert {(partition == 0, event.paid) for partition, event in topic.read(30)} == {(True, True), (False, False)}


def test_the_same_form_again_is_the_same_event(api: APIClient, topic: TopicReader) -> None:
    otra = ROSA | {"rut": "12345678-5", "telefono": "987654321", "comuna": " nunoa", "email": "Rosa@Example.cl "}
    assert api.post(URL, ROSA, format="json").json() == api.post(URL, otra, format="json").json()
    (_, first), (_, second) = topic.read(2)
    assert first.id == second.id


def test_a_normal_form_needs_no_receipt(api: APIClient) -> None:
    form = {campo: valor for campo, valor in ROSA.items() if campo not in ("paid", "comprobante_pago")}
    assert api.post(URL, form, format="json").json()["via"] == "normal"


@pytest.mark.parametrize(
    ("campo", "valor", "razon"),
    [
        ("rut", "12.345.678-9", "El dígito verificador no corresponde a este RUT: revísalo."),
        ("rut", "hola", "No es un RUT: escríbelo como 12.345.678-5."),
        ("email", "rosa", "No es un correo: escríbelo como nombre@ejemplo.cl."),
        ("telefono", "+1 202 555 0100", "No es un teléfono de Chile"),
        ("comuna", "Macondo", "No es una comuna de Chile"),
        ("nombre", "", "Este campo no puede estar en blanco."),
        ("nombre", "<script>", "Un nombre no lleva «<»."),
        ("nombre", None, "Este campo no puede ser nulo."),
        ("nombre", "Rosa\ud800", "U+D800"),
        ("email", "rosa\x00@example.cl", "Los caracteres nulos no están permitidos."),
        ("comuna", "Ñuñoa\ud800", "U+D800"),
        ("rut", ["12.345.678-5"], "cadena"),
        ("paid", "quizás", "booleano"),
        ("comprobante_pago", "", "Si pagaste, escribe el código de tu comprobante."),
    ],
)
def test_a_mistake_is_named_at_its_field(api: APIClient, campo: str, valor: Any, razon: str) -> None:
    answer = api.post(URL, json.dumps(ROSA | {campo: valor}), content_type="application/json")
    assert (answer.status_code, list(answer.json())) == (400, [campo])
    assert razon in answer.json()[campo][0]


@pytest.mark.parametrize(
    ("campo", "pegado", "limpio"),
    [
        ("telefono", "\u202a+56 9 8765 4321\u202c", "+56987654321"),
        ("telefono", "9 8765\N{EN DASH}4321", "+56987654321"),
        ("nombre", "Bernardo O\N{ACUTE ACCENT}Higgins Riquelme", "Bernardo O'Higgins Riquelme"),
        ("nombre", "Bernardo O`Higgins\N{NO-BREAK SPACE}Riquelme\ufeff", "Bernardo O'Higgins Riquelme"),
        ("rut", "\u200e12.345.678\N{NON-BREAKING HYPHEN}5\u200b", "12345678-5"),
        ("email", "\u200b rosa@example.cl\N{NO-BREAK SPACE}", "rosa@example.cl"),
        ("email", "rosa@ñandu.cl", "rosa@xn--andu-fqa.cl"),
        ("email", "rosa@xn--andu-fqa.cl", "rosa@xn--andu-fqa.cl"),
        ("comuna", "N\u0303un\u0303oa\u200d", "Ñuñoa"),
        ("comprobante_pago", "TRX\N{EM DASH}000123\u2060", "TRX-000123"),
    ],
)
def test_a_pasted_text_is_cleaned_then_judged(campo: str, pegado: str, limpio: str) -> None:
    serializer = FormularioSerializer(data=ROSA | {campo: pegado})
    assert serializer.is_valid(), serializer.errors
    assert serializer.validated_data[campo] == limpio


def test_every_missing_field_is_named(api: APIClient) -> None:
    errores = api.post(URL, {}, format="json").json()
    assert sorted(errores) == ["comuna", "email", "nombre", "rut", "telefono"]
    assert {str(razon) for razones in errores.values() for razon in razones} == {"Este campo es requerido."}


def test_the_form_is_a_web_page_too(client: Client) -> None:
    page = client.get(URL, headers={"accept": "text/html"}).text
    assert all(campo in page for campo in ("Comprobante de pago", "Teléfono", "RUT"))


def test_a_new_id_is_followed_at_once(api: APIClient) -> None:
    datos = api.post(URL, ROSA, format="json").json()
    vacio = {"recibida_en": None, "resuelta_en": None, "motivo": None}
    assert api.get(datos["url"]).json() == {"id": datos["id"], "estado": "recibida", "via": "paid", **vacio}


def test_an_id_never_issued_is_not_found(api: APIClient, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(0):
        assert {api.get(f"{URL}{uuid4()}/").status_code for _ in range(10)} == {404}
    assert api.get(f"{URL}no-es-un-id/").status_code == 404


def test_following_shows_the_decision(api: APIClient, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    [fila] = register(make_form(rut=make_rut(76_000_001)))
    with django_assert_num_queries(1):
        datos = api.get(f"{URL}{fila.pk}/").json()
    assert (datos["estado"], datos["motivo"]) == ("rechazada", fila.motivo)
    assert datos["recibida_en"].startswith("2026-11-23T12:00:00")
    assert datos["resuelta_en"]


def test_a_taken_identity_looks_like_any_other(api: APIClient, settings: Settings) -> None:
    settings.REVISION_AUTOMATICA = False
    titular = make_form()
    filas = register(titular, make_form(rut=titular["rut"]), make_form())
    respuestas = [api.get(f"{URL}{fila.pk}/").json() for fila in filas]
    assert [r.pop("id") for r in respuestas] == [str(fila.pk) for fila in filas]
    assert respuestas[1] == respuestas[2]
    assert Inscripcion.objects.get(pk=filas[1].pk).estado == "repetida"
    assert api.post(URL, make_form(rut=titular["rut"]), format="json").json().keys() == {"id", "estado", "via", "url"}


def test_a_persons_forms_share_one_state(api: APIClient, settings: Settings, reviewer: Usuario) -> None:
    settings.REVISION_AUTOMATICA = False
    form = make_form()
    primera, pago = register(form, {**form, "paid": True, "comprobante_pago": "T-1"})
    revision.rechazar([primera.pk], por=reviewer, motivo="No vende mote.", ahora=NOW)
    for fila in (primera, pago):
        datos = api.get(f"{URL}{fila.pk}/").json()
        assert (datos["via"], datos["estado"], datos["motivo"]) == ("paid", "rechazada", "No vende mote.")
