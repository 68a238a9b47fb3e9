"""The API of sales, on the real broker."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from deploy.embedded.waiting import wait_until
from kafka_bridge.models import OutboxMessage
from tests.ventas.conftest import AHORA, SECONDS, anulacion, contabilidad_corriendo, venta
from ventas import calendario, libro
from ventas.api import catalogo, pagination
from ventas.models import Insumo, Producto, Venta

VENTAS = "/api/v1/ventas/"
RESUMEN = "/api/v1/ventas/resumen/"
pytestmark = pytest.mark.django_db


def enviar(api: APIClient, datos: Any, **cabeceras: str) -> Any:
    return api.post(VENTAS, datos, format="json", headers=cabeceras or None)


@pytest.mark.django_db(transaction=True)
def test_an_accepted_sale_can_be_read_and_counts_in_the_summary(topics: None, api: APIClient, maestro_id: UUID) -> None:
    id_ = str(uuid4())
    respuesta = enviar(api, {"id": id_, "producto": "mediano", "cantidad": 2})
    assert (respuesta.status_code, respuesta.json()) == (202, {"id": id_})
    with contabilidad_corriendo():
        wait_until(lambda: api.get(f"{VENTAS}{id_}/").status_code == 200, SECONDS)
    leida = api.get(f"{VENTAS}{id_}/").json()
    assert {campo: leida[campo] for campo in ("id", "producto", "cantidad", "ingresos", "ganancias")} == {
        "id": id_,
        "producto": "mediano",
        "cantidad": 2,
        "ingresos": 4_000,
        "ganancias": 2_780,
    }
    resumen = api.get(RESUMEN).json()
    assert (resumen["cantidad_ventas"], resumen["unidades"], resumen["ingresos"]) == (1, 2, 4_000)
    assert [una["id"] for una in api.get(VENTAS).json()["results"]] == [id_]


@pytest.mark.django_db(transaction=True)
def test_retries_collapse_into_one_sale(topics: None, api: APIClient, maestro_id: UUID) -> None:
    una = {"id": str(uuid4()), "producto": "chico", "cantidad": 1}
    sin_id = {"producto": "grande", "cantidad": 1}
    primera = [enviar(api, una), enviar(api, sin_id, **{"Idempotency-Key": "k1"}), enviar(api, [una, sin_id])]
    segunda = [enviar(api, una), enviar(api, sin_id, **{"Idempotency-Key": "k1"})]
    assert [respuesta.json() for respuesta in segunda] == [respuesta.json() for respuesta in primera[:2]]
    assert primera[2].json()["aceptadas"] == 2
    with contabilidad_corriendo():
        wait_until(lambda: Venta.objects.filter(maestro_id=maestro_id).count() >= 3, SECONDS)
        enviar(api, {"producto": "mediano", "cantidad": 1})
        wait_until(lambda: Venta.objects.filter(maestro_id=maestro_id, producto="mediano").exists(), SECONDS)
    assert Venta.objects.filter(maestro_id=maestro_id).count() == 4


@pytest.mark.django_db(transaction=True)
def test_a_void_takes_the_sale_back(topics: None, api: APIClient, maestro_id: UUID) -> None:
    id_ = enviar(api, {"producto": "mediano", "cantidad": 2}).json()["id"]
    with contabilidad_corriendo():
        wait_until(lambda: api.get(f"{VENTAS}{id_}/").status_code == 200, SECONDS)
        anulada = api.post(f"{VENTAS}{id_}/anular/", {"motivo": "me equivoqué"}, format="json")
        assert (anulada.status_code, anulada.json()) == (202, {"id": id_})
        wait_until(lambda: api.get(f"{VENTAS}{id_}/").json()["anulada_en"], SECONDS)
    assert api.get(RESUMEN).json()["cantidad_ventas"] == 0


def test_a_list_of_a_thousand_is_accepted_in_order(topics: None, api: APIClient) -> None:
    ventas = [{"id": str(uuid4()), "producto": "mediano", "cantidad": 1} for _ in range(1_000)]
    respuesta = enviar(api, ventas)
    assert respuesta.status_code == 202
    assert respuesta.json() == {"aceptadas": 1_000, "ids": [una["id"] for una in ventas]}


def test_a_longer_list_is_too_large(api: APIClient) -> None:
    respuesta = enviar(api, [{"producto": "mediano", "cantidad": 1}] * 1_001)
    assert respuesta.status_code == 413
    assert "1000" in respuesta.json()["detail"].replace(".", "")


BUENA = {"producto": "mediano", "cantidad": 1}


@pytest.mark.parametrize(
    ("cambio", "campo", "razon"),
    [
        ({"cantidad": 0}, "cantidad", "mayor"),
        ({"cantidad": 1_001}, "cantidad", "menor"),
        ({"cantidad": "muchos"}, "cantidad", "entero"),
        ({"cantidad": None}, "cantidad", "nulo"),
        ({"cantidad": 10**30}, "cantidad", "menor"),
        ({"cantidad": 1.5}, "cantidad", "entero"),
        ({"producto": "sopaipilla"}, "producto", "catálogo"),
        ({"producto": "a\x00"}, "producto", "catálogo"),
        ({"producto": ["mediano"]}, "producto", "cadena"),
        ({"id": "7"}, "id", "UUID"),
        ({"vendida_en": "ayer"}, "vendida_en", "formato"),
        ({"vendida_en": "2099-01-01T00:00:00Z"}, "vendida_en", "futuro"),
        ({"vendida_en": "9999-12-31T23:59:59-12:00"}, "vendida_en", "futuro"),
        ({"vendida_en": "2020-01-01T00:00:00Z"}, "vendida_en", "60 días"),
        ({"vendida_en": "0001-01-01T00:00:00+12:00"}, "vendida_en", "60 días"),
        ({"vendida_en": "0001-01-01T00:00:00"}, "vendida_en", "60 días"),
    ],
)
def test_a_bad_sale_is_explained_in_spanish(api: APIClient, cambio: dict[str, Any], campo: str, razon: str) -> None:
    respuesta = enviar(api, {**BUENA, **cambio})
    assert respuesta.status_code == 400, respuesta.content
    assert list(respuesta.json()) == [campo]
    assert razon in respuesta.json()[campo][0]
    de_lista = enviar(api, [BUENA, {**BUENA, **cambio}])
    assert de_lista.json() == {"errores": [{"indice": 1, campo: respuesta.json()[campo]}]}


@pytest.mark.parametrize(
    "cuerpo", ["[]", "7", '"mediano"', "null", "{}", "[7]", "[null]", "[[]]", "{", '{"cantidad": NaN}']
)
def test_any_other_body_is_a_400(api: APIClient, cuerpo: str) -> None:
    respuesta = api.generic("POST", VENTAS, cuerpo, content_type="application/json")
    assert respuesta.status_code == 400, respuesta.content


def test_nothing_of_a_bad_list_is_accepted_and_each_error_names_its_index(
    api: APIClient, django_assert_num_queries: Any
) -> None:
    id_ = str(uuid4())
    ventas = [
        {**BUENA, "id": id_},
        {"cantidad": 1},
        BUENA,
        {**BUENA, "id": id_.upper()},
        {"producto": "x", "cantidad": 0},
    ]
    respuesta = enviar(api, ventas)
    assert respuesta.status_code == 400
    errores = {error.pop("indice"): error for error in respuesta.json()["errores"]}
    assert {indice: sorted(error) for indice, error in errores.items()} == {1: ["producto"], 3: ["id"], 4: ["cantidad"]}
    assert not OutboxMessage.objects.exists()


def test_a_naive_time_is_chilean(topics: None, api: APIClient) -> None:
    en_chile = timezone.now().astimezone(calendario.CHILE).replace(tzinfo=None, microsecond=0)
    assert enviar(api, {**BUENA, "vendida_en": en_chile.isoformat()}).status_code == 202
    adelantada = en_chile + timedelta(minutes=6)
    assert enviar(api, {**BUENA, "vendida_en": adelantada.isoformat()}).status_code == 400


def test_a_form_can_be_posted_from_the_browsable_page(topics: None, api: APIClient) -> None:
    respuesta = api.post(
        VENTAS, {"id": "", "producto": "mediano", "cantidad": "1", "vendida_en": ""}, format="multipart"
    )
    assert respuesta.status_code == 202, respuesta.content
    pagina = api.get(VENTAS, headers={"Accept": "text/html"}).content.decode()
    assert 'name="producto"' in pagina
    assert "Mote con huesillo mediano, $2.000" in pagina


def test_a_price_that_staff_change_counts_for_the_next_sales(topics: None, api: APIClient, maestro_id: UUID) -> None:
    Producto.objects.filter(pk="mediano").update(precio=9_990)
    Insumo.objects.filter(pk="vaso").update(costo="40.50")
    catalogo.olvidar()
    assert catalogo.vigente()["mediano"].precio == 9_990
    assert catalogo.vigente()["mediano"].costo == 611  # 610.5, rounded half up
    Producto.objects.filter(pk="mediano").update(activo=False)
    catalogo.olvidar()
    assert "producto" in enviar(api, BUENA).json()


def test_a_sale_reads_the_database_for_the_catalogue_only_now_and_then(
    topics: None, api: APIClient, django_assert_num_queries: Any
) -> None:
    enviar(api, BUENA)
    with django_assert_num_queries(0):
        enviar(api, BUENA)


def test_a_sale_not_yet_written_is_404_with_retry_after_and_so_is_anothers(api: APIClient, maestro_id: UUID) -> None:
    ajena = venta(uuid4())
    libro.registrar([ajena])
    for id_ in (uuid4(), ajena.venta_id):
        for respuesta in (api.get(f"{VENTAS}{id_}/"), api.post(f"{VENTAS}{id_}/anular/", {}, format="json")):
            assert respuesta.status_code == 404
            assert respuesta.headers["Retry-After"] == "1"
    assert api.get(f"{VENTAS}no-es-un-id/").status_code == 404


def test_without_a_token_nothing_is_open(con_catalogo: None) -> None:
    for ruta in (VENTAS, RESUMEN, "/api/v1/productos/"):
        assert Client().get(ruta, headers={"Accept": "application/json"}).status_code == 401


def test_own_sales_are_filtered_by_date(api: APIClient, maestro_id: UUID) -> None:
    momentos = [datetime(2026, 11, 17, 2, 59, tzinfo=UTC), datetime(2026, 11, 17, 3, 0, tzinfo=UTC), AHORA]
    libro.registrar([venta(maestro_id, vendida_en=momento) for momento in momentos] + [venta(uuid4())])

    def cuantas(consulta: str) -> int:
        return len(api.get(f"{VENTAS}?{consulta}").json()["results"])

    assert cuantas("") == 3
    assert cuantas("desde=2026-11-17") == 2
    assert cuantas("hasta=2026-11-16") == 1
    assert cuantas("desde=2026-11-17&hasta=2026-11-17") == 1
    assert cuantas("hasta=2026-11-17T00:00:00-03:00") == 1
    assert cuantas("hasta=2026-11-17T00:00:00") == 1
    for mala in ("desde=ayer", "hasta=2026-13-01", "desde=9999-12-31T23:59:59-12:00", "hasta=9999-12-31"):
        assert api.get(f"{VENTAS}?{mala}").status_code in (200, 400)
    assert api.get(f"{VENTAS}?desde=ayer").json()["desde"]


def test_pages_hold_every_sale_once_also_those_of_one_moment(api: APIClient, maestro_id: UUID) -> None:
    ventas = [venta(maestro_id, vendida_en=AHORA + timedelta(seconds=n // 120)) for n in range(350)]
    libro.registrar(ventas)
    vistas: list[str] = []
    pagina: str | None = VENTAS
    while pagina:
        respuesta = api.get(pagina).json()
        assert len(respuesta["results"]) <= pagination.TAMANO
        vistas += [una["id"] for una in respuesta["results"]]
        pagina = respuesta["next"]
    assert sorted(vistas) == sorted(str(una.venta_id) for una in ventas)
    assert api.get(f"{VENTAS}?cursor=nada").status_code == 400


def test_the_summary_has_the_shape_of_the_contract(api: APIClient, maestro_id: UUID) -> None:
    libro.registrar([venta(maestro_id, cantidad=2), erronea := venta(maestro_id)])
    libro.anular([anulacion(erronea)])
    resumen = api.get(f"{RESUMEN}?semana=2026-W47").json()
    dia = resumen["por_dia"].pop(2)
    assert dia == {"dia": "2026-11-18", "cantidad_ventas": 1, "unidades": 2, "ingresos": 4_000, "ganancias": 2_780}
    assert len(resumen.pop("por_dia")) == 6
    assert resumen == {
        "semana": "2026-W47",
        "desde": "2026-11-16T00:00:00-03:00",
        "hasta": "2026-11-23T00:00:00-03:00",
        "cantidad_ventas": 1,
        "unidades": 2,
        "ingresos": 4_000,
        "ganancias": 2_780,
        "por_producto": {"mediano": 2},
        "ajustes": {"cantidad_ventas": 0, "unidades": 0, "ingresos": 0, "ganancias": 0},
    }
    assert api.get(f"{RESUMEN}?semana=2026-W60").status_code == 400
    actual = api.get(RESUMEN).json()
    assert actual["semana"] == calendario.codigo(calendario.semana_de(timezone.now()))


def test_the_browsable_summary_has_a_plot(api: APIClient, maestro_id: UUID) -> None:
    libro.registrar([venta(maestro_id)])
    pagina = api.get(f"{RESUMEN}?semana=2026-W47", headers={"Accept": "text/html"}).content.decode()
    assert "<svg" in pagina
    assert "mié 18" in pagina


def test_the_catalogue_is_listed(api: APIClient) -> None:
    productos = api.get("/api/v1/productos/").json()
    assert [producto["codigo"] for producto in productos] == ["chico", "mediano", "grande"]
    assert productos[1]["precio"] == 2_000
    assert {"insumo": "huesillo", "cantidad": 2, "unidad": "un"} in productos[1]["receta"]


def test_the_seed_keeps_what_staff_have_edited(con_catalogo: None) -> None:
    from ventas import seed

    Producto.objects.filter(pk="chico").update(precio=1)
    seed.sembrar_catalogo()
    seed.sembrar_horarios()
    seed.sembrar_horarios()
    assert Producto.objects.get(pk="chico").precio == 1
    assert [producto.receta.count() for producto in Producto.objects.all()] == [4, 4, 4]


def test_sales_are_in_the_openapi_document(client: Client) -> None:
    documento = json.loads(client.get("/api/schema/", headers={"Accept": "application/vnd.oai.openapi+json"}).content)
    assert {"get", "post"} <= set(documento["paths"]["/api/v1/ventas/"])
    assert "VentaEntrada" in documento["components"]["schemas"]
