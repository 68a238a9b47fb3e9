"""Every fault of disks under sales, one after another: nothing accepted is lost or doubled."""

import random
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from deploy.embedded import Stack
from deploy.embedded.postgres import Postgres
from deploy.embedded.waiting import wait_until
from mamochi_site.local.system import System, running_system
from tests.chaos.faults import disks
from tests.chaos.faults.disks import Volumes
from tests.chaos.faults.plan import Context
from tests.support.system import Client, enrol, query

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.alone,
    pytest.mark.skipif(not disks.can_mount(), reason="needs root, loop devices and mkfs.ext4"),
]
SECONDS = 120.0
HOLD_S = 4.0
PEOPLE = 6
ROWS = "SELECT count(*), count(DISTINCT venta_id) FROM ventas_venta WHERE venta_id = ANY(%s::uuid[])"
LEDGER = "SELECT count(*) FROM stock_movimiento WHERE tipo = 'venta'"
LETTERS = "SELECT consumer, error FROM kafka_bridge_deadletter"


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    stack = Stack(tmp_path / "stack", brokers=3, durable=True, environ={})
    with running_system(stack, port=18_600, settings={"REVISION_AUTOMATICA": "true"}) as system:
        yield Context(system, random.Random(7))


@pytest.fixture
def volumes(context: Context) -> Iterator[Volumes]:
    found = Volumes(context)
    try:
        found.place()
        yield found
    finally:
        context.system.stack.stop()
        found.unmount()


class Seller(threading.Thread):
    """Sells until the stop, each sale once."""

    def __init__(self, maestro: Client, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.maestro, self.stop = maestro, stop

    def run(self) -> None:
        while not self.stop.wait(0.3):
            with suppress(OSError):  # no answer: not accepted
                self.maestro.sell()


def accepts(maestro: Client) -> bool:
    with suppress(OSError):
        return maestro.sell().status == 202
    return False


def rows(system: System, sales: list[str]) -> list[tuple[int, int]]:
    with suppress(psycopg.Error):  # PostgreSQL has just come back
        return query(system, ROWS, sales)
    return []


def test_disks_that_are_full_or_fail_lose_nothing(context: Context, volumes: Volumes) -> None:
    system = context.system
    port = int(system.url.rsplit(":", 1)[1])
    people = [enrol(system, port, paid=False) for _ in range(PEOPLE)]
    stop = threading.Event()
    sellers = [Seller(maestro, stop) for maestro in people]
    for seller in sellers:
        seller.start()
    context.volumes = volumes
    for plan in disks.plans(context):
        before = len(people[0].sent)
        with plan.inflict() as target:
            print(f"{plan.name}: {target}", flush=True)
            stop.wait(HOLD_S)
        wait_until(lambda: accepts(people[0]), SECONDS, what=f"a sale is accepted after: {plan.name}")
        print(f"  {len(people[0].sent) - before} sales of one maestro meanwhile", flush=True)
    stop.set()
    for seller in sellers:
        seller.join(30)
    sales = [sale for maestro in people for sale in maestro.sent]
    wait_until(lambda: rows(system, sales) == [(len(sales), len(sales))], SECONDS, what="all sales have a row")
    [(ledger,)] = query(system, "SELECT count(*) FROM ventas_venta")
    wait_until(lambda: query(system, LEDGER) == [(ledger,)], SECONDS, what="all sales are in the carts' ledger")
    assert query(system, LETTERS) == []
    assert system.failure() == ""


def test_unmounted_volume_is_free_for_all(tmp_path: Path) -> None:
    """A process that has a copy of the mounts, as on a host of its own, keeps no volume busy."""
    volume = disks.Volume(Postgres(tmp_path / "data", "password", durable=False), tmp_path / "images")
    volume.folder.mkdir(parents=True)
    volume.make()
    disks.share(tmp_path / "data")
    volume.mount()
    command = ["unshare", "--mount", "--propagation", "slave", "sh", "-c", "echo ready; exec sleep 600"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        try:
            volume.unmount()
        finally:
            other.kill()
            disks.unmount_all(tmp_path)
    assert str(tmp_path) not in Path("/proc/mounts").read_text()
