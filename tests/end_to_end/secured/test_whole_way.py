"""The whole loop over TLS, with a login per process: from the form to the weekly account."""

from datetime import UTC, datetime

import pytest

from deploy.embedded.waiting import wait_until
from mamochi_site.local.system import System
from tests.support.operator import WAITING, Operator
from tests.support.system import SECONDS, Client, enrol, query

pytestmark = pytest.mark.chaos
CLOSE = "from ventas.tasks import cerrar_semanas; cerrar_semanas.delay(semana={semana!r}, hasta={hasta!r})"


def test_from_the_form_to_the_account(system: System, operator: Operator) -> None:
    """A maestro enrols (Paid), is approved, sells, is restocked, and gets the week's account."""
    maestro = enrol(system, operator.port, paid=True)
    wait_until(lambda: cups(maestro) == 10, SECONDS)
    for _ in range(10):
        assert maestro.sell().status == 202
    operator.wait_until_counted(maestro)
    assert maestro.call("POST", "stock/avisos/", {}).status == 202
    wait_until(lambda: restocks(maestro) >= {"mote", "huesillo", "jugo", "vaso"}, SECONDS)
    wait_until(lambda: cups(maestro) == 10, SECONDS)
    week = maestro.call("GET", "ventas/resumen/").body
    assert (week["cantidad_ventas"], week["ganancias"]) == (10, 10 * (2_000 - 610))
    worker = system.stack.processes["celery-worker"].env
    code = CLOSE.format(semana=week["semana"], hasta=datetime.now(UTC).isoformat())
    done = operator.run("shell", "--no-imports", "-c", code, **worker)
    assert done.returncode == 0, done.stderr
    assert maestro.persona is not None
    [mail] = system.mailbox.wait_for(to=maestro.persona.email, subject="Tu semana en MAMOCHI", timeout=SECONDS)
    assert "10" in mail.text
    assert query(system, WAITING) == [(0,)]


def cups(maestro: Client) -> int:
    return next((row["cantidad"] for row in maestro.call("GET", "stock/").body if row["insumo"] == "vaso"), 0)


def restocks(maestro: Client) -> set[str]:
    ledger = maestro.call("GET", "stock/movimientos/").body["results"]
    return {row["insumo"] for row in ledger if row["tipo"] == "reposicion"}
