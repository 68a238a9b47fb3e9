"""A sale counts as the catalogue was when it was sold; a list tells good sales from bad ones."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from kafka_bridge.models import OutboxMessage
from kafka_bridge.publishing import producer
from tests.ventas.api.requests import VALID, VENTAS, post
from ventas.catalogo import memoria
from ventas.events import VentaRegistrada
from ventas.models import CambioDeCatalogo, Insumo, Producto, Receta

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("topics")]
Accepted = list[VentaRegistrada]
HOUR = timedelta(hours=1)


@pytest.fixture
def accepted(monkeypatch: pytest.MonkeyPatch) -> Accepted:
    """Return the events that the API publishes, as they are published; the list grows."""
    events: Accepted = []
    encode: Any = vars(producer)["encode"]

    def noting(event: Any) -> Any:
        events.append(event)
        return encode(event)

    monkeypatch.setattr(producer, "encode", noting)
    return events


def sold(moment: datetime, producto: str = "mediano") -> dict[str, Any]:
    return {"producto": producto, "cantidad": 1, "vendida_en": moment.isoformat()}


def changed(moment: datetime, **fields: Any) -> None:
    """Change `mediano` as if staff had done it at `moment`."""
    producto = Producto.objects.get(pk="mediano")
    for name, value in fields.items():
        setattr(producto, name, value)
    producto.save()
    CambioDeCatalogo.objects.filter(pk=CambioDeCatalogo.objects.latest("id").pk).update(desde=moment)
    memoria.olvidar()


def test_a_late_sale_has_the_price_of_its_moment(api: APIClient, admin_client: Client, accepted: Accepted) -> None:
    receta = list(Receta.objects.filter(producto="mediano"))
    form = {
        "nombre": "Mediano",
        "precio": "2500",
        "activo": "on",
        "receta-TOTAL_FORMS": str(len(receta)),
        "receta-INITIAL_FORMS": str(len(receta)),
        **{f"receta-{n}-id": str(linea.pk) for n, linea in enumerate(receta)},
        **{f"receta-{n}-producto": "mediano" for n in range(len(receta))},
        **{f"receta-{n}-insumo": linea.insumo_id for n, linea in enumerate(receta)},
        **{f"receta-{n}-cantidad": "7" for n in range(len(receta))},
    }
    page = reverse("admin:ventas_producto_change", args=["mediano"])
    assert admin_client.post(page, form).status_code == 302
    memoria.olvidar()
    now = timezone.now()
    assert post(api, sold(now - timedelta(days=1))).status_code == 202
    assert post(api, sold(now)).status_code == 202
    assert post(api, VALID).status_code == 202
    assert [event.precio_unitario for event in accepted] == [2_000, 2_500, 2_500]
    assert [event.insumos["mote"] for event in accepted] == [150, 7, 7]
    assert [event.costo_unitario for event in accepted] == [610, 1_132, 1_132]
    # The product and its recipe are one change, which staff can read.
    assert CambioDeCatalogo.objects.filter(producto="mediano").count() == 2
    listed = admin_client.get(reverse("admin:ventas_cambiodecatalogo_changelist"))
    assert "$2.500" in listed.content.decode()


def test_an_earlier_cost_counts_as_it_was(api: APIClient, accepted: Accepted) -> None:
    vaso = Insumo.objects.get(pk="vaso")
    vaso.costo = 140
    vaso.save()
    memoria.olvidar()
    post(api, [sold(timezone.now() - HOUR), sold(timezone.now())])
    assert [event.costo_unitario for event in accepted] == [610, 710]


def test_each_change_counts_from_its_moment(api: APIClient, accepted: Accepted) -> None:
    now = timezone.now().replace(microsecond=0)
    second = now - HOUR
    changed(second, precio=2_200)
    changed(second + timedelta(milliseconds=400), precio=2_300)
    changed(second + timedelta(milliseconds=400), precio=2_400)  # at the same moment: the last one counts
    moments = [second - timedelta(microseconds=1), second, second + timedelta(seconds=1), now]
    assert post(api, [sold(moment) for moment in moments]).status_code == 202
    assert [event.precio_unitario for event in accepted] == [2_000, 2_200, 2_400, 2_400]


def test_what_was_on_sale_is_accepted(api: APIClient, accepted: Accepted) -> None:
    now = timezone.now()
    changed(now - HOUR, activo=False)
    yesterday = [sold(now - timedelta(days=1), codigo) for codigo in ("chico", "mediano", "grande")]
    assert post(api, yesterday).status_code == 202
    assert len(accepted) == 3
    assert "mediano" not in api.get(VENTAS, headers={"Accept": "text/html"}).content.decode()
    refused = post(api, sold(now))
    assert refused.status_code == 400
    assert refused.json()["producto"] == ["No está en el catálogo de lo que se vendía en ese momento: chico, grande."]
    assert post(api, VALID).json()["producto"] == ["No está en el catálogo de lo que se vendía ahora: chico, grande."]


def test_a_phone_may_differ_by_minutes_from_a_change(api: APIClient, accepted: Accepted) -> None:
    now = timezone.now()
    changed(now - HOUR, activo=False)
    changed(now - HOUR / 2, activo=True, precio=2_800)
    near = timedelta(minutes=4)
    assert post(api, [sold(now - HOUR + near), sold(now - HOUR / 2 - near)]).status_code == 202
    assert [event.precio_unitario for event in accepted] == [2_000, 2_800]
    assert post(api, sold(now - HOUR * 3 / 4)).status_code == 400


@pytest.mark.parametrize(
    "delete", [Producto.delete, lambda one: Producto.objects.filter(pk=one.pk)._raw_delete("default")]
)
def test_a_deleted_product_was_on_sale(api: APIClient, accepted: Accepted, delete: Callable[[Producto], Any]) -> None:
    Receta.objects.filter(producto="chico").delete()
    chico = Producto.objects.get(pk="chico")
    before = timezone.now()
    delete(chico)
    memoria.olvidar()
    assert post(api, sold(before - HOUR, "chico")).status_code == 202
    assert accepted[0].precio_unitario == 1_500
    assert post(api, {**VALID, "producto": "chico"}).status_code == 400


def test_a_change_without_a_signal_is_written_down(api: APIClient, accepted: Accepted) -> None:
    Producto.objects.filter(pk="mediano").update(precio=2_600)
    memoria.olvidar()
    assert post(api, [VALID, sold(timezone.now() - HOUR)]).status_code == 202
    assert [event.precio_unitario for event in accepted] == [2_600, 2_000]
    assert list(CambioDeCatalogo.objects.filter(producto="mediano").values_list("precio", flat=True)) == [2_600, 2_000]


@pytest.mark.parametrize("wrong_by", [timedelta(days=1), -timedelta(days=1)], ids=["ahead", "behind"])
def test_change_is_dated_by_the_databases_clock(api: APIClient, accepted: Accepted, wrong_by: timedelta) -> None:
    """The web machine's clock was wrong while staff changed a price, and is right again."""
    now = timezone.now()
    with time_machine.travel(now + wrong_by):
        mediano = Producto.objects.get(pk="mediano")
        mediano.precio = 2_200
        mediano.save()
    memoria.olvidar()
    for moment in (now - HOUR, timezone.now() + timedelta(minutes=4)):
        assert post(api, sold(moment)).status_code == 202
    assert [event.precio_unitario for event in accepted] == [2_000, 2_200]


@pytest.mark.parametrize("text", ["2026-11-23", "20261123", "2026-W48-1"])
def test_a_date_alone_is_no_moment(api: APIClient, text: str) -> None:
    refused = post(api, {**VALID, "vendida_en": text})
    assert refused.status_code == 400
    assert "fecha y hora" in refused.json()["vendida_en"][0]


def test_a_phone_that_is_ahead_is_told_what_to_do(api: APIClient) -> None:
    [text] = post(api, sold(timezone.now() + timedelta(minutes=6, seconds=5))).json()["vendida_en"]
    assert "6 minutos" in text
    assert "reloj del teléfono" in text
    assert "sin vendida_en" in text


def test_a_partial_list_takes_the_good_sales(api: APIClient, accepted: Accepted) -> None:
    taken, repeated = str(uuid4()), str(uuid4())
    post(api, {**VALID, "id": taken})
    body = [
        {**VALID, "id": repeated},
        sold(timezone.now() + timedelta(minutes=6)),
        {"producto": "sopaipilla", "cantidad": 1},
        7,
        {"producto": "grande", "cantidad": 9, "id": taken},
        {**VALID, "id": repeated},
        sold(timezone.now()),
    ]
    assert post(api, body).status_code == 400
    assert len(accepted) == 1
    answer = api.post(f"{VENTAS}?parcial=true", body, format="json")
    assert answer.status_code == 202
    assert (answer.json()["aceptadas"], len(answer.json()["ids"])) == (2, 2)
    assert answer.json()["ids"][0] == repeated
    assert [UUID(id_) for id_ in answer.json()["ids"]] == [event.venta_id for event in accepted[1:]]
    errors = {error.pop("indice"): sorted(error) for error in answer.json()["errores"]}
    assert errors == {
        1: ["vendida_en"],
        2: ["producto"],
        3: ["detail"],
        4: ["cantidad", "detail", "producto"],
        5: ["id"],
    }
    assert not OutboxMessage.objects.exists()


def test_a_partial_list_without_a_good_sale_is_400(api: APIClient) -> None:
    answer = api.post(f"{VENTAS}?parcial=true", [{"producto": "sopaipilla", "cantidad": 1}], format="json")
    assert answer.status_code == 400
    assert [error["indice"] for error in answer.json()["errores"]] == [0]
    assert api.post(f"{VENTAS}?parcial=quizas", [VALID], format="json").json() == {"parcial": ["Usa true o false."]}
    good = api.post(f"{VENTAS}?parcial=true", [VALID], format="json").json()
    assert (good["aceptadas"], good["errores"]) == (1, [])
