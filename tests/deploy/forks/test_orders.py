"""Forks of a loaded program behave like processes that were started with their command lines."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from deploy.embedded.errors import StackError
from deploy.embedded.processes import Process, Supervisor
from deploy.embedded.waiting import wait_until
from deploy.forks.orders import Fork, Forks, command
from mamochi_site.local.system import CHECKOUT

SECONDS = 60.0
WAITS = "import signal, sys; print('waits', flush=True); signal.pause()"


class Loaded:
    """A loaded program, and scripts that its forks run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.forks = Forks(os.environ)
        self.program = subprocess.Popen(command("json"), stdin=self.forks.program_end.fileno(), cwd=CHECKOUT)
        self.forks.program_end.close()

    def run(self, script: str, *arguments: str, env: Mapping[str, str] = os.environ) -> Fork:
        (self.folder / "script.py").write_text(script)
        argv = [sys.executable, "script.py", *arguments]
        return self.forks.order("sold", argv, cwd=self.folder, env=env, log=self.log)

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def waiting(self) -> psutil.Process:
        """Return a fork that waits for a signal."""
        fork = self.run(WAITS)
        wait_until(lambda: "waits" in self.log.read_text(), SECONDS)
        return psutil.Process(fork.pid)


@pytest.fixture
def loaded(tmp_path: Path) -> Iterator[Loaded]:
    loaded = Loaded(tmp_path)
    yield loaded
    loaded.program.kill()
    loaded.program.wait()


def test_a_fork_runs_its_command_line(loaded: Loaded) -> None:
    script = "import os, sys; print(__name__, sys.argv, os.getcwd(), sorted(os.environ)); sys.exit('no mote')"
    fork = loaded.run(script, "--of", "huesillo", env={"SOLE": "1"})
    assert fork.wait(SECONDS) == 1
    expected = f"__main__ ['script.py', '--of', 'huesillo'] {loaded.folder} ['SOLE']\nno mote\n"
    assert loaded.log.read_text() == expected


def test_a_fork_of_a_module_runs_its_main(loaded: Loaded) -> None:
    argv = [sys.executable, "-m", "json.tool", "--help"]
    assert loaded.forks.order("help", argv, cwd=loaded.folder, env=os.environ, log=loaded.log).wait(SECONDS) == 0
    assert "usage: " in loaded.log.read_text()


def test_an_error_leaves_a_traceback_and_code_1(loaded: Loaded) -> None:
    assert loaded.run("raise ValueError('seco')").wait(SECONDS) == 1
    assert "ValueError: seco" in loaded.log.read_text()


def test_a_fork_has_its_own_session_and_signals(loaded: Loaded) -> None:
    fork = loaded.run("import os, signal; print(os.getsid(0), signal.getsignal(15) == signal.SIG_DFL)")
    assert fork.wait(SECONDS) == 0
    assert loaded.log.read_text() == f"{fork.pid} True\n"


def test_a_killed_fork_reports_its_signal(loaded: Loaded) -> None:
    first, second = loaded.run(WAITS), loaded.run(WAITS)
    first.send_signal(signal.SIGKILL)
    assert (first.wait(SECONDS), second.poll()) == (-9, None)
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(0.01)
    first.send_signal(signal.SIGTERM)  # of an ended process: nothing to do


def test_forks_end_with_a_killed_program(loaded: Loaded) -> None:
    process = loaded.waiting()
    loaded.program.kill()
    assert psutil.wait_procs([process], timeout=SECONDS)[1] == []


def test_the_program_ends_after_its_forks(loaded: Loaded) -> None:
    fork = loaded.run(WAITS)
    loaded.program.terminate()
    assert fork.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        loaded.program.wait(0.5)
    fork.send_signal(signal.SIGTERM)
    assert fork.wait(SECONDS) == -15
    assert loaded.program.wait(SECONDS) == 0


def test_a_fork_shows_its_name(loaded: Loaded) -> None:
    assert loaded.waiting().name() == "sold"


def test_no_order_reaches_a_program_that_ended(tmp_path: Path) -> None:
    supervisor = Supervisor("run", tmp_path, lambda: None)
    forks = supervisor.load("program", "no.such.module", cwd=CHECKOUT, env=os.environ)
    program: Process = supervisor.processes["program"]
    wait_until(lambda: not program.running, SECONDS)
    with pytest.raises(StackError, match="sells cannot be started: the program that forks it has ended"):
        supervisor.spawn("sells", [sys.executable, "-m", "this"], cwd=tmp_path, env=os.environ, forks=forks)
    assert "No module named 'no'" in program.last_words()


def test_another_environment_is_no_fork(tmp_path: Path) -> None:
    """What the program has loaded may depend on it."""
    supervisor, environment = Supervisor("run", tmp_path, lambda: None), {**os.environ, "SOLD": "mote"}
    forks = supervisor.load("program", "json", cwd=CHECKOUT, env=environment, own=["PORT"])
    (tmp_path / "script.py").write_text("import os; print(os.getppid(), os.environ['SOLD'], os.environ.get('PORT'))")
    seller = supervisor.spawn(
        "seller", [sys.executable, "script.py"], cwd=tmp_path, env=environment | {"PORT": "1"}, forks=forks
    )
    seller.wait(SECONDS)
    seller.env = {**seller.env, "SOLD": "huesillo"}
    supervisor.start(seller)
    seller.wait(SECONDS)
    program = supervisor.processes["program"]
    assert seller.log.read_text() == f"{program.pid} mote 1\n{os.getpid()} huesillo 1\n"
    program.stop()
    assert program.returncode == 0
