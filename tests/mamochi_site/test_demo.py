"""`./dev demo` as a person starts it, and the parts of it that could fool its own audit."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from deploy.embedded.processes import leftovers
from deploy.embedded.waiting import wait_until
from inscripciones import formato
from mamochi_site.demo import dashboard, people
from mamochi_site.demo.audit import Check, numbers_in
from mamochi_site.demo.client import Api, Refused, Stopped
from mamochi_site.demo.maestro import SALES_A_CART, TEN_SALES
from mamochi_site.demo.scene import Pace, Puesto, Scene, Sold
from ventas.seed import PRODUCTOS

CHECKOUT = Path(__file__).parents[2]
OWN_STACK = ("DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS", "CELERY_BROKER_URL", "EMAIL_URL", "SECRET_KEY")


# The whole thing


@contextmanager
def demo(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """`manage.py demo --fast` on a stack of its own, not on the tests'."""
    environ = {name: value for name, value in os.environ.items() if name not in OWN_STACK} | {"DEBUG": "true"}
    argv = [sys.executable, "manage.py", "demo", "--fast", "--dir", str(folder), *options]
    process = subprocess.Popen(  # noqa: S603 - our own program
        argv, cwd=CHECKOUT, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def record_once(folder: Path, process: subprocess.Popen[str], has: str) -> dict[str, Any]:
    """stack.json as it stands once the process named `has` is in it."""

    def record() -> dict[str, Any] | None:
        assert process.poll() is None, process.communicate()[0]
        path = folder / "stack.json"
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"processes": {}}
        return found if has in found["processes"] else None

    found = wait_until(record, 120)
    assert found is not None
    return found


def assert_nothing_left(folder: Path, record: dict[str, Any]) -> None:
    assert leftovers(record["run_id"], record["processes"]) == []
    assert not (folder / "stack.json").exists()


def test_it_plays_the_scenario_and_its_audit_is_green(tmp_path: Path) -> None:
    with demo(tmp_path, "--picture", str(tmp_path / "demo.svg")) as process:
        record = record_once(tmp_path, process, "web")
        output, _ = process.communicate(timeout=180)
    assert process.returncode == 0, output
    assert "✘" not in output
    assert output.count("✔") >= 20
    assert "Lo que acaba de pasar" in (tmp_path / "demo.svg").read_text().replace("&#160;", " ")
    assert_nothing_left(tmp_path, record)


@pytest.mark.parametrize("moment", ["postgres", "celery-beat"])
def test_ctrl_c_in_the_middle_leaves_nothing_behind(tmp_path: Path, moment: str) -> None:
    with demo(tmp_path) as process:
        record = record_once(tmp_path, process, moment)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert_nothing_left(tmp_path, record)


# The people


def cast() -> list[people.Persona]:
    return people.gather(5, 2, random.Random(7))  # noqa: S311 - no secret


def test_the_people_would_pass_the_guilds_own_rules() -> None:
    assert [one.paid for one in cast()].count(True) == 2
    for one in cast():
        assert formato.rut(one.rut)
        assert formato.telefono(one.telefono)
        assert formato.comuna(one.comuna) == one.comuna
        assert formato.nombre(one.nombre) == one.nombre


def test_the_same_seed_is_the_same_cast() -> None:
    assert cast() == cast()


def test_ten_sales_take_as_much_as_ten_mediano_so_that_the_cart_is_empty_after_them() -> None:
    taken: Counter[str] = Counter()
    for product in TEN_SALES:
        taken.update(PRODUCTOS[product][2])
    assert len(TEN_SALES) == SALES_A_CART
    assert taken == {insumo: 10 * each for insumo, each in PRODUCTOS["mediano"][2].items()}


# The client


@contextmanager
def server(*statuses: int) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An HTTP server that answers with these statuses in turn; gives its URL and the bodies that arrived."""
    answers, bodies = iter(statuses), list[dict[str, Any]]()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            status = next(answers)
            if status:  # 0: the connection is lost without an answer
                self.send_response(status)
                self.send_header("Retry-After", "0")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{http.server_port}", bodies
        finally:
            http.shutdown()


def test_a_client_repeats_the_same_sale_until_it_is_accepted() -> None:
    with server(503, 0, 202) as (url, bodies):
        Api(url, threading.Event()).post("/ventas/", {"id": "a"})
    assert bodies == [{"id": "a"}] * 3


def test_a_client_does_not_repeat_what_was_refused() -> None:
    with server(400) as (url, bodies), pytest.raises(Refused, match="400"):
        Api(url, threading.Event()).post("/ventas/", {"id": "a"})
    assert len(bodies) == 1


def test_a_client_that_was_told_to_stop_does() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        Api("http://127.0.0.1:9", stop).post("/ventas/", {})


# The audit and the dashboard


def test_a_mismatch_is_not_green() -> None:
    assert not Check("ventas", 10, 9).ok
    assert Check("ventas", 10, 10).ok


@pytest.mark.parametrize(
    ("earned", "expected"), [("$31.970", 31_970), ("$0", 0), ("-$1.200", -1_200), ("$1.031.970", 1_031_970)]
)
def test_it_reads_the_numbers_that_a_maestro_reads(earned: str, expected: int) -> None:
    text = f"Hola, Rosa:\n\nGanancias: {earned}\nVentas:    1.023\nUnidades:  2\n\nGanancias por día\n  Lunes $7"
    assert numbers_in(text) == (1_023, expected)


def test_a_mail_without_the_numbers_counts_as_wrong() -> None:
    assert numbers_in("no registraste ventas.\n¿Vendiste sin conexión? hasta 60 días") == (-1, -1)


def scene(sold: int) -> Scene:
    puestos = [Puesto(one) for one in cast()]
    for puesto in puestos:
        puesto.sold = [Sold(str(n), "mediano", 1) for n in range(sold)]
        puesto.stock = [{"insumo": "mote", "cantidad": 0, "capacidad": 1500, "agotado": True}]
    played = Scene(puestos, Pace.real())
    played.say("Rosa vendió un mediano")
    return played


@pytest.mark.parametrize(("width", "height"), [(132, 34), (80, 24), (40, 10)])
def test_the_dashboard_fits_the_terminal_and_shows_every_maestro(width: int, height: int) -> None:
    console = Console(width=width, height=height, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(dashboard.draw(scene(sold=3), width, height), height=height)
    lines = console.export_text().splitlines()
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    if height >= 24:
        assert all(any(puesto.persona.apodo in line for line in lines) for puesto in scene(0).puestos)
