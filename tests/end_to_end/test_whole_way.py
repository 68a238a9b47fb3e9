"""From the form to the weekly figures, through every process."""

import http.client
import json
import random
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from deploy.embedded.waiting import wait_until
from mamochi_site.local.demo.people import gather
from mamochi_site.local.system import System
from tests.support.system import SECONDS, Client, enrol, query, wait_for_sales

pytestmark = pytest.mark.slow


def stock(client: Client) -> dict[str, int]:
    return {row["insumo"]: row["cantidad"] for row in client.call("GET", "stock/").body}


def test_paid_maestro_sells_and_is_restocked(system: System, anyone: Client) -> None:
    maestro = enrol(system, anyone.port, paid=True)
    wait_until(lambda: stock(maestro).get("vaso") == 10, SECONDS)
    for _ in range(10):
        assert maestro.sell().status == 202
    wait_for_sales(maestro)
    assert maestro.call("POST", "stock/avisos/", {}).status == 202
    wait_until(lambda: restocks(maestro) >= {"mote", "huesillo", "jugo", "vaso"}, SECONDS)
    wait_until(lambda: stock(maestro)["vaso"] == 10, SECONDS)
    week = maestro.call("GET", "ventas/resumen/").body
    assert (week["cantidad_ventas"], week["unidades"], week["ingresos"]) == (10, 10, 20_000)
    assert week["ganancias"] == 10 * (2_000 - 610)


def restocks(client: Client) -> set[str]:
    ledger = client.call("GET", "stock/movimientos/").body["results"]
    return {row["insumo"] for row in ledger if row["tipo"] == "reposicion"}


def test_repeated_sale_counts_once(system: System, maestro: Client) -> None:
    sale: dict[str, Any] = {"id": "0f8fad5b-d9cb-469f-a165-70867728950e", "producto": "chico", "cantidad": 2}
    assert [maestro.call("POST", "ventas/", sale).status for _ in range(3)] == [202] * 3
    wait_until(lambda: maestro.has(sale["id"]), SECONDS)
    maestro.sell()
    wait_for_sales(maestro)
    assert query(system, "SELECT count(*) FROM ventas_venta WHERE venta_id = %s", sale["id"]) == [(1,)]
    assert maestro.call("GET", "ventas/resumen/").body["cantidad_ventas"] == 2


def test_sales_of_others_are_hidden(system: System, anyone: Client, maestro: Client) -> None:
    maestro.sell()
    wait_for_sales(maestro)
    other = enrol(system, anyone.port, paid=False)
    assert other.call("GET", f"ventas/{maestro.sent[0]}/").status == 404
    assert anyone.call("GET", "ventas/").status == 401


def test_new_installation_has_groups(system: System) -> None:
    sql = "SELECT name, count(*) FROM auth_group g JOIN auth_group_permissions p ON p.group_id = g.id GROUP BY name"
    assert dict(query(system, sql)) == {"Revisores": 12, "Distribuidores": 7, "Contadores": 13}


def test_trace_reaches_the_credentials_task(system: System, anyone: Client) -> None:
    trace = f"{random.getrandbits(128):032x}"
    headers = {"Content-Type": "application/json", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    connection = http.client.HTTPConnection("127.0.0.1", anyone.port, timeout=15)
    form = json.dumps(gather(1, 0, random.Random())[0].formulario())
    connection.request("POST", "/api/v1/inscripciones/", form, headers)
    assert connection.getresponse().status == 202
    connection.close()
    for name, said in (("web", "request"), ("consumer-aprobacion", "batch"), ("celery-worker", "enviar_correos")):
        log: Path = system.stack.folder / "logs" / f"{name}.log"
        wait_until(partial(traced, log, trace, said), SECONDS)


def traced(log: Path, trace: str, said: str) -> bool:
    return any(trace in line and said in line for line in log.read_text(errors="replace").splitlines())
