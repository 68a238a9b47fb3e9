"""The API of a cart; a notice is in the real broker when 202 is answered."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from confluent_kafka import Consumer, TopicPartition
from django.contrib.auth import get_user_model
from django.utils import timezone
from rest_framework.test import APIClient

from kafka_bridge.consuming import progress
from kafka_bridge.consuming.progress import TopicEnds
from kafka_bridge.consuming.record import read
from kafka_bridge.events.event import Event
from kafka_bridge.exceptions import KafkaUnavailable
from stock import consumers, inventario
from stock.api import views
from stock.events import STOCK, StockAgotado
from stock.models import Aviso
from stock.names import TOPICO_DE_VENTAS
from tests.stock.carts import FULL, correction, medianos, notice, sale_of
from tests.support.sales import NOW, void_of

Queries = Callable[[int], AbstractContextManager[Any]]
SECONDS = 20.0


@pytest.fixture
def api(rosa: UUID) -> APIClient:
    """Return a client that is logged in as Rosa."""
    client = APIClient()
    client.force_authenticate(get_user_model().objects.create(username=str(rosa), maestro_id=rosa))
    return client


@pytest.fixture
def published(topics: None, kafka: str) -> Callable[[], list[Event | None]]:
    """Return a function that reads the events published to mamochi.stock since the test began."""
    ends = progress.end_offsets(STOCK.name)

    def read_new() -> list[Event | None]:
        consumer = Consumer({"bootstrap.servers": kafka, "group.id": str(uuid4()), "enable.auto.commit": False})
        wanted = {p: end for p, end in progress.end_offsets(STOCK.name).items() if end > ends[p]}
        consumer.assign([TopicPartition(STOCK.name, p, ends[p]) for p in wanted])
        count = sum(end - ends[p] for p, end in wanted.items())
        messages = consumer.consume(count, SECONDS) if count else []
        consumer.close()
        return [read(message).event for message in messages]

    return read_new


def test_stock_lists_each_ingredient(rosa: UUID, api: APIClient, django_assert_num_queries: Queries) -> None:
    with django_assert_num_queries(3):
        answer = api.get("/api/v1/stock/")
    assert answer.status_code == 200
    assert {line["insumo"]: line["cantidad"] for line in answer.json()} == FULL
    assert answer.json()[2] == {
        "insumo": "mote",
        "cantidad": 1_500,
        "capacidad": 1_500,
        "unidad": "g",
        "agotado": False,
        "se_agota_en": None,
    }


def test_stock_below_zero_is_shown_as_zero(rosa: UUID, api: APIClient) -> None:
    consumers.descontar_ventas([sale_of(rosa, mote=1_600)])
    [mote] = [line for line in api.get("/api/v1/stock/").json() if line["insumo"] == "mote"]
    assert (mote["cantidad"], mote["agotado"]) == (0, True)


def test_stock_says_when_it_runs_out(rosa: UUID, api: APIClient) -> None:
    now = timezone.now()
    consumers.descontar_ventas([sale_of(rosa, now - timedelta(minutes=n)) for n in (10, 5)])
    [vaso] = [line for line in api.get("/api/v1/stock/").json() if line["insumo"] == "vaso"]
    end = datetime.fromisoformat(vaso["se_agota_en"])
    assert abs(end - (now + timedelta(minutes=40))) < timedelta(seconds=30)  # 2 cups in 10 minutes, 8 left


def test_the_ledger_is_paged_newest_first(rosa: UUID, api: APIClient) -> None:
    sales = [sale_of(rosa, NOW + timedelta(seconds=n), vaso=1) for n in range(60)]
    consumers.descontar_ventas([*sales, sale_of(uuid4())])
    consumers.devolver_anuladas([void_of(sales[0])])
    inventario.corregir(correction(rosa, "vaso", 2), ahora=NOW + timedelta(hours=1))
    first = api.get("/api/v1/stock/movimientos/").json()
    assert first["results"][0] == {
        "insumo": "vaso",
        "tipo": "correccion",
        "cantidad": 2,
        "ocurrido_en": "2026-11-18T13:00:00-03:00",
        "referencia": None,
        "motivo": "se derramó",
    }
    lines, page = first["results"], first
    while page["next"]:
        page = api.get(page["next"]).json()
        lines += page["results"]
    assert len(lines) == 4 + 60 + 1 + 1
    assert sum(line["cantidad"] for line in lines if line["insumo"] == "vaso") == 10 - 60 + 1 + 2


def test_a_page_is_at_most_its_limit(rosa: UUID, api: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    consumers.descontar_ventas([sale_of(rosa, NOW + timedelta(seconds=n), vaso=1) for n in range(9)])
    monkeypatch.setattr(views.NewestFirst, "max_page_size", 5)
    assert len(api.get("/api/v1/stock/movimientos/?page_size=1000000").json()["results"]) == 5


def test_202_means_that_the_notice_is_in_kafka(
    rosa: UUID, api: APIClient, published: Callable[[], list[Event | None]]
) -> None:
    answer = api.post("/api/v1/stock/avisos/", {"insumos": ["vaso", "mote", "mote"]}, format="json")
    assert answer.status_code == 202
    assert list(answer.json()) == ["id"]
    [event] = published()
    assert isinstance(event, StockAgotado)
    assert (str(event.aviso_id), event.maestro_id) == (answer.json()["id"], rosa)
    assert (event.insumos, event.origen) == (["mote", "vaso"], "maestro")
    assert TopicEnds(event.ventas_topico, event.ventas_hasta or {}) == progress.topic_ends(TOPICO_DE_VENTAS)


def test_a_pasted_code_is_cleaned(api: APIClient, published: Callable[[], list[Event | None]]) -> None:
    answer = api.post("/api/v1/stock/avisos/", {"insumos": ["\u200bvaso", " mote\xa0"]}, format="json")
    assert answer.status_code == 202
    [event] = published()
    assert isinstance(event, StockAgotado)
    assert event.insumos == ["mote", "vaso"]


@pytest.mark.parametrize("body", [{}, {"insumos": []}, None])
def test_a_notice_without_names_is_accepted(
    api: APIClient, published: Callable[[], list[Event | None]], body: Any
) -> None:
    assert api.post("/api/v1/stock/avisos/", body, format="json").status_code == 202
    [event] = published()
    assert isinstance(event, StockAgotado)
    assert event.insumos == []


def test_a_notice_is_one_tap_in_the_page(api: APIClient, published: Callable[[], list[Event | None]]) -> None:
    page = api.get("/api/v1/stock/", headers={"Accept": "text/html"})
    assert 'name="insumos" value="huesillo"' in page.content.decode()
    answer = api.post("/api/v1/stock/avisos/", {}, format="multipart")  # its POST button
    assert answer.status_code == 202
    assert len(published()) == 1


def test_a_retried_notice_is_the_same_notice(api: APIClient, published: Callable[[], list[Event | None]]) -> None:
    answers = [
        api.post("/api/v1/stock/avisos/", {}, format="json", headers={"Idempotency-Key": key}).json() for key in "aab"
    ]
    assert answers[0] == answers[1] != answers[2]
    assert len({event.id for event in published() if event}) == 2


@pytest.mark.parametrize("insumos", [["azúcar"], "mote", {"mote": 1}, None, [{}]])
def test_anything_but_ingredients_is_refused(api: APIClient, insumos: Any) -> None:
    answer = api.post("/api/v1/stock/avisos/", {"insumos": insumos}, format="json")
    assert answer.status_code == 400
    assert list(answer.json()) == ["insumos"]


def test_an_unknown_ingredient_is_named_in_spanish(api: APIClient) -> None:
    answer = api.post("/api/v1/stock/avisos/", {"insumos": ["azúcar"]}, format="json")
    assert answer.json() == {"insumos": ["No hay un insumo «azúcar»."]}


def test_a_notice_is_accepted_without_the_sales_end(
    api: APIClient, published: Callable[[], list[Event | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(_topic: str, timeout: float) -> TopicEnds:
        raise KafkaUnavailable("no broker answers")

    with monkeypatch.context() as patch:
        patch.setattr(progress, "topic_ends", unreachable)
        assert api.post("/api/v1/stock/avisos/", {}, format="json").status_code == 202
    [event] = published()
    assert isinstance(event, StockAgotado)
    assert event.ventas_hasta is None


def test_a_maestro_follows_a_notice(rosa: UUID, api: APIClient) -> None:
    consumers.descontar_ventas(medianos(rosa, 10))
    own = notice(rosa)
    consumers.reponer_carros([own])
    lines = api.get("/api/v1/stock/avisos/").json()["results"]
    assert {(line["origen"], line["estado"]) for line in lines} == {("maestro", "atendido"), ("automatico", "atendido")}
    assert str(own.aviso_id) in {line["id"] for line in lines}
    assert Aviso.objects.count() == len(lines) == 5


@pytest.mark.parametrize("path", ["stock/", "stock/movimientos/", "stock/avisos/"])
def test_a_token_is_required(db: None, path: str) -> None:
    assert APIClient().get(f"/api/v1/{path}").status_code == 401


def test_a_cart_is_private_to_its_maestro(rosa: UUID) -> None:
    consumers.descontar_ventas(medianos(rosa, 10))
    client, other = APIClient(), uuid4()
    client.force_authenticate(get_user_model().objects.create(username=str(other), maestro_id=other))
    assert client.get("/api/v1/stock/movimientos/").json()["results"] == []
    assert client.get("/api/v1/stock/avisos/").json()["results"] == []
