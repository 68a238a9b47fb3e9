"""A client that a tool generates from our OpenAPI document uses the running system."""

import random
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.request import urlopen
from uuid import uuid4

import pytest

from deploy.embedded.waiting import wait_until
from mamochi_site.local.demo.people import gather
from mamochi_site.local.system import System
from tests.support.system import SECONDS, TOKEN

pytestmark = pytest.mark.slow
NAME = "generated_mamochi_client"


@pytest.fixture(scope="module")
def generated(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """Generate the package from the document that the system serves; a warning is an error."""
    folder = tmp_path_factory.mktemp("client")
    document, config = folder / "openapi.json", folder / "config.yml"
    with urlopen(f"{system.url}/api/schema/?format=json", timeout=15) as answer:
        document.write_bytes(answer.read())
    config.write_text("post_hooks: []\n")
    tool = Path(sys.executable).with_name("openapi-python-client")
    command = [str(tool), "generate", "--path", str(document), "--config", str(config), "--fail-on-warning"]
    made = subprocess.run(
        [*command, "--meta", "none", "--output-path", str(folder / NAME)], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stdout + made.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield import_module(NAME)


def call(operation: str, **arguments: Any) -> Any:
    """Call an operation of the generated client; return what it parsed from the answer."""
    answer = import_module(f"{NAME}.api.v1.v1_{operation}").sync_detailed(**arguments)
    assert answer.parsed is not None, answer
    return answer.parsed


def enrol(system: System, generated: ModuleType) -> Any:
    """Enrol a person; return a client with the token from the credentials e-mail."""
    models = import_module(f"{NAME}.models")
    anyone = generated.Client(base_url=system.url)
    form = gather(1, 0, random.Random())[0].formulario()
    received = call("inscripciones_create", client=anyone, body=models.Formulario.from_dict(form))
    mails = system.stack.mailbox.wait_for(to=str(form["email"]), subject="Tus credenciales de MAMOCHI", timeout=SECONDS)
    found = TOKEN.search(mails[0].text)
    assert found is not None
    state = call("inscripciones_retrieve", client=anyone, id=received.id)
    assert state.estado == "aprobada"
    return generated.AuthenticatedClient(base_url=system.url, token=found[0])


def test_generated_client_enrols_sells_and_reads(system: System, generated: ModuleType) -> None:
    models = import_module(f"{NAME}.models")
    client = enrol(system, generated)
    wait_until(lambda: len(call("stock_list", client=client)) == 4, SECONDS)
    sale = models.VentaEntrada(producto="mediano", cantidad=2, id=uuid4())
    assert call("ventas_create", client=client, body=sale).id == sale.id
    many = call("ventas_create", client=client, body=[models.VentaEntrada(producto="chico", cantidad=1)] * 2)
    assert many.aceptadas == 2
    notice = call("stock_avisos_create", client=client, body=models.AvisoNuevo(insumos=["mote"]))
    wait_until(lambda: call("ventas_resumen_retrieve", client=client).cantidad_ventas == 3, SECONDS)
    week = call("ventas_resumen_retrieve", client=client)
    assert (week.unidades, sum(day.unidades for day in week.por_dia)) == (4, 4)
    sales = call("ventas_list", client=client).results
    assert {one.producto for one in sales} == {"mediano", "chico"}
    wait_until(lambda: notice.id in [one.id for one in call("stock_avisos_list", client=client).results], SECONDS)
    assert {one.codigo for one in call("productos_list", client=client)} >= {"chico", "mediano", "grande"}
