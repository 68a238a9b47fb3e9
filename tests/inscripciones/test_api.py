"""The API over the real broker: the form, following it, tokens, the login page."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from confluent_kafka import Consumer, Message, TopicPartition
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework.test import APIClient

from inscripciones import credenciales, recepcion, revision
from inscripciones.events import INSCRIPCIONES, InscripcionRecibida
from inscripciones.models import Inscripcion, Usuario
from kafka_bridge.brokers import topic_admin
from kafka_bridge.events import codec
from tests.stack import wait_until
from tests.support.people import AHORA, evento, formulario, pagado, un_rut

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("topico")]
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
def topico(kafka: str) -> None:
    topic_admin.create_topics([INSCRIPCIONES])


@pytest.fixture
def api() -> APIClient:
    return APIClient()


@pytest.fixture
def maestro() -> Usuario:
    [fila] = recepcion.registrar([evento()], ahora=AHORA)
    return Usuario.objects.get(maestro__inscripcion=fila)


def token_de(usuario: Usuario) -> str:
    return credenciales.emitir(usuario)


def con(token: str) -> APIClient:
    cliente = APIClient()
    cliente.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return cliente


class Topico:
    """Reads `mamochi.inscripciones` from where it ended when the test began."""

    def __init__(self, kafka: str) -> None:
        self.consumer = Consumer({"bootstrap.servers": kafka, "group.id": str(uuid4()), "enable.auto.commit": False})
        partitions = [TopicPartition(INSCRIPCIONES.name, n) for n in range(INSCRIPCIONES.partitions)]
        self.consumer.assign([TopicPartition(p.topic, p.partition, self._end(p)) for p in partitions])

    def _end(self, partition: TopicPartition) -> int:
        return self.consumer.get_watermark_offsets(partition, timeout=10)[1]

    def leer(self, cuantos: int) -> list[tuple[int | None, InscripcionRecibida]]:
        """Partition and event of the next messages; TimeoutError where there are fewer."""
        messages: list[Message] = []

        def suficientes() -> bool:
            messages.extend(self.consumer.consume(cuantos - len(messages), 0.2))
            return len(messages) >= cuantos

        wait_until(suficientes, timeout=20, what=f"{cuantos} messages")
        return [(m.partition(), _event(m)) for m in messages]


def _event(message: Message) -> InscripcionRecibida:
    event = codec.decode(dict(message.headers() or ()), message.value())
    assert isinstance(event, InscripcionRecibida)
    return event


@pytest.fixture
def topic(kafka: str) -> Iterator[Topico]:
    topico = Topico(kafka)
    yield topico
    topico.consumer.close()


# The form


def test_a_form_is_accepted_and_its_message_is_in_kafka(api: APIClient, topic: Topico) -> None:
    answer = api.post(URL, ROSA, format="json")
    assert answer.status_code == 202
    datos = answer.json()
    assert datos == {
        "id": datos["id"],
        "estado": "recibida",
        "via": "paid",
        "url": f"http://testserver{URL}{datos['id']}/",
    }
    [(partition, event)] = topic.leer(1)
    assert partition == 0
    assert (str(event.inscripcion_id), event.rut, event.telefono) == (datos["id"], "12345678-5", "+56987654321")
    assert event.key == datos["id"]


def test_only_paid_forms_travel_on_the_priority_partition(api: APIClient, topic: Topico) -> None:
    for form in [formulario() if n % 3 else pagado() for n in range(30)]:
        assert api.post(URL, form, format="json").status_code == 202
    assert {(partition == 0, event.paid) for partition, event in topic.leer(30)} == {(True, True), (False, False)}


def test_the_same_form_again_is_the_same_event_whatever_its_punctuation(api: APIClient, topic: Topico) -> None:
    otra = ROSA | {"rut": "12345678-5", "telefono": "987654321", "comuna": " nunoa", "email": "Rosa@Example.cl "}
    assert api.post(URL, ROSA, format="json").json() == api.post(URL, otra, format="json").json()
    (_, uno), (_, otro) = topic.leer(2)
    assert uno.id == otro.id


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
def test_a_mistake_is_told_at_its_field_in_spanish(api: APIClient, campo: str, valor: Any, razon: str) -> None:
    answer = api.post(URL, json.dumps(ROSA | {campo: valor}), content_type="application/json")
    assert (answer.status_code, list(answer.json())) == (400, [campo])
    assert razon in answer.json()[campo][0]


def test_every_missing_field_is_named(api: APIClient) -> None:
    errores = api.post(URL, {}, format="json").json()
    assert sorted(errores) == ["comuna", "email", "nombre", "rut", "telefono"]
    assert {str(razon) for razones in errores.values() for razon in razones} == {"Este campo es requerido."}


def test_too_many_forms_from_one_address_are_refused_for_a_while(api: APIClient, settings: Settings) -> None:
    settings.LIMITE_INSCRIPCIONES = "3/hour"
    forms = [api.post(URL, {}, format="json", HTTP_X_FORWARDED_FOR=f"10.0.0.{n}") for n in range(4)]
    assert [answer.status_code for answer in forms] == [400, 400, 400, 429]
    assert 0 < int(forms[-1]["Retry-After"]) <= 3600
    assert api.post(URL, {}, format="json", REMOTE_ADDR="10.9.9.9").status_code == 400


def test_whoever_has_an_ipv6_network_is_one_client(api: APIClient, settings: Settings) -> None:
    settings.LIMITE_INSCRIPCIONES = "2/hour"

    def desde(direccion: str) -> int:
        return api.post(URL, {}, format="json", REMOTE_ADDR=direccion).status_code

    assert [desde(f"2001:db8:0:1:{n}::{n}") for n in range(3)] == [400, 400, 429]
    assert desde("2001:db8:0:2::1") == 400
    assert [desde(a) for a in ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.1", "unknown")] == [400, 400, 429, 400]


def test_a_limit_counts_in_a_shared_cache_and_is_off_while_that_is_down(api: APIClient, settings: Settings) -> None:
    settings.LIMITE_INSCRIPCIONES = "1/hour"
    valkey = settings.CELERY_BROKER_URL
    for location, last in ((valkey, 429), ("redis://127.0.0.1:1/0", 400)):
        settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": location}}
        assert [api.post(URL, {}, format="json").status_code for _ in range(2)] == [400, last]


def test_without_a_limit_nobody_waits(api: APIClient, settings: Settings) -> None:
    settings.LIMITE_INSCRIPCIONES = ""
    assert {api.post(URL, {}, format="json").status_code for _ in range(100)} == {400}


# Following it


def test_following_is_right_before_any_consumer_has_seen_the_form(api: APIClient) -> None:
    datos = api.post(URL, ROSA, format="json").json()
    vacio = {"recibida_en": None, "resuelta_en": None, "motivo": None}
    assert api.get(datos["url"]).json() == {"id": datos["id"], "estado": "recibida", "via": "paid", **vacio}


def test_an_id_that_was_never_issued_is_not_found(
    api: APIClient, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(0):
        assert {api.get(f"{URL}{uuid4()}/").status_code for _ in range(10)} == {404}
    assert api.get(f"{URL}no-es-un-id/").status_code == 404


def test_following_after_the_decision(api: APIClient, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    [fila] = recepcion.registrar([evento(formulario(rut=un_rut(76_000_001)))], ahora=timezone.now())
    with django_assert_num_queries(1):
        datos = api.get(f"{URL}{fila.pk}/").json()
    assert (datos["estado"], datos["motivo"]) == ("rechazada", fila.motivo)
    assert datos["recibida_en"].startswith("2026-11-23T12:00:00")
    assert datos["resuelta_en"]


def test_a_taken_identity_looks_to_a_stranger_like_any_that_waits(api: APIClient, settings: Settings) -> None:
    settings.REVISION_AUTOMATICA = False
    titular = formulario()
    filas = recepcion.registrar(
        [evento(f) for f in (titular, formulario(rut=titular["rut"]), formulario())], ahora=AHORA
    )
    respuestas = [api.get(f"{URL}{fila.pk}/").json() for fila in filas]
    assert [r.pop("id") for r in respuestas] == [str(fila.pk) for fila in filas]
    assert respuestas[1] == respuestas[2]
    assert Inscripcion.objects.get(pk=filas[1].pk).estado == "repetida"
    assert api.post(URL, formulario(rut=titular["rut"]), format="json").json().keys() == {"id", "estado", "via", "url"}


def test_a_persons_forms_share_their_fate(api: APIClient, settings: Settings) -> None:
    settings.REVISION_AUTOMATICA = False
    form = formulario()
    primera, pago = recepcion.registrar(
        [evento(form), evento({**form, "paid": True, "comprobante_pago": "T-1"})], ahora=AHORA
    )
    revision.rechazar([primera.pk], por=Usuario.objects.create_user("revisora"), motivo="No vende mote.", ahora=AHORA)
    for fila in (primera, pago):
        datos = api.get(f"{URL}{fila.pk}/").json()
        assert (datos["via"], datos["estado"], datos["motivo"]) == ("paid", "rechazada", "No vende mote.")


# Tokens


def test_a_token_is_needed_and_a_wrong_one_is_401(api: APIClient) -> None:
    assert api.get("/api/v1/tokens/").status_code == 401
    assert con("mmc_" + "0" * 64).get("/api/v1/tokens/").status_code == 401


def test_a_maestro_rotates_the_token_and_the_old_one_is_void(maestro: Usuario) -> None:
    viejo = con(token_de(maestro))
    answer = viejo.post("/api/v1/tokens/rotar/")
    assert answer.status_code == 201
    nuevo = con(answer.json()["token"])
    assert (viejo.get("/api/v1/tokens/").status_code, nuevo.get("/api/v1/tokens/").status_code) == (401, 200)


def test_a_maestro_sees_and_revokes_only_their_own(maestro: Usuario) -> None:
    [otra] = recepcion.registrar([evento()], ahora=AHORA)
    ajeno = token_de(Usuario.objects.get(maestro__inscripcion=otra))
    token = token_de(maestro)
    [visible] = con(token).get("/api/v1/tokens/").json()
    assert visible["clave"] == token[:15]
    assert con(token).delete("/api/v1/tokens/").status_code == 204
    assert (con(token).get("/api/v1/tokens/").status_code, con(ajeno).get("/api/v1/tokens/").status_code) == (401, 200)


def test_someone_who_left_the_guild_has_no_use_of_the_token(maestro: Usuario) -> None:
    token = token_de(maestro)
    Usuario.objects.filter(pk=maestro.pk).update(is_active=False)
    assert con(token).get("/api/v1/tokens/").status_code == 401


def test_a_token_ends_after_a_year(maestro: Usuario) -> None:
    token = con(token_de(maestro))
    almost, over = (timezone.now() + timedelta(days=365, minutes=minutes) for minutes in (-1, 1))
    for moment, status in ((almost, 200), (over, 401)):
        with time_machine.travel(moment):
            assert token.get("/api/v1/tokens/").status_code == status


# The login page


def entrar(cliente: Client, token: str, **datos: str) -> Any:
    return cliente.post("/api/v1/entrar/", {"token": token, **datos})


def test_pasting_the_token_opens_a_session_that_does_not_keep_it(client: Client, maestro: Usuario) -> None:
    token = token_de(maestro)
    answer = entrar(client, f" {token} ", next="/api/v1/tokens/")
    assert (answer.status_code, answer["Location"]) == (302, "/api/v1/tokens/")
    assert client.get("/api/v1/tokens/").json()[0]["clave"] == token[:15]
    assert token[15:] not in json.dumps(dict(client.session.items()))


@pytest.mark.parametrize("token", ["", "mmc_0", "mmc_" + "f" * 64, "ñandú", "x" * 300])
def test_a_wrong_token_is_told_so_and_not_shown_again(client: Client, token: str) -> None:
    answer = entrar(client, token)
    assert answer.status_code == 200
    assert 'role="alert"' in answer.text
    assert not token or token not in answer.text
    assert client.get("/api/v1/tokens/").status_code == 401


def test_another_site_cannot_log_someone_in_nor_lead_them_away(maestro: Usuario) -> None:
    estricto = Client(enforce_csrf_checks=True)
    assert entrar(estricto, token_de(maestro)).status_code == 403
    assert entrar(Client(), token_de(maestro), next="https://evil.example/")["Location"] == "/api/v1/"


def test_guessing_tokens_is_limited_per_address(client: Client, settings: Settings, maestro: Usuario) -> None:
    settings.LIMITE_ENTRADAS = "2/min"
    assert [entrar(client, "mmc_no").status_code for _ in range(3)] == [200, 200, 429]
    answer = entrar(client, token_de(maestro))
    assert (answer.status_code, int(answer["Retry-After"]) <= 61) == (429, True)


@pytest.mark.parametrize("verbo", ["rotar", "revocar"])
def test_a_new_or_revoked_token_ends_the_sessions_opened_with_it(client: Client, maestro: Usuario, verbo: str) -> None:
    token = token_de(maestro)
    entrar(client, token)
    assert client.get("/api/v1/tokens/").status_code == 200
    con(token).post("/api/v1/tokens/rotar/") if verbo == "rotar" else con(token).delete("/api/v1/tokens/")
    assert client.get("/api/v1/tokens/").status_code == 401


def test_rotating_from_a_session_keeps_that_session(client: Client, maestro: Usuario) -> None:
    entrar(client, token_de(maestro))
    token = client.post("/api/v1/tokens/rotar/").json()["token"]
    assert client.get("/api/v1/tokens/").json()[0]["clave"] == token[:15]


def test_the_browsable_api_leads_in_and_out_in_spanish(client: Client, maestro: Usuario) -> None:
    assert "/api/v1/entrar/?next=/api/v1/tokens/" in client.get("/api/v1/tokens/", headers={"accept": "text/html"}).text
    entrar(client, token_de(maestro))
    page = client.get("/api/v1/tokens/", headers={"accept": "text/html"}).text
    assert ("Salir" in page, "Rosa Ñáñez Peña" in page) == (True, True)
    assert client.post("/api/v1/salir/").status_code == 302
    assert client.get("/api/v1/tokens/").status_code == 401


def test_a_maestro_changes_the_token_with_one_tap(maestro: Usuario) -> None:
    navegador = Client(enforce_csrf_checks=True)
    viejo = token_de(maestro)
    navegador.get("/api/v1/entrar/")
    entrar(navegador, viejo, csrfmiddlewaretoken=navegador.cookies["csrftoken"].value)
    page = navegador.get("/api/v1/tokens/", headers={"accept": "text/html"}).text
    [(url, csrf)] = re.findall(
        r'<form method="post" action="([^"]+)"><input type="hidden" name="csrfmiddlewaretoken" value="([^"]+)">'
        r'<button class="btn btn-primary">Cambiar mi token',
        page,
    )
    answer = navegador.post(url, {"csrfmiddlewaretoken": csrf}, headers={"accept": "text/html"})
    assert answer.status_code == 201
    [nuevo] = set(re.findall(r"mmc_[0-9a-f]{64}", answer.text))
    assert [con(token).get("/api/v1/tokens/").status_code for token in (viejo, nuevo)] == [401, 200]


def test_the_form_is_a_page_too(client: Client) -> None:
    page = client.get(URL, headers={"accept": "text/html"}).text
    assert all(campo in page for campo in ("Comprobante de pago", "Teléfono", "RUT"))


def test_the_front_page_leads_everywhere(api: APIClient) -> None:
    rutas = api.get("/api/v1/").json()
    assert rutas["inscripciones"] == f"http://testserver{URL}"
    assert {
        con("x").get(url).status_code for nombre, url in rutas.items() if nombre not in ("esquema", "documentacion")
    } <= {200, 401}
