"""The same id or Idempotency-Key: the same content is the same sale, other content is refused."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connections
from django.utils import timezone
from rest_framework.test import APIClient

from deploy.embedded.waiting import wait_until
from kafka_bridge.exceptions import Unavailable
from kafka_bridge.models import Claim
from kafka_bridge.publishing.producer import process_producer
from tests.support.consumers import consumer, running
from tests.support.sales import enter, sale, void_of
from tests.ventas.api.requests import VALID, VENTAS, post
from ventas.api import aceptacion
from ventas.catalogo import memoria
from ventas.models import Producto, Venta

SECONDS = 30.0
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("topics")]
OTHER: dict[str, Any] = {"producto": "grande", "cantidad": 9}


def test_other_content_under_an_id_is_refused(api: APIClient) -> None:
    id_ = str(uuid4())
    first = post(api, {**VALID, "id": id_})
    assert (first.status_code, first.json()) == (202, {"id": id_})
    second = post(api, {**OTHER, "id": id_})  # at once: the first is in Kafka, and not yet a row
    assert second.status_code == 422
    assert sorted(second.json()) == ["cantidad", "detail", "producto"]
    assert second.json()["cantidad"] == ["Antes llegó 1; ahora, 9."]
    assert post(api, {**VALID, "id": id_.upper(), "vendida_en": None, "cantidad": "1"}).json() == {"id": id_}


def test_other_content_under_a_key_is_refused(api: APIClient) -> None:
    key = {"Idempotency-Key": "k"}
    first = post(api, VALID, **key)
    assert first.status_code == 202
    assert post(api, OTHER, **key).status_code == 422
    assert post(api, VALID, **key).json() == first.json()
    assert post(api, OTHER, **{"Idempotency-Key": "k2"}).status_code == 202
    assert api.post("/api/v1/stock/avisos/", {}, format="json", headers=key).status_code == 202


def test_a_moment_in_another_zone_is_the_same(api: APIClient) -> None:
    moment = timezone.now().replace(microsecond=0) - timedelta(hours=1)
    body = {**VALID, "id": str(uuid4()), "vendida_en": moment.isoformat()}
    assert post(api, body).status_code == 202
    chilean = moment.astimezone(timezone.get_default_timezone())
    assert post(api, {**body, "vendida_en": chilean.isoformat()}).status_code == 202
    assert post(api, {**body, "vendida_en": chilean.replace(tzinfo=None).isoformat()}).status_code == 202
    later = post(api, {**body, "vendida_en": (moment + timedelta(seconds=1)).isoformat()})
    assert (later.status_code, sorted(later.json())) == (422, ["detail", "vendida_en"])


def test_the_key_of_another_maestro_is_independent(api: APIClient, django_user_model: Any) -> None:
    other, own_id = APIClient(), uuid4()
    other.force_authenticate(django_user_model.objects.create_user(username=str(own_id), maestro_id=own_id))
    assert post(api, VALID, **{"Idempotency-Key": "k"}).status_code == 202
    assert post(other, OTHER, **{"Idempotency-Key": "k"}).status_code == 202


def test_a_conflict_in_a_list_is_at_its_index(api: APIClient, maestro_id: UUID) -> None:
    taken, free = str(uuid4()), str(uuid4())
    post(api, {**VALID, "id": taken})
    refused = post(api, [{**VALID, "id": free}, {**OTHER, "id": taken}])
    assert refused.status_code == 422
    assert [error["indice"] for error in refused.json()["errores"]] == [1]
    # The list was refused as a whole, so the other sale of it may still be corrected.
    assert post(api, [{**OTHER, "id": free}, {**VALID, "id": taken}]).status_code == 202
    assert post(api, [{**VALID, "id": free}]).status_code == 422


def test_a_list_with_a_key_is_compared_by_index(api: APIClient) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    first = post(api, [VALID, OTHER], **key)
    assert post(api, [VALID, OTHER], **key).json() == first.json()
    assert [error["indice"] for error in post(api, [VALID, VALID], **key).json()["errores"]] == [1]


@pytest.mark.parametrize(
    ("first", "second"),
    [([VALID], [VALID, OTHER]), (VALID, [VALID, OTHER]), ([VALID, OTHER], [VALID]), ([VALID, OTHER], VALID)],
)
def test_a_longer_list_is_another_request(api: APIClient, first: Any, second: Any) -> None:
    """Otherwise the sale that both begin with would count once, although it was sold twice."""
    key = {"Idempotency-Key": str(uuid4())}
    accepted = post(api, first, **key)
    refused = post(api, second, **key)
    assert refused.status_code == 422
    [error] = refused.json().get("errores", [refused.json()])
    assert "ventas" in error
    assert post(api, first, **key).json() == accepted.json()


def test_an_id_twice_in_a_list_is_refused(api: APIClient) -> None:
    id_ = str(uuid4())
    refused = post(api, [{**VALID, "id": id_}, {**OTHER, "id": id_}])
    assert refused.status_code == 400
    assert [(error["indice"], list(error)[1:]) for error in refused.json()["errores"]] == [(1, ["id"])]


def test_a_change_of_the_catalogue_is_no_conflict(api: APIClient) -> None:
    body = {**VALID, "id": str(uuid4())}
    post(api, body)
    for change in ({"precio": 9_990}, {"activo": False}):
        Producto.objects.filter(pk="mediano").update(**change)
        memoria.olvidar()
        assert post(api, body).status_code == 202
    assert post(api, {**VALID, "id": str(uuid4())}).status_code == 400


def test_a_sale_older_than_its_claim_is_compared(api: APIClient, maestro_id: UUID) -> None:
    """The claim was deleted after its time, or lost in a restore; the ledger still has the sale."""
    now = timezone.now()
    without_moment, with_moment = (
        sale(maestro_id, time=now, vendida_en=now),
        sale(maestro_id, vendida_en=now - timedelta(days=1), time=now),
    )
    enter(without_moment, with_moment)
    assert post(api, {**VALID, "id": str(without_moment.venta_id)}).status_code == 202
    again = {**VALID, "id": str(with_moment.venta_id), "vendida_en": with_moment.vendida_en.isoformat()}
    assert post(api, again).status_code == 202
    Claim.objects.all().delete()
    assert post(api, {**again, "cantidad": 2}).status_code == 422
    assert post(api, {**VALID, "id": str(with_moment.venta_id)}).status_code == 422


def test_a_void_with_another_reason_is_refused(api: APIClient, maestro_id: UUID) -> None:
    enter(mistake := sale(maestro_id), earlier := sale(maestro_id))
    enter(void_of(earlier))
    url = f"{VENTAS}{mistake.venta_id}/anular/"
    answers = [api.post(url, {"motivo": text}, format="json") for text in ("la registré mal", "la registré mal", "no")]
    assert [answer.status_code for answer in answers] == [202, 202, 422]
    assert sorted(answers[2].json()) == ["detail", "motivo"]
    # Voided before claims were kept: the ledger has the reason.
    other = api.post(f"{VENTAS}{earlier.venta_id}/anular/", {"motivo": "otro"}, format="json")
    assert other.status_code == 422


def test_after_a_503_only_the_same_content_is_taken(api: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first attempt may be in Kafka nevertheless, so other content needs another id."""

    def neither(*_: object) -> None:
        raise Unavailable

    body = {**VALID, "id": str(uuid4())}
    with monkeypatch.context() as patch:
        patch.setattr(aceptacion, "publish", neither)
        assert post(api, body).status_code == 503
    assert post(api, {**OTHER, "id": body["id"]}).status_code == 422
    assert post(api, body).status_code == 202


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_of_many_contents_at_once_one_is_accepted(api: APIClient, maestro_id: UUID) -> None:
    """Every accepted answer speaks of the sale that is counted, from whichever process it comes."""
    process_producer()
    key, user = {"Idempotency-Key": str(uuid4())}, vars(api.handler)["_force_user"]

    def send(cantidad: int) -> int:
        client = APIClient()
        client.force_authenticate(user)
        try:
            return int(post(client, {"producto": "mediano", "cantidad": cantidad}, **key).status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        sent = [1 + n % 4 for n in range(24)]
        answers = list(zip(sent, pool.map(send, sent), strict=True))
    accepted = {cantidad for cantidad, status in answers if status == 202}
    assert len(accepted) == 1
    assert {status for cantidad, status in answers if cantidad not in accepted} == {422}
    with running(consumer("contabilidad", own_group=True)):
        wait_until(lambda: Venta.objects.filter(maestro_id=maestro_id).exists(), SECONDS)
    assert {row.cantidad for row in Venta.objects.filter(maestro_id=maestro_id)} == accepted


def test_a_sale_without_an_id_costs_no_query(api: APIClient, django_assert_num_queries: Any) -> None:
    post(api, VALID)
    with django_assert_num_queries(0):
        post(api, VALID)
    with django_assert_num_queries(1):
        post(api, VALID, **{"Idempotency-Key": str(uuid4())})


def test_a_form_leads_to_a_page_that_can_be_reloaded(api: APIClient) -> None:
    form = {**VALID, "Idempotency-Key": str(uuid4())}
    for _ in range(2):
        answer = api.post(VENTAS, form, headers={"Accept": "text/html"})
        assert (answer.status_code, answer["Location"]) == (303, VENTAS)
    assert Claim.objects.count() == 1
